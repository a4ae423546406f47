"""Layout of a folder of class folders: its requirements, and warnings about it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cnnzoo.errors import DatasetError

# Names of the folders of predefined splits, in lower case.
PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def predefined_splits(root: Path) -> dict[str, Path]:
    """The folders of the splits in a folder; empty if it is not split.

    Returns:
        "train" and at least one of "validation" and "test", each with its folder.
    """
    here = {path.name.lower(): path for path in root.iterdir() if path.is_dir()}
    known = {part: [n for n in names if n in here] for part, names in PARTS.items()}
    found = {part: here[names[0]] for part, names in known.items() if names}
    return found if "train" in found and len(found) > 1 else {}


def check(root: Path, images: Mapping[str, int], loose: int, *, complete: bool) -> None:
    """Raises DatasetError if the layout is not that of class folders.

    Args:
        images: Number of usable images per class.
        loose: Number of images beside the class folders.
        complete: Whether to require two classes and an image in each.
    """
    if len(images) < (2 if complete else 1):
        seen = f"{len(images)} such folders and {loose} images beside them"
        advice = "sort the images into such folders, as in photos/cat/1.jpg"
        raise unusable(root, "a folder for each class, at least two", seen, advice)
    if not complete:
        return
    splits = {name for names in PARTS.values() for name in names}
    if all(name.lower() in splits for name in images):
        seen = f"folders named like parts of a set, {', '.join(images)}"
        advice = f"give one of these, such as {root / next(iter(images))}"
        raise unusable(root, "a folder for each class", seen, advice)
    for name, count in images.items():
        if not count:
            seen = "none that can be used"
            advice = "add images to it or remove the folder"
            raise unusable(root / name, "images of a class", seen, advice)


def warnings(images: Mapping[str, int], loose: int) -> tuple[str, ...]:
    """Warnings about the names of classes and their numbers of images."""
    forms = Counter(map(_form, images))
    alike = [name for name in images if forms[_form(name)] > 1]
    found = []
    if alike:
        found.append(f"classes whose names are the same to a reader: {', '.join(alike)}")
    if all(name.isdecimal() for name in images) and list(images) != sorted(
        images, key=int
    ):
        found.append(f"classes are in text order: {', '.join(list(images)[:10])}")
    if loose:
        found.append(f"{loose} images lie beside the class folders and are left out")
    counts = [count for count in images.values() if count]
    if counts and max(counts) > 10 * min(counts):
        found.append(f"classes have between {min(counts)} and {max(counts)} images")
    return tuple(found)


def unusable(path: Path, expected: str, found: str, advice: str) -> DatasetError:
    return DatasetError(
        f"cannot use {path} as a set of images: expected {expected}, found {found}, so "
        f"{advice}"
    )


def _form(name: str) -> str:
    """Form in which names that differ only in case or encoding of accents are equal."""
    return unicodedata.normalize("NFC", name).casefold()
