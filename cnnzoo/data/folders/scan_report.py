"""What a scan of a folder has to tell besides its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from cnnzoo.data.folders.inspection import Header

LISTED = 10  # items of a title


@dataclass(frozen=True)
class ScanReport:
    """What is in a folder besides images that are used, and how these are.

    Attributes:
        skipped: files that are named like images and were left out, with the reason.
        linked: links to what is in the folder already; each file counts once.
        ignored: how many files were left out, by their ending in lower case.
        hidden: how many names with a leading dot, or of a system's own, were passed over.
        formats: how many images there are of each format.
        sizes: smallest and largest height and width, pixels; None without headers.
        rare: images of a format that at most one in a hundred has, such as a picture
            that stands for a missing one.
        misnamed: images whose ending is that of another format; they are read.
        animated: images with more than one frame; the first is read.
        copies: groups of images of equal content; None without checksums.
        warned: images that are read, with what the decoder warned of.
        warnings: what looks like a mistake.
    """

    skipped: tuple[tuple[str, str], ...] = ()
    linked: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 0
    formats: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    rare: tuple[str, ...] = ()
    misnamed: tuple[str, ...] = ()
    animated: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] | None = None
    warned: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """As JSON has it."""
        return asdict(self)

    def facts(self) -> dict[str, str]:
        """Returns what the images are, by name."""
        facts = {"formats": _counted(self.formats)}
        if self.sizes:
            (low, narrow), (high, wide) = self.sizes
            facts["height"] = f"{low:,} to {high:,} pixels"
            facts["width"] = f"{narrow:,} to {wide:,} pixels"
        if self.hidden:
            facts["hidden"] = f"{self.hidden:,} passed over"
        return facts

    def notes(self) -> dict[str, Sequence[str]]:
        """Returns what is not used and what looks wrong: titles with their items."""
        notes = {
            "endings that are not read": [_counted(self.ignored)] if self.ignored else (),
            "left out": [f"{name!r}: {reason}" for name, reason in self.skipped],
            "links to what is there already": list(map(repr, self.linked)),
            "of a format that nearly no other has": list(map(repr, self.rare)),
            "of another format than the name says": list(map(repr, self.misnamed)),
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
        """Returns the notes, one item per line, at most ten of a title."""
        return [
            f"{title}: {item}"
            for title, items in self.notes().items()
            for item in (
                *items[:LISTED],
                *([f"{len(items)} in all; see cnnzoo check"] * (len(items) > LISTED)),
            )
        ]


RARE = 0.01  # the share of all images that a rare format has, at most
NAMED = {  # what formats are called by the endings of files
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "MPO": (".jpg", ".jpeg"),
}


def of_headers(names: Sequence[str], headers: Sequence[Header]) -> dict:
    """What the headers of files have to tell; of none, nothing."""
    if not headers:
        return {}
    heights = [header.height for header in headers]
    widths = [header.width for header in headers]
    formats = Counter(header.format for header in headers)
    few = RARE * len(headers)
    pairs = list(zip(names, headers, strict=True))
    return {
        "formats": dict(formats.most_common()),
        "sizes": ((min(heights), min(widths)), (max(heights), max(widths))),
        "rare": tuple(name for name, h in pairs if formats[h.format] <= few),
        "misnamed": tuple(name for name, h in pairs if _misnamed(name, h)),
        "animated": tuple(name for name, h in pairs if h.animated),
    }


def copies(names: Sequence[str], checksums: Sequence[bytes]) -> tuple:
    """Groups of names whose files have the same content."""
    groups: dict[bytes, list[str]] = {}
    for name, checksum in zip(names, checksums, strict=True):
        groups.setdefault(checksum, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _misnamed(name: str, header: Header) -> bool:
    endings = NAMED.get(header.format, (f".{header.format.lower()}",))
    return not name.lower().endswith(endings)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'no ending'} {count:,}" for name, count in counts.items())
