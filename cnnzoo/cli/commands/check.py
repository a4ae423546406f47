"""The verb check: what a folder of images holds, and what is wrong there."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.output import print_json, print_pairs, print_table

if TYPE_CHECKING:
    from cnnzoo.data.folders.folder import Folder

SHOWN = 20  # files of a kind, unless --json asks for all


def check(args: Namespace) -> int:
    """Returns 1 where files cannot be read or training would refuse them, else 0."""
    from cnnzoo.data.folders import layout
    from cnnzoo.data.folders.folder import scan
    from cnnzoo.data.sources import check_copies
    from cnnzoo.errors import DatasetError

    root = Path(args.data)
    parts = layout.predefined_splits(root) if root.is_dir() else {}
    folders = {
        part: scan(
            path,
            complete=False,
            depth="headers" if args.quick else "pixels",
            checksums=not args.quick,
            on_bad="skip",
            follow_links=args.follow_links,
            labels=args.labels,
        )
        for part, path in (parts or {"": root}).items()
    }
    faults = []
    whole = folders.get("train") or folders.get("")
    try:
        if whole:
            layout.check(whole.root, _counts(whole), 0, complete=True)
        for part in ("validation", "test"):
            if part in folders and not args.quick:
                check_copies(folders["train"], folders[part])
    except DatasetError as error:
        faults.append(str(error))
    if args.json:
        told = {str(folder.root): _told(folder) for folder in folders.values()}
        print_json({"folders": told, "faults": faults})
    else:
        for folder in folders.values():
            _print(folder)
        _list("faults", faults)
    return int(bool(faults) or any(f.report.skipped for f in folders.values()))


def _told(folder: Folder) -> dict:
    return {
        "images": len(folder),
        "classes": _counts(folder),
        **folder.report.to_dict(),
    }


def _counts(folder: Folder) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(np.asarray(folder.labels), minlength=len(folder.class_names))
    return dict(zip(folder.class_names, counts.tolist(), strict=True))


def _print(folder: Folder) -> None:
    found = folder.report
    print(f"{folder.root}: {len(folder):,} images that can be read")
    print_table(("class", "images"), _counts(folder).items())
    formats = ", ".join(f"{name} {count:,}" for name, count in found.formats.items())
    pairs: dict[str, object] = {"formats": formats}
    if found.sizes:
        (low, narrow), (high, wide) = found.sizes
        pairs["height"] = f"{low:,} to {high:,} pixels"
        pairs["width"] = f"{narrow:,} to {wide:,} pixels"
    if found.ignored:
        pairs["endings that are not read"] = ", ".join(
            f"{ending or 'no ending'} {count:,}"
            for ending, count in found.ignored.items()
        )
    if found.hidden:
        pairs["hidden"] = f"{found.hidden:,} passed over"
    print_pairs(pairs)
    _list("cannot be read", (f"{name!r}: {why}" for name, why in found.skipped))
    _list("links to what is there already", map(repr, found.linked))
    rare = (f"{name!r}" for name in found.rare)
    _list("are of a format that nearly no other has", rare)
    _list("are of another format than their names say", map(repr, found.misnamed))
    _list("have several frames, of which the first is read", map(repr, found.animated))
    _list("were read with a warning", (f"{name!r}: {w}" for name, w in found.warned))
    copies = (" = ".join(map(repr, group)) for group in found.copies or ())
    _list("are copies of each other", copies)
    _list("warnings", found.warnings)


def _list(title: str, lines: Iterable[str]) -> None:
    every = list(lines)
    if every:
        print(f"{title}:")
        for line in every[:SHOWN]:
            print(f"  {line}")
        if len(every) > SHOWN:
            print(f"  and {len(every) - SHOWN:,} more, which --json lists")
