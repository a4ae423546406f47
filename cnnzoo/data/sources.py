"""Data sets by name or path, as the command line takes them: whole, in two parts, folds.

`mnist`, `fashion_mnist`, `cifar10`, a folder of class folders, a folder of MNIST's four
files, an `.npz` or a `.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.downloads import CLASS_NAMES
from cnnzoo.data.folders import layout
from cnnzoo.data.folders.folder import Folder, scan
from cnnzoo.data.mnist import Split, is_mnist_folder, load_mnist, load_named
from cnnzoo.data.splits import first_rows, group_key
from cnnzoo.data.table import read_csv
from cnnzoo.errors import DatasetError, UsageError

LISTED = 5  # copies named in an error message


def open_source(
    data: str, split: Split = "train", *, download: bool = False, **reading: Any
) -> Source:
    """Opens a data set; of MNIST and its formats, the given split.

    Of a folder with the subfolders `train`, `val` and `test`, it opens one of these;
    "test" is `val` if there is no `test`.

    Args:
        download: Whether Keras may download Fashion-MNIST, CIFAR-10 or MNIST's training
            digits.
        **reading: Arguments of `scan`, for a folder of images.

    Raises:
        DatasetError: The data set does not exist or cannot be read.
    """
    if data == "mnist":
        return load_mnist(split, download=download)
    if data in CLASS_NAMES:
        return load_named(data, split, download=download)
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
        f"{data} is no data set: expected mnist, fashion_mnist, cifar10, a folder of "
        "class folders, a folder of MNIST's four files, a .npz or a .csv; unpack archives"
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
    """Opens a data set as training and validation images.

    The subfolders `train` and `val` are used if they exist; all other data are split.

    Args:
        fraction: Share of the validation images, or their number if it is an int.
        seed: Random seed of the split.
        group_by: Regular expression; see `Source.groups`.
        allow_copies: Whether an image may be in both `train` and `val`.
        download: As in `open_source`.
        **reading: Arguments of `scan`, for a folder of images.

    Raises:
        DatasetError: The data set does not exist or cannot be read, or training images
            are also validation images.
        UsageError: An argument is out of its range, or does not fit the data.
    """
    path = Path(data)
    reading.setdefault("checksums", True)
    splits = layout.predefined_splits(path) if path.is_dir() else {}
    if "validation" in splits:
        train, validation = _scan_both(splits["train"], splits["validation"], reading)
        if not allow_copies:
            check_copies(train, validation)
        if group_by is not None:
            _check_groups(train, validation, group_by)
        return train, validation
    source = open_source(data, "train", download=download, **reading)
    return source.split(fraction, seed, group_by)


def split_folds(
    source: Source, folds: int, seed: int, group_by: str | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields training and test rows of each fold.

    Folds are stratified by class; copies of a file, and files of a group, are in the same
    fold.

    Raises:
        UsageError: There are fewer than 2 folds.
        DatasetError: A class has fewer images than there are folds.
    """
    if folds < 2:
        raise UsageError(f"cannot make {folds} folds: expected at least 2, so pass more")
    if source.labels is None:
        raise DatasetError("folds need labels and the data have none; give labelled data")
    labels = np.asarray(source.labels)
    rows = np.arange(len(labels))
    first, group = first_rows(source.groups(group_by), len(rows))
    present, counts = np.unique(labels[first], return_counts=True)
    if counts.min() < folds:
        few = source.class_names[present[counts.argmin()]]
        raise DatasetError(
            f"cannot make {folds} folds: expected as many images per class, where copies "
            f"and groups count once, found {counts.min()} of {few!r}; add images or make "
            "fewer folds"
        )
    from sklearn.model_selection import StratifiedKFold  # takes a second

    maker = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for _, chosen in maker.split(np.zeros(len(first)), labels[first]):
        test = np.isin(group, chosen)
        yield rows[~test], rows[test]


def _scan_both(train: Path, validation: Path, reading: dict) -> tuple[Folder, Folder]:
    if reading.get("labels") is not None:
        raise UsageError(
            f"{train} and {validation} have their classes as folders; a table of labels "
            "is for a folder without parts, so leave it out"
        )
    return scan(train, **reading), scan(validation, complete=False, **reading)


def _check_groups(train: Folder, validation: Folder, group_by: str) -> None:
    one, other = (
        {group_key(group_by, name) for name in part.names} for part in (train, validation)
    )
    if both := sorted(one & other):
        raise DatasetError(
            f"{len(both)} groups are in {train.root} and in {validation.root}, such as "
            f"{both[0]!r}; move each into one of the two"
        )


def check_copies(train: Folder, validation: Folder) -> None:
    """Raises DatasetError if training images are also validation images.

    Nothing is checked if a folder was scanned without checksums.
    """
    if train.checksums is None or validation.checksums is None:
        return
    known = dict(zip(train.checksums, train.names, strict=True))
    pairs = [
        (name, known[checksum])
        for name, checksum in zip(validation.names, validation.checksums, strict=True)
        if checksum in known
    ]
    if pairs:
        listed = "; ".join(f"{one!r} is {other!r}" for one, other in pairs[:LISTED])
        raise DatasetError(
            f"{len(pairs)} images of {validation.root} are copies of images in "
            f"{train.root}, which makes its metrics too good: {listed[:600]}; remove "
            "them, or go on with allow_copies (--allow-copies)"
        )
