"""The verb check: the contents and the problems of a folder of images."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.output import print_json, print_pairs, print_table, say

if TYPE_CHECKING:
    from cnnzoo.data.folders.folder import Folder

SHOWN = 20  # files per kind of problem, unless --json shows all


def check(args: Namespace) -> int:
    """Returns 1 if files cannot be read or training would refuse them, else 0."""
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
            on_bad="report",
            follow_links=args.follow_links,
            labels=args.labels,
            partial=args.partial,
            value_range=args.value_range,
        )
        for part, path in (parts or {"": root}).items()
    }
    faults = []
    whole = folders.get("train") or folders.get("")
    try:
        if whole:
            layout.check(whole.root, _counts(whole), whole.report.loose, complete=True)
        for part in ("validation", "test"):
            if part in folders and not args.quick:
                check_copies(folders["train"], folders[part])
    except DatasetError as error:
        faults.append(str(error))
    if args.json:
        contents = {str(folder.root): _to_dict(folder) for folder in folders.values()}
        print_json({"folders": contents, "faults": faults})
    else:
        for folder in folders.values():
            _print(folder)
        if faults:
            _list("faults", faults)
    return int(bool(faults) or any(f.report.skipped for f in folders.values()))


def _to_dict(folder: Folder) -> dict:
    counts = {"images": len(folder), "classes": _counts(folder)}
    return counts | folder.report.to_dict()


def _counts(folder: Folder) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(np.asarray(folder.labels), minlength=len(folder.class_names))
    return dict(zip(folder.class_names, counts.tolist(), strict=True))


def _print(folder: Folder) -> None:
    say(f"{folder.root}: {len(folder):,} images that can be read")
    print_table(("class", "images"), _counts(folder).items())
    print_pairs(folder.report.facts())
    for title, items in folder.report.notes().items():
        _list(title, items)


def _list(title: str, lines: Sequence[str]) -> None:
    say(f"{title}:")
    for line in lines[:SHOWN]:
        say(f"  {line}")
    if len(lines) > SHOWN:
        say(f"  and {len(lines) - SHOWN:,} more, which --json lists")
