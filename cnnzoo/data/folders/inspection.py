"""Inspection of many image files at once: headers, and optionally pixels and checksums.

Warnings of Pillow are stored with the file and not shown, since they do not name it.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import local
from typing import Literal

import numpy as np
from PIL import Image

from cnnzoo.data.decode import decode, has_deep_colours, is_deep, opened
from cnnzoo.errors import ImageDecodeError
from cnnzoo.system.runtime import cores

OnBad = Literal["raise", "report", "skip"]
BLOCK = 4096  # files per call of the pool, so that memory use is small for a million
SUM_BYTES = 16  # of a checksum; two of a million files collide with probability 1e-26
LISTED = 10  # bad files named in an error message
TAIL = 1 << 12  # bytes at the end of a file that usually contain its end marker
# Markers that occur only at the end of a file.
END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class FileInspection:
    """Result of the inspection of a readable file.

    Attributes:
        format: Pillow's name of the format of the content, such as "JPEG".
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        animated: Whether there are several frames, of which the first is read.
        deep_colours: Whether it has colours of 16 bits, for which no range is.
        largest: Largest value of a picture of 16 bits; None of one of 8 bits.
        checksum: First 16 bytes of the SHA-256 of its content; empty if not requested.
        warnings: Warnings of Pillow.
    """

    format: str
    width: int
    height: int
    animated: bool
    deep_colours: bool = False
    largest: int | None = None
    checksum: bytes = b""
    warnings: tuple[str, ...] = ()


def inspect_files(
    paths: Sequence[str], *, pixels: bool = False, checksums: bool = False
) -> Iterator[FileInspection | str]:
    """Inspects files in order; yields the reason for each that cannot be read.

    Args:
        pixels: Whether to decode each file as a whole, which finds damage anywhere.
        checksums: Whether to read each file as a whole, to detect copies.
    """
    here = local()  # per thread: `warnings` of the file that it inspects
    look = partial(_look, here, pixels=pixels, checksums=checksums)
    rest = iter(paths)
    with ThreadPoolExecutor(cores()) as pool:
        while block := list(islice(rest, BLOCK)):
            with _warnings_noted(here):
                looks = list(pool.map(look, block))
            yield from looks


def readable(
    paths: Sequence[str], on_bad: OnBad = "raise"
) -> tuple[list[str], list[tuple[str, str]]]:
    """Divides files into readable images and unreadable files, with reasons.

    Raises:
        ImageDecodeError: A file cannot be read, or with `on_bad="skip"` none can.
    """
    looks = list(zip(paths, inspect_files(paths, pixels=True), strict=True))
    good = [path for path, look in looks if isinstance(look, FileInspection)]
    bad = [(path, look) for path, look in looks if isinstance(look, str)]
    if bad and (on_bad == "raise" or not good):
        raise ImageDecodeError(
            f"{len(bad)} of {len(paths)} files cannot be read as images: {_listed(bad)}; "
            "check the names, repair the files, or leave them out with on_bad='skip' "
            "(--on-bad skip) if there are others"
        )
    return good, bad


def unreadable(where: str | Path, bad: Sequence[tuple[str, str]]) -> ImageDecodeError:
    """The error that names unreadable files, with reasons."""
    return ImageDecodeError(
        f"{where} has {len(bad)} files that cannot be read as images: {_listed(bad)}; "
        "repair or remove them, or leave them out with on_bad='skip' (--on-bad skip)"
    )


def _listed(bad: Sequence[tuple[str, str]]) -> str:
    listed = "; ".join(f"{name!r} ({reason[:60]})" for name, reason in bad[:LISTED])
    return listed[:700] + (f" and {len(bad) - LISTED} more" if len(bad) > LISTED else "")


@contextmanager
def _warnings_noted(here: local) -> Iterator[None]:
    """Appends each warning to `here.warnings` of its thread, if the thread has this list.

    Python has one list of filters for all threads, so it is set once around them.
    """

    def note(message: Warning | str, *details: object) -> None:
        noted = getattr(here, "warnings", None)
        if noted is None:
            show(message, *details)
        else:
            noted.append(str(message))

    with warnings.catch_warnings():
        show: Callable[..., None] = warnings.showwarning
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield


def _look(
    here: local, path: str, *, pixels: bool, checksums: bool
) -> FileInspection | str:
    here.warnings = []
    try:
        found = inspect(path, pixels=pixels)
        content = checksum(path) if checksums else b""
        noted = tuple(dict.fromkeys(here.warnings))
        return replace(found, checksum=content, warnings=noted)
    except ImageDecodeError as error:
        return error.found
    except OSError as error:
        return error.strerror or str(error)


def checksum(path: str | Path) -> bytes:
    """The first 16 bytes of the SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()[:SUM_BYTES]


def inspect(path: str | Path, *, pixels: bool = False) -> FileInspection:
    """Reads as much of an image file as it takes to know whether it is readable.

    A file that appears truncated is decoded as a whole, since some programs append bytes
    of their own.

    Args:
        pixels: Whether to decode every file as a whole, which finds damage anywhere.

    Raises:
        ImageDecodeError: The file is missing, not an image, too large, or truncated.
    """
    with opened(path) as image:
        found = FileInspection(
            format=image.format or "",
            width=image.width,
            height=image.height,
            animated=_animated(image),
            deep_colours=has_deep_colours(image),
            largest=_largest(image) if is_deep(image) else None,
        )
        looks_whole = _looks_whole(path, found.format)
    if pixels or not looks_whole:
        decode(path, (1, 1), 1)
    return found


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a later frame is damaged, and only the first is read
        return True


def _largest(image: Image.Image) -> int:
    """The largest value of a picture of 16 bits, of whose colours 8 bits are read."""
    if image.mode.startswith("I"):
        return int(np.asarray(image).max())
    return int(np.asarray(image.convert("RGB")).max()) * 256 + 255


def _looks_whole(path: str | Path, format: str) -> bool:
    """Whether the file appears complete; False if its format does not show that."""
    with open(path, "rb") as stream:
        start = stream.read(8)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - TAIL))
        end = stream.read()
    if format == "WEBP":
        return size >= 8 + int.from_bytes(start[4:], "little")
    if format == "BMP":
        return size >= int.from_bytes(start[2:6], "little") > 0
    if format == "GIF":
        return end.endswith(b";")
    return format in END_MARKS and END_MARKS[format] in end
