"""Which files a folder of class folders has; none is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnnzoo.data.labels import classes_of

ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
)
"""The endings by which an image is known, in lower case."""

# What systems leave in folders; names with a leading dot are passed over, too.
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass
class Found:
    """The files of a folder, by name below it.

    Attributes:
        classes: the images of each class folder, all in text order.
        loose: images beside the class folders.
        entries: how many visible entries each class folder has.
        ignored: how many files are no images by their ending in lower case.
        hidden: how many names were passed over.
        linked: links to what is in the folder already.
        skipped: what cannot be an image although it is named like one, with the reason.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    linked: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def labelled(self, path: str | Path) -> Found:
        """The same images, in the classes that a CSV file gives them.

        Raises:
            LabelError: the file does not go with the images.
        """
        inside = [name for images in self.classes.values() for name in images]
        classes = classes_of(path, [*self.loose, *inside])
        counts = {name: len(images) for name, images in classes.items()}
        return replace(self, classes=classes, loose=[], entries=counts)


def walk(root: Path, *, follow_links: bool = False) -> Found:
    """Lists the images of every class folder, those in its subfolders too.

    Each file is listed once: a link to a file or folder that is listed is left out.

    Args:
        follow_links: follows links out of `root`, too, each target once; else they are
            told as skipped.

    Raises:
        OSError: a folder cannot be read.
    """
    walker = _Walker(root, follow_links)
    for entry in walker.visible(os.fspath(root)):
        if walker.is_folder(entry, entry.name):
            images, count = walker.images(entry.path, entry.name)
            walker.found.classes[entry.name] = images
            walker.found.entries[entry.name] = count
        elif walker.is_image(entry, entry.name):
            walker.found.loose.append(entry.name)
    return walker.found


class _Walker:
    def __init__(self, root: Path, follow_links: bool):
        self.found = Found()
        self._root = os.path.realpath(root)
        self._follow = follow_links
        self._targets: set[str] = set()  # of links that were followed

    def visible(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """What is in a folder, in text order, without hidden names."""
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if entry.name.startswith(".") or entry.name in JUNK:
                self.found.hidden += 1
            else:
                yield entry

    def images(self, folder: str, name: str) -> tuple[list[str], int]:
        """The names below the root of all images in a folder, and its entries."""
        images, count = [], 0
        for entry in self.visible(folder):
            inside = f"{name}/{entry.name}"
            count += 1
            if self.is_folder(entry, inside):
                images += self.images(entry.path, inside)[0]
            elif self.is_image(entry, inside):
                images.append(inside)
        return images, count

    def is_folder(self, entry: os.DirEntry[str], name: str) -> bool:
        return entry.is_dir() and (not entry.is_symlink() or self._goes_on(entry, name))

    def is_image(self, entry: os.DirEntry[str], name: str) -> bool:
        """Notes what is none."""
        ending = os.path.splitext(entry.name)[1].lower()
        if entry.is_dir():
            return False  # a link to a folder, which has been told
        if ending not in ENDINGS:
            self.found.ignored[ending] += 1
            return False
        if not entry.is_file():
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            reason = "a link to nothing" if broken else "no regular file"
            self.found.skipped.append((name, reason))
            return False
        return not entry.is_symlink() or self._goes_on(entry, name)

    def _goes_on(self, link: os.DirEntry[str], name: str) -> bool:
        """Whether a link is followed; notes one that is not."""
        target = os.path.realpath(link.path)
        inside = os.path.commonpath((self._root, target)) == self._root
        if inside or target in self._targets:
            self.found.linked.append(name)
            return False
        if not self._follow:
            reason = "a link out of the folder, which follow_links=True follows"
            self.found.skipped.append((name, reason))
            return False
        self._targets.add(target)
        return True
