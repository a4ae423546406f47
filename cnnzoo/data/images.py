"""Folders of class folders: which images there are.

photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  ...
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnnzoo.data.arrays import stratified
from cnnzoo.errors import DatasetError

ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
)
"""The endings by which `scan` knows an image, in lower case."""

NOT_A_FILE = "not a file"
"""The key of `Folder.ignored` for subfolders, pipes and broken links."""


@dataclass(frozen=True, eq=False)
class Folder:
    """The images of a folder of class folders; nothing is decoded yet.

    Attributes:
        root: the folder.
        paths: the images, class by class, in text order.
        labels: (n,), int64, each an index into `class_names`.
        class_names: the names of the class folders, in text order ("10" before "2").
        ignored: how many files were left out, by their ending in lower case; hidden
            files are not counted.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    ignored: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> Folder:
        """Returns the images at `rows`, (k,) integers, of the same classes."""
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[rows],
        )

    def split(self, fraction: float, seed: int) -> tuple[Folder, Folder]:
        """Splits off a validation part with the same share of every class.

        Args:
            fraction: the share of the second part, above 0 and below 1.
            seed: of the random choice; the same seed gives the same parts.

        Returns:
            The training part and the validation part.

        Raises:
            DatasetError: too few images for every class to be in both parts.
            UsageError: `fraction` or `seed` is out of its range.
        """
        train, validation = stratified(self.labels, self.class_names, fraction, seed)
        return self.take(train), self.take(validation)


def scan(folder: str | Path, *, complete: bool = True) -> Folder:
    """Finds the images in a folder of class folders, without opening any.

    Hidden files and folders (a name with a leading dot) and `__MACOSX` are passed over.

    Args:
        folder: the folder; each folder in it is a class, and the images lie directly in
            the class folders.
        complete: asks for two classes and an image in each, as training needs; False
            for a test set, in which some may be missing.

    Returns:
        The images, their labels, and what was ignored.

    Raises:
        DatasetError: the folder is missing or unreadable, holds images but no class
            folders, fewer than two classes, or a class without images.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise _unusable(root, "a folder", found, "check the path")
    try:
        return _scan(root, complete)
    except OSError as error:
        raise _unusable(root, "readable folders", str(error), "allow access") from error


def _scan(root: Path, complete: bool) -> Folder:
    ignored: Counter[str] = Counter()
    entries = _visible(root)
    classes = [entry for entry in entries if entry.is_dir()]
    loose = _images([entry for entry in entries if not entry.is_dir()], ignored)
    if len(classes) < (2 if complete else 1):
        found = f"{len(classes)} class folders and {len(loose)} images beside them"
        advice = "sort the images into such folders, as in photos/cat/1.jpg"
        raise _unusable(
            root, "a folder for each class, at least two for training", found, advice
        )
    ignored.update(path.suffix.lower() for path in loose)
    paths: list[Path] = []
    counts: list[int] = []
    for entry in classes:
        inside = _visible(Path(entry.path))
        images = _images(inside, ignored)
        if complete and not images:
            found = f"none among {len(inside)} entries"
            advice = "add images directly in it or remove the folder"
            raise _unusable(Path(entry.path), "images of a class", found, advice)
        paths += images
        counts.append(len(images))
    return Folder(
        root=root,
        paths=tuple(paths),
        labels=np.repeat(np.arange(len(classes), dtype=np.int64), counts),
        class_names=tuple(entry.name for entry in classes),
        ignored=dict(sorted(ignored.items())),
    )


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """Lists what is in a folder, in text order, without hidden names."""
    with os.scandir(folder) as entries:
        return sorted(
            (
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name != "__MACOSX"
            ),
            key=lambda entry: entry.name,
        )


def _images(entries: list[os.DirEntry[str]], ignored: Counter[str]) -> list[Path]:
    """Returns the images among `entries`, and counts the others in `ignored`."""
    images = []
    for entry in entries:
        path = Path(entry.path)
        ending = path.suffix.lower() if entry.is_file() else NOT_A_FILE
        if ending in ENDINGS:
            images.append(path)
        else:
            ignored[ending] += 1
    return images


def _unusable(path: Path, expected: str, found: str, advice: str) -> DatasetError:
    return DatasetError(
        f"cannot use {path} as a set of images: expected {expected}, found {found}, so "
        f"{advice}"
    )
