"""The verb check: what a folder of images holds, and what is wrong there."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.console import print_json, print_pairs, print_table

if TYPE_CHECKING:
    from cnnzoo.data.images import Folder

SHOWN = 20  # files of a kind, unless --json asks for all


def check(args: Namespace) -> int:
    """Returns 1 where files cannot be read, else 0."""
    from cnnzoo.data import layout
    from cnnzoo.data.images import scan

    root = Path(args.data)
    parts = layout.given_parts(root) if root.is_dir() else {}
    folders = {
        part: scan(
            path,
            complete=part in ("", "train"),
            depth="headers" if args.quick else "pixels",
            checksums=not args.quick,
            on_bad="skip",
            follow_links=args.follow_links,
            labels=args.labels,
        )
        for part, path in (parts or {"": root}).items()
    }
    if args.json:
        print_json({str(f.root): _told(f) for f in folders.values()})
    else:
        for folder in folders.values():
            _print(folder)
    return int(any(folder.findings.skipped for folder in folders.values()))


def _told(folder: Folder) -> dict:
    return {
        "images": len(folder),
        "classes": _counts(folder),
        **folder.findings.told(),
    }


def _counts(folder: Folder) -> dict[str, int]:
    labels = folder.labels.tolist()
    return {name: labels.count(i) for i, name in enumerate(folder.class_names)}


def _print(folder: Folder) -> None:
    found = folder.findings
    print(f"{folder.root}: {len(folder):,} images that can be read")
    print_table(("class", "images"), _counts(folder).items())
    formats = ", ".join(f"{name} {count:,}" for name, count in found.formats.items())
    pairs: dict[str, object] = {"formats": formats}
    if found.sizes:
        (low, narrow), (high, wide) = found.sizes
        pairs["height"] = f"{low:,} to {high:,} pixels"
        pairs["width"] = f"{narrow:,} to {wide:,} pixels"
    if found.ignored:
        pairs["no images by their names"] = ", ".join(
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
