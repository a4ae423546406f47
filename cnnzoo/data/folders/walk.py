"""Files of a folder of class folders, listed without opening them."""

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
"""Extensions of image files, in lower case."""

# Names that operating systems leave in folders; those with a leading dot are skipped too.
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass
class FolderFiles:
    """Files of a folder, by paths relative to it.

    Attributes:
        classes: Images of each class folder, all sorted as text.
        loose: Images beside the class folders.
        ignored: Number of files that are not images, per extension in lower case.
        hidden: Number of skipped names.
        linked: Links to files or folders that are already listed.
        skipped: Files that are named like images but cannot be any, each with the reason.
        notes: What a table of labels leaves out.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    linked: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def labelled_by(self, path: str | Path, root: Path, partial: bool) -> FolderFiles:
        """The same images, in the classes of a table, as `classes_of` makes them.

        Raises:
            LabelError: The file does not match the images.
        """
        inside = [name for images in self.classes.values() for name in images]
        classes, notes = classes_of(path, [*self.loose, *inside], root, partial)
        return replace(self, classes=classes, loose=[], notes=notes)


def find_images(root: Path, *, follow_links: bool = False) -> FolderFiles:
    """Lists the images of every class folder and its subfolders.

    Each file is listed once: a link to a file or folder that is listed is left out.

    Args:
        follow_links: Whether to follow links out of `root`, each target once; otherwise
            they are listed as skipped.

    Raises:
        OSError: A folder cannot be read.
        RecursionError: Folders are nested about a thousand deep.
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
        self._reached: set[str] = set()  # real paths of followed links

    def visible(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Entries of a folder, sorted as text, without hidden names."""
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if _is_hidden(entry.name):
                self.found.hidden += 1
            else:
                yield entry

    def images(self, folder: str, name: str, *, linked: bool = False) -> list[str]:
        """All images in a folder, by paths relative to the root.

        Args:
            linked: Whether a link led to the folder, so that another link can, too.
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
        """ "folder", "image", or None for other entries, which are recorded."""
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # circular links, or no access to the target
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
        """Whether the target of a link is listed here; records the link if not."""
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
        """Whether the walk reaches a path in the root without links."""
        parts = os.path.relpath(target, self._root).split(os.sep)
        if any(map(_is_hidden, parts)) and parts != ["."]:
            return False
        if os.path.isdir(target):
            return True
        return len(parts) > 1 and os.path.splitext(target)[1].lower() in ENDINGS


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in JUNK
