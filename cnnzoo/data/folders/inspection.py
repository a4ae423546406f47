"""A look at many image files at once: headers, pixels where asked for, checksums.

What Pillow warns of is noted with the file, and not shown: it does not name the file.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from threading import local
from typing import Literal

from PIL import Image

from cnnzoo.data.decode import decode, opened
from cnnzoo.errors import ImageDecodeError
from cnnzoo.system.runtime import cores

OnBad = Literal["raise", "skip"]
BLOCK = 4096  # files handed to the pool at a time, so that a million stay small
SUM_BYTES = 16  # of a checksum: two of a million files have the same once in 1e26 times
LISTED = 10  # bad files that an error names
TAIL = 1 << 12  # bytes at the end of a file, where its end mark stands as a rule
# What stands at the end of a file and nowhere else in it.
END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class Header:
    """What an image file is.

    Attributes:
        format: Pillow's name, such as "JPEG"; the content tells it.
        width: pixels, as they are stored.
        height: likewise.
        animated: whether there are more frames than the first, which is the one read.
    """

    format: str
    width: int
    height: int
    animated: bool


@dataclass(frozen=True)
class FileInspection:
    """What a look at a file that can be read found.

    Attributes:
        header: what it is.
        checksum: the first 16 bytes of the SHA-256 of its content; empty where it was
            not asked for.
        warnings: what Pillow warned of.
    """

    header: Header
    checksum: bytes = b""
    warnings: tuple[str, ...] = ()


def inspect_files(
    paths: Sequence[str], *, pixels: bool = False, checksums: bool = False
) -> Iterator[FileInspection | str]:
    """Looks at files, in their order; for one that cannot be read, says why.

    Args:
        pixels: decodes each as a whole, which finds damage anywhere.
        checksums: reads each as a whole, to know copies of it.
    """
    here = local()  # of a thread: `warnings`, those of the file it looks at
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
    """Divides files in those that can be read as images and the others, with reasons.

    Raises:
        ImageDecodeError: one cannot be read, or, where they may be left out, none can.
    """
    looks = list(zip(paths, inspect_files(paths, pixels=True), strict=True))
    good = [path for path, look in looks if isinstance(look, FileInspection)]
    bad = [(path, look) for path, look in looks if isinstance(look, str)]
    if bad and (on_bad == "raise" or not good):
        raise unreadable(f"what is to be read, {len(paths)} files,", bad)
    return good, bad


def unreadable(where: str | Path, bad: Sequence[tuple[str, str]]) -> ImageDecodeError:
    """The error that names files, with reasons, that cannot be read."""
    listed = "; ".join(f"{name!r} ({reason[:60]})" for name, reason in bad[:LISTED])
    more = f" and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    return ImageDecodeError(
        f"{where} has {len(bad)} files that cannot be read as images: "
        f"{listed[:700]}{more}; repair or remove them, or leave them out with "
        "on_bad='skip' (--on-bad skip)"
    )


@contextmanager
def _warnings_noted(here: local) -> Iterator[None]:
    """Each warning goes to `here.warnings` of its thread, if the thread has that.

    Python keeps one list of filters for all threads, so it is set once around all.
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
        header = inspect(path, pixels=pixels)
        summed = checksum(path) if checksums else b""
        return FileInspection(header, summed, tuple(dict.fromkeys(here.warnings)))
    except ImageDecodeError as error:
        return error.found
    except OSError as error:
        return error.strerror or str(error)


def checksum(path: str | Path) -> bytes:
    """The first 16 bytes of the SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()[:SUM_BYTES]


def inspect(path: str | Path, *, pixels: bool = False) -> Header:
    """Looks at an image file as far as it takes to know whether it can be read.

    A file whose end looks cut off is decoded as a whole: other programs add bytes of
    their own behind the end.

    Args:
        pixels: decodes every file as a whole, which finds damage in between, too.

    Raises:
        ImageDecodeError: it is missing, no image, too large, or cut off.
    """
    with opened(path) as image:
        header = Header(
            format=image.format or "",
            width=image.width,
            height=image.height,
            animated=_animated(image),
        )
        looks_whole = _looks_whole(path, header.format)
    if pixels or not looks_whole:
        decode(path, (1, 1), 1)
    return header


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame is damaged, and nobody reads it
        return True


def _looks_whole(path: str | Path, format: str) -> bool:
    """Whether the end is there; False also for a format that does not tell."""
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
