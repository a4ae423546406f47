"""Report of a scan of a folder: all findings besides the images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from PIL import Image

from cnnzoo.data.folders.inspection import FileInspection

LISTED = 10  # maximum number of items per title


@dataclass(frozen=True)
class ScanReport:
    """Unused files of a folder, and facts about its images.

    Attributes:
        skipped: Files that are named like images but left out, each with the reason.
        linked: Links to files or folders that are already listed.
        ignored: Number of files that are not images, per extension in lower case.
        hidden: Number of skipped names, with a leading dot or of the operating system.
        loose: Number of images beside the class folders, which are left out.
        formats: Number of images per format.
        sizes: Smallest and largest (height, width), in pixels; None without headers.
        rare: Images of a format that at most one in a hundred has, such as a placeholder
            for a missing image.
        misnamed: Images with the extension of another format; they are read.
        animated: Images with several frames, of which the first is read.
        copies: Groups of images with equal content; None without checksums.
        warned: Images that are read, each with a warning of the decoder.
        warnings: Probable mistakes in the data.
    """

    skipped: tuple[tuple[str, str], ...] = ()
    linked: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 0
    loose: int = 0
    formats: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    rare: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()
    animated: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] | None = None
    warned: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """The report as JSON can hold it."""
        return asdict(self)

    def facts(self) -> dict[str, str]:
        """Returns facts about the images, by name."""
        facts = {"formats": _counted(self.formats)}
        if self.sizes:
            (low, narrow), (high, wide) = self.sizes
            facts["height"] = f"{low:,} to {high:,} pixels"
            facts["width"] = f"{narrow:,} to {wide:,} pixels"
        if self.hidden:
            facts["hidden"] = f"{self.hidden:,} skipped"
        return facts

    def notes(self) -> dict[str, Sequence[str]]:
        """Returns unused files and probable mistakes, as items by title."""
        notes = {
            "ignored extensions": [_counted(self.ignored)] if self.ignored else (),
            "left out": [f"{name!r}: {reason}" for name, reason in self.skipped],
            "duplicate links": list(map(repr, self.linked)),
            "rare formats": list(map(repr, self.rare)),
            "extension does not match the format": list(map(repr, self.misnamed)),
            "with several frames, the first of which is read": list(
                map(repr, self.animated)
            ),
            "read with a warning": [f"{name!r}: {text}" for name, text in self.warned],
            "copies of each other": [
                " = ".join(map(repr, group)) for group in self.copies or ()
            ],
            "warnings": self.warnings,
        }
        return {title: items for title, items in notes.items() if items}

    def lines(self) -> list[str]:
        """Returns the notes, one item per line and at most ten per title."""
        lines = []
        for title, items in self.notes().items():
            lines += [f"{title}: {item}" for item in items[:LISTED]]
            if len(items) > LISTED:
                lines.append(f"{title}: {len(items)} in all; see cnnzoo check")
        return lines


RARE = 0.01  # maximum share of all images that a rare format has
RANGES = (255, 1023, 4095, 16383)  # largest values of 8, 10, 12 and 14 bits


def of_inspections(images: Mapping[str, FileInspection]) -> dict:
    """Fields of the report that come from the inspection of images, by name."""
    if not images:
        return {}
    heights = [image.height for image in images.values()]
    widths = [image.width for image in images.values()]
    formats = Counter(image.format for image in images.values())
    return {
        "formats": dict(formats.most_common()),
        "sizes": ((min(heights), min(widths)), (max(heights), max(widths))),
        "rare": rare(images),
        "misnamed": tuple(n for n, image in images.items() if _misnamed(n, image.format)),
        "animated": tuple(n for n, image in images.items() if image.animated),
        "warned": tuple((n, text) for n, i in images.items() for text in i.warnings),
    }


def rare(images: Mapping[str, FileInspection]) -> tuple[str, ...]:
    """Images of a format that at most one in a hundred has."""
    formats = {name: _plain(image.format) for name, image in images.items()}
    counts, few = Counter(formats.values()), RARE * len(images)
    return tuple(name for name, format in formats.items() if counts[format] <= few)


def value_range_warnings(
    images: Iterable[FileInspection], value_range: tuple[int, int] | None
) -> list[str]:
    """Warnings of pictures of 16 bits that do not fit the range of their values."""
    largest = [image.largest for image in images if image.largest is not None]
    high = value_range[1] if value_range else 65535
    dark = [value for value in largest if value < high / 4]
    bright = [value for value in largest if value > high]
    found = []
    if dark and len(dark) == len(largest):  # others of the same camera may be brighter
        bound = next(b for b in RANGES if b >= max(dark))
        found.append(
            f"{len(dark)} pictures of 16 bits have no value above {max(dark)} and become "
            f"nearly black; tell the range of grey ones by value_range=(0, {bound}) "
            f"(--value-range 0 {bound}), and save others with 8 bits"
        )
    if bright:
        found.append(
            f"{len(bright)} pictures of 16 bits have values above {high}, up to "
            f"{max(bright)}, which become white; check value_range (--value-range)"
        )
    return found


def copies(names: Sequence[str], checksums: Sequence[bytes]) -> tuple:
    """Groups of names whose files have the same content."""
    groups: dict[bytes, list[str]] = {}
    for name, checksum in zip(names, checksums, strict=True):
        groups.setdefault(checksum, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _misnamed(name: str, format: str) -> bool:
    ending = os.path.splitext(name)[1].lower()
    return Image.registered_extensions().get(ending) != _plain(format)


def _plain(format: str) -> str:
    """The format, but JPEG for MPO, which is several JPEGs in one file."""
    return "JPEG" if format == "MPO" else format


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'no ending'} {count:,}" for name, count in counts.items())
