"""Folders of class folders: their images, and the files that cannot be used.

photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from cnnzoo.data.decode import NO_RANGE
from cnnzoo.data.folders import layout
from cnnzoo.data.folders.image_files import ImageFiles
from cnnzoo.data.folders.inspection import (
    FileInspection,
    OnBad,
    inspect_files,
    unreadable,
)
from cnnzoo.data.folders.scan_report import (
    ScanReport,
    copies,
    of_inspections,
    rare,
    value_range_warnings,
)
from cnnzoo.data.folders.walk import FolderFiles, find_images
from cnnzoo.errors import UsageError
from cnnzoo.spec import Geometry

RARE = "of a format that nearly no other file has"  # why it is left out
Depth = Literal["names", "headers", "pixels"]


@dataclass(frozen=True, eq=False)
class Folder(ImageFiles):
    """The images of a folder of class folders, which are not kept in memory.

    `class_names` are the names of the class folders, sorted as text ("10" before "2");
    `names` are sorted likewise, class by class.

    Attributes:
        report: Findings of the scan besides the images.
    """

    report: ScanReport = field(default_factory=ScanReport)

    def report_lines(self) -> list[str]:
        return self.report.lines()


def scan(
    folder: str | Path,
    *,
    complete: bool = True,
    depth: Depth = "headers",
    checksums: bool = False,
    on_bad: OnBad = "raise",
    follow_links: bool = False,
    labels: str | Path | None = None,
    partial: bool = False,
    value_range: tuple[int, int] | None = None,
) -> Folder:
    """Scans a folder of class folders for images and for problems.

    Each subfolder is a class, with images at any depth. Names with a leading dot, and
    files that operating systems leave behind, are skipped.

    Args:
        complete: Whether to require two classes and an image in each, as training does;
            False for a test set, in which some may be missing.
        depth: "names" opens no file; "headers" reads the first and the last bytes of
            each, which finds files that are not images, too large or truncated; "pixels"
            decodes each as a whole, which finds all damage.
        checksums: Whether to read each file as a whole, to detect copies.
        on_bad: "raise" for an error if files cannot be read; "report" to leave them out
            and list them in the report; "skip" to leave out also images of a format that
            at most one in a hundred has, unless a class has no others.
        follow_links: Whether to follow links that lead out of the folder.
        labels: Path of a table with the class of each image, anywhere in the folder; see
            `cnnzoo.data.folders.label_file`.
        partial: Whether to leave out images without a line, and lines without a file.
        value_range: Values of grey pictures of 16 bits that become 0 and 255, such as
            (0, 4095) for 12 bits; None for (0, 65535). A training gives it to its model.

    Raises:
        UsageError: There is `partial` and no table, no range, or no path of a folder.
        DatasetError: The folder is missing or unreadable, or its layout is not that of
            class folders.
        LabelError: The table does not match the images.
        ImageDecodeError: Files that are named like images cannot be read.
    """
    root = _path(folder)
    geometry = None if value_range is None else Geometry(value_range=value_range)
    found = find_files(root, follow_links)
    if labels is not None:
        found = found.labelled_by(labels, root, partial)
    elif partial:
        raise UsageError(
            "partial (--partial) is for a table of labels; pass labels (--labels), too"
        )
    inspections, unusable = _inspect(root, found, depth, checksums)
    bad = [*found.skipped, *unusable]
    if geometry:
        bad += [(name, NO_RANGE) for name, one in inspections.items() if one.deep_colours]
    if bad and on_bad == "raise":
        raise unreadable(root, bad)
    if on_bad == "skip":
        bad += [(name, RARE) for name in _rare_of_more(found, inspections)]
    parts = root, found, inspections, bad, geometry
    return _folder(*parts, complete=complete, checksums=checksums)


def _path(folder: object) -> Path:
    if not isinstance(folder, str | Path):
        raise UsageError(
            f"scan takes the path of a folder; got a {type(folder).__name__}, so pass "
            "that, or (paths, labels) to fit and evaluate"
        )
    return Path(folder)


def _rare_of_more(
    found: FolderFiles, inspections: Mapping[str, FileInspection]
) -> set[str]:
    """The images of a rare format in classes that have others, too."""
    few = set(rare(inspections))
    readable = [set(names) & set(inspections) for names in found.classes.values()]
    return {name for names in readable if not names <= few for name in names & few}


def _inspect(
    root: Path, found: FolderFiles, depth: Depth, checksums: bool
) -> tuple[dict[str, FileInspection], list[tuple[str, str]]]:
    """Facts about the images by name, and the files that are none, with the reason."""
    if depth == "names" and not checksums:
        return {}, []
    listed = [name for images in found.classes.values() for name in images]
    paths = [str(root / name) for name in listed]
    results = inspect_files(paths, pixels=depth == "pixels", checksums=checksums)
    facts, bad = {}, []
    for name, result in zip(listed, results, strict=True):
        if isinstance(result, FileInspection):
            facts[name] = result
        else:
            bad.append((name, result))
    return facts, bad


def _folder(
    root: Path,
    found: FolderFiles,
    inspections: Mapping[str, FileInspection],
    bad: Sequence[tuple[str, str]],
    geometry: Geometry | None,
    *,
    complete: bool,
    checksums: bool,
) -> Folder:
    """The usable images, with the report of the scan."""
    left_out = {name for name, _ in bad}
    usable = {
        name: [image for image in images if image not in left_out]
        for name, images in found.classes.items()
    }
    counts = {name: len(images) for name, images in usable.items()}
    layout.check(root, counts, len(found.loose), complete=complete)
    names = tuple(name for images in usable.values() for name in images)
    inspected = {name: inspections[name] for name in names} if inspections else {}
    sums = tuple(image.checksum for image in inspected.values()) if checksums else None
    groups = copies(names, sums) if sums else None
    report = ScanReport(
        skipped=tuple(bad),
        linked=tuple(found.linked),
        ignored=dict(sorted(found.ignored.items())),
        hidden=found.hidden,
        loose=len(found.loose),
        copies=groups,
        warnings=(
            *found.notes,
            *layout.warnings(counts, len(found.loose)),
            *_in_two_classes(groups or (), usable),
            *value_range_warnings(inspected.values(), geometry and geometry.value_range),
        ),
        **of_inspections(inspected),
    )
    numbers = np.arange(len(counts), dtype=np.int64)
    labels = np.repeat(numbers, list(counts.values()))
    return Folder(names, root, labels, tuple(counts), sums, geometry, report)


def _in_two_classes(
    groups: Sequence[Sequence[str]], classes: Mapping[str, Sequence[str]]
) -> list[str]:
    """A warning if copies of an image have different classes."""
    of = {image: name for name, images in classes.items() for image in images}
    mixed = [group for group in groups if len({of[image] for image in group}) > 1]
    if not mixed:
        return []
    example = " = ".join(map(repr, mixed[0]))
    return [f"{len(mixed)} pictures are in more than one class, such as {example}"]


def find_files(root: Path, follow_links: bool) -> FolderFiles:
    """What `find_images` lists.

    Raises:
        DatasetError: The folder is missing, unreadable, or nested too deeply.
    """
    if not root.is_dir():
        seen = "a file" if root.exists() else "nothing"
        raise layout.unusable(root, "a folder", seen, "check the path")
    try:
        return find_images(root, follow_links=follow_links)
    except OSError as error:
        raise layout.unusable(
            root, "readable folders", str(error), "allow access"
        ) from error
    except RecursionError as error:
        found = "folders in folders, a thousand deep"
        raise layout.unusable(root, "class folders", found, "move them up") from error
