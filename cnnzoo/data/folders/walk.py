"""Which files a folder of class folders has; none is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnnzoo.data.folders.label_file import classes_of

ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
)
"""The endings by which an image is known, in lower case."""

# What systems leave in folders; names with a leading dot are passed over, too.
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass
class FolderFiles:
    """The files of a folder, by name below it.

    Attributes:
        classes: the images of each class folder, all in text order.
        loose: images beside the class folders.
        ignored: how many files are no images by their ending in lower case.
        hidden: how many names were passed over.
        linked: links to what is in the folder already.
        skipped: what cannot be an image although it is named like one, with the reason.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    linked: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def labelled_by(self, path: str | Path) -> FolderFiles:
        """The same images, in the classes that a CSV file gives them.

        Raises:
            LabelError: the file does not go with the images.
        """
        inside = [name for images in self.classes.values() for name in images]
        return replace(self, classes=classes_of(path, [*self.loose, *inside]), loose=[])


def find_images(root: Path, *, follow_links: bool = False) -> FolderFiles:
    """Lists the images of every class folder, those in its subfolders too.

    Each file is listed once: a link to a file or folder that is listed is left out.

    Args:
        follow_links: follows links out of `root`, too, each target once; else they are
            told as skipped.

    Raises:
        OSError: a folder cannot be read.
        RecursionError: folders lie in folders a thousand deep.
    """
    walker = _Walker(root, follow_links)
    for entry in walker.visible(os.fspath(root)):
        kind = walker.kind(entry, entry.name)
        if kind == "folder":
            walker.found.classes[entry.name] = walker.images(
                entry.path, entry.name, linked=entry.is_symlink()
            )
        elif kind == "image":
            walker.found.loose.append(entry.name)
    return walker.found


class _Walker:
    def __init__(self, root: Path, follow_links: bool):
        self.found = FolderFiles()
        self._root = os.path.realpath(root)
        self._follow = follow_links
        self._reached: set[str] = set()  # real paths that links have led to

    def visible(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """What is in a folder, in text order, without hidden names."""
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if _is_hidden(entry.name):
                self.found.hidden += 1
            else:
                yield entry

    def images(self, folder: str, name: str, *, linked: bool = False) -> list[str]:
        """The names below the root of all images in a folder.

        Args:
            linked: whether a link led to the folder, so that another can lead there, too.
        """
        images = []
        for entry in self.visible(folder):
            inside = f"{name}/{entry.name}"
            kind = self.kind(entry, inside, linked=linked)
            if kind == "folder":
                through = linked or entry.is_symlink()
                images += self.images(entry.path, inside, linked=through)
            elif kind == "image":
                images.append(inside)
        return images

    def kind(
        self, entry: os.DirEntry[str], name: str, *, linked: bool = False
    ) -> str | None:
        """ "folder", "image", or None for what is neither, which is noted."""
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # links in a circle, or into a folder that is closed
            self.found.skipped.append((name, error.strerror or str(error)))
            return None
        ending = os.path.splitext(entry.name)[1].lower()
        if not is_folder and ending not in ENDINGS:
            self.found.ignored[ending] += 1
            return None
        if not is_folder and not is_file:
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            reason = "a link to nothing" if broken else "no regular file"
            self.found.skipped.append((name, reason))
            return None
        if (entry.is_symlink() or linked) and not self._is_first(entry, name):
            return None
        return "folder" if is_folder else "image"

    def _is_first(self, link: os.DirEntry[str], name: str) -> bool:
        """Whether what a link leads to is to be listed here; notes it where it is not."""
        target = os.path.realpath(link.path)
        inside = os.path.commonpath((self._root, target)) == self._root
        if target in self._reached or (inside and self._is_listed(target)):
            self.found.linked.append(name)
            return False
        if not inside and not self._follow:
            reason = "a link out of the folder: follow_links (--follow-links) follows it"
            self.found.skipped.append((name, reason))
            return False
        self._reached.add(target)
        return True

    def _is_listed(self, target: str) -> bool:
        """Whether the walk comes to a place in the root without links."""
        parts = os.path.relpath(target, self._root).split(os.sep)
        if any(map(_is_hidden, parts)) and parts != ["."]:
            return False
        if os.path.isdir(target):
            return True
        return len(parts) > 1 and os.path.splitext(target)[1].lower() in ENDINGS


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in JUNK
