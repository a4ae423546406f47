"""Folders of class folders: which images there are, and what is wrong with the others.

photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnnzoo.data.folders import layout
from cnnzoo.data.folders.header import Header
from cnnzoo.data.folders.inspection import (
    FileInspection,
    OnBad,
    inspect_files,
    unreadable,
)
from cnnzoo.data.folders.scan_report import ScanReport, copies, of_headers
from cnnzoo.data.folders.walk import Found, walk
from cnnzoo.data.splits import groups_of, split_rows

Depth = Literal["names", "headers", "pixels"]


@dataclass(frozen=True, eq=False)
class Folder:
    """The images of a folder of class folders; nothing of them is in memory.

    Attributes:
        root: the folder.
        names: the images, class by class, in text order, each as a path below the root
            with "/" between the parts.
        labels: (n,), int64, each an index into `class_names`.
        class_names: the names of the class folders, in text order ("10" before "2").
        findings: what the scan has to tell besides.
        headers: format and size of each image; None where only names were read.
        checksums: 16 bytes of each image's content; None where they were not asked for.
    """

    root: Path
    names: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    report: ScanReport
    headers: tuple[Header, ...] | None = None
    checksums: tuple[bytes, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The images, made new each time: a million of them are many megabytes."""
        return tuple(self.root / name for name in self.names)

    def take(self, rows: np.ndarray) -> Folder:
        """Returns the images at `rows`, (k,) integers, of the same classes."""

        def taken(values: tuple | None) -> Any:
            return None if values is None else tuple(values[row] for row in rows)

        return replace(
            self,
            names=taken(self.names),
            labels=self.labels[rows],
            headers=taken(self.headers),
            checksums=taken(self.checksums),
        )

    def split(
        self, fraction: float | int, seed: int, group_by: str | None = None
    ) -> tuple[Folder, Folder]:
        """Splits off a validation part with the same share of every class.

        Copies of an image, where the scan read checksums, stay in one part.

        Args:
            fraction: the share of the second part, above 0 and below 1, or, an int, its
                number of images.
            seed: of the random choice; the same seed gives the same parts.
            group_by: a regular expression; images for which it finds the same text in
                their names stay in one part, such as r"patient\\d+".

        Returns:
            The training part and the validation part.

        Raises:
            DatasetError: too few images for every class to be in both parts.
            UsageError: an argument is out of its range, or no regular expression.
        """
        groups = groups_of(self.names, self.checksums, group_by)
        train, validation = split_rows(
            self.labels, self.class_names, fraction, seed, groups
        )
        return self.take(train), self.take(validation)


def scan(
    folder: str | Path,
    *,
    complete: bool = True,
    depth: Depth = "headers",
    checksums: bool = False,
    on_bad: OnBad = "raise",
    follow_links: bool = False,
    labels: str | Path | None = None,
) -> Folder:
    """Finds the images in a folder of class folders, and what is wrong there.

    Each folder in it is a class; its images lie in it or deeper. Names with a leading dot
    and what systems leave behind are passed over.

    Args:
        complete: asks for two classes and an image in each, as training needs; False
            for a test set, in which some may be missing.
        depth: "names" opens no file; "headers" reads the first and the last bytes of
            each, which finds what is no image, too large or cut off; "pixels" decodes
            each as a whole, which finds all.
        checksums: reads each file as a whole, so that copies are known.
        on_bad: whether files that cannot be read are an error, or left out and told in
            the findings.
        follow_links: follows links that lead out of the folder, too.
        labels: a CSV file with the class of each image, wherever in the folder it lies.

    Raises:
        DatasetError: the folder is missing or unreadable, or its layout is not that of
            class folders.
        LabelError: the CSV file does not go with the images.
        ImageDecodeError: files that are named like images cannot be read.
    """
    root = Path(folder)
    found = _walked(root, follow_links)
    if labels is not None:
        found = found.labelled(labels)
    listed = [name for images in found.classes.values() for name in images]
    looks: dict[str, FileInspection] = {}
    bad = list(found.skipped)
    if depth != "names" or checksums:
        paths = [str(root / name) for name in listed]
        seen = inspect_files(paths, pixels=depth == "pixels", checksums=checksums)
        for name, look in zip(listed, seen, strict=True):
            if isinstance(look, FileInspection):
                looks[name] = look
            else:
                bad.append((name, look))
    if bad and on_bad == "raise":
        raise unreadable(root, bad)
    return _folder(root, found, looks, bad, complete=complete, checksums=checksums)


def _folder(
    root: Path,
    found: Found,
    looks: Mapping[str, FileInspection],
    bad: Sequence[tuple[str, str]],
    *,
    complete: bool,
    checksums: bool,
) -> Folder:
    """The images that are left without the bad ones, and what there is to tell."""
    left_out = {name for name, _ in bad}
    usable = {
        name: [image for image in images if image not in left_out]
        for name, images in found.classes.items()
    }
    counts = {name: len(images) for name, images in usable.items()}
    layout.check(root, counts, len(found.loose), complete=complete)
    names = tuple(name for images in usable.values() for name in images)
    headers = tuple(looks[name].header for name in names) if looks else None
    sums = tuple(looks[name].checksum for name in names) if checksums else None
    report = ScanReport(
        skipped=tuple(bad),
        linked=tuple(found.linked),
        ignored=dict(sorted(found.ignored.items())),
        hidden=found.hidden,
        copies=copies(names, sums) if sums else None,
        warned=tuple(
            (n, told) for n in names if n in looks for told in looks[n].warnings
        ),
        warnings=(
            *layout.warnings(counts, len(found.loose)),
            *_in_two_classes(names, sums, usable),
        ),
        **of_headers(names, headers or ()),
    )
    numbers = np.arange(len(counts), dtype=np.int64)
    labels = np.repeat(numbers, list(counts.values()))
    return Folder(root, names, labels, tuple(counts), report, headers, sums)


def _in_two_classes(
    names: Sequence[str],
    sums: Sequence[bytes] | None,
    classes: Mapping[str, Sequence[str]],
) -> list[str]:
    """A warning where copies of a picture have different classes."""
    of = {image: name for name, images in classes.items() for image in images}
    groups = copies(names, sums) if sums else ()
    mixed = [group for group in groups if len({of[image] for image in group}) > 1]
    if not mixed:
        return []
    told = " = ".join(map(repr, mixed[0]))
    return [f"{len(mixed)} pictures are in more than one class, such as {told}"]


def _walked(root: Path, follow_links: bool) -> Found:
    if not root.is_dir():
        seen = "a file" if root.exists() else "nothing"
        raise layout.unusable(root, "a folder", seen, "check the path")
    try:
        return walk(root, follow_links=follow_links)
    except OSError as error:
        raise layout.unusable(
            root, "readable folders", str(error), "allow access"
        ) from error
    except RecursionError as error:
        found = "folders in folders, a thousand deep"
        raise layout.unusable(root, "class folders", found, "move them up") from error
