"""DATA, as the command line takes it: what a name or path holds, whole or in two parts.

`mnist`, a folder of class folders, a folder of MNIST's four files, a `.npz`, a `.csv`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import layout
from cnnzoo.data.folders.folder import Folder, scan
from cnnzoo.data.mnist import Split, is_mnist_folder, load_mnist
from cnnzoo.data.splits import group_key
from cnnzoo.data.table import read_csv
from cnnzoo.errors import DatasetError, UsageError

TOLD = 5  # copies that an error names


def open_source(
    data: str, split: Split = "train", *, download: bool = False, **reading: Any
) -> Source:
    """Opens what `data` names; of MNIST's forms, the given split.

    Of a folder that is split into `train`, `val` and `test` already, it is that part;
    "test" takes `val` where there is no `test`.

    Args:
        download: allows Keras to fetch MNIST's training digits.
        **reading: what `scan` takes, for a folder of images.

    Raises:
        DatasetError: there is nothing of that name, or nothing that can be read.
    """
    if data == "mnist":
        return load_mnist(split, download=download)
    path = Path(data)
    if path.suffix == ".npz" or is_mnist_folder(path):
        return load_mnist(split, path)
    if path.suffix == ".csv":
        return read_csv(path, complete=split == "train")
    if path.is_dir():
        parts = layout.predefined_splits(path)
        part = parts.get(split) or parts.get("validation") or path
        return scan(part, complete=split == "train", **reading)
    raise DatasetError(
        f"{data} is no data set: expected mnist, a folder of class folders, a folder of "
        "MNIST's four files, a .npz or a .csv"
    )


def open_train_validation(
    data: str,
    fraction: float | int = 0.1,
    seed: int = 0,
    *,
    group_by: str | None = None,
    allow_copies: bool = False,
    download: bool = False,
    **reading: Any,
) -> tuple[Source, Source]:
    """Opens what `data` names, in a part to learn from and a part to hold out.

    A folder with `train` and `val` in it has its parts; everything else is split.

    Args:
        fraction: the share of what is held out, or, an int, its number of images.
        seed: of the split.
        group_by: a regular expression; see `Source.groups`.
        allow_copies: whether an image may be in both of the parts that a folder has.
        download: allows Keras to fetch MNIST's training digits.
        **reading: what `scan` takes, for a folder of images.

    Raises:
        DatasetError: there is nothing of that name, it cannot be read, or images that
            are learnt are held out, too.
        UsageError: an argument is out of its range, or does not go with the data.
    """
    path = Path(data)
    reading.setdefault("checksums", True)
    given = layout.predefined_splits(path) if path.is_dir() else {}
    if "validation" in given:
        learned, held_out = _given(given["train"], given["validation"], reading)
        if not allow_copies:
            check_copies(learned, held_out)
        if group_by is not None:
            _check_groups(learned, held_out, group_by)
        return learned, held_out
    source = open_source(data, "train", download=download, **reading)
    return source.split(fraction, seed, group_by)


def _given(train: Path, validation: Path, reading: dict) -> tuple[Folder, Folder]:
    if reading.get("labels") is not None:
        raise UsageError(
            f"{train} and {validation} have their classes as folders; a table of labels "
            "is for a folder without parts, so leave it out"
        )
    return scan(train, **reading), scan(validation, complete=False, **reading)


def _check_groups(learned: Folder, held_out: Folder, group_by: str) -> None:
    one, other = (
        {group_key(group_by, name) for name in part.names} for part in (learned, held_out)
    )
    if both := sorted(one & other):
        raise DatasetError(
            f"{len(both)} groups are in {learned.root} and in {held_out.root}, such as "
            f"{both[0]!r}; move each into one of the two"
        )


def check_copies(learned: Folder, held_out: Folder) -> None:
    """Raises DatasetError where images that are learnt are held out, too.

    Both folders were scanned with their checksums.
    """
    if learned.checksums is None or held_out.checksums is None:
        return
    known = dict(zip(learned.checksums, learned.names, strict=True))
    pairs = [
        (name, known[checksum])
        for name, checksum in zip(held_out.names, held_out.checksums, strict=True)
        if checksum in known
    ]
    if pairs:
        told = "; ".join(f"{one!r} is {other!r}" for one, other in pairs[:TOLD])
        raise DatasetError(
            f"{len(pairs)} images of {held_out.root} are copies of images in "
            f"{learned.root}, which makes its figures too good: {told[:600]}; remove "
            "them, or go on with allow_copies (--allow-copies)"
        )
