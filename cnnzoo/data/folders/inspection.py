"""A look at many image files at once: headers, pixels where asked for, checksums.

What Pillow warns of is noted with the file, and not shown: it does not name the file.
"""

from __future__ import annotations

import hashlib
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

from cnnzoo.data.folders.header import Header, inspect
from cnnzoo.errors import ImageDecodeError
from cnnzoo.system.runtime import cores

OnBad = Literal["raise", "skip"]
BLOCK = 4096  # files handed to the pool at a time, so that a million stay small
SUM_BYTES = 16  # of a checksum: two of a million files have the same once in 1e26 times
TOLD = 10  # bad files that an error names


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
    here = local()  # of a thread: `told`, the warnings of the file it looks at
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
    told = "; ".join(f"{name!r} ({reason[:60]})" for name, reason in bad[:TOLD])
    more = f" and {len(bad) - TOLD} more" if len(bad) > TOLD else ""
    return ImageDecodeError(
        f"{where} has {len(bad)} files that cannot be read as images: {told[:700]}{more}"
        "; repair or remove them, or leave them out with on_bad='skip' (--on-bad skip)"
    )


@contextmanager
def _warnings_noted(here: local) -> Iterator[None]:
    """Each warning goes to `here.told` of the thread that it comes from, if it has that.

    Python keeps one list of filters for all threads, so it is set once around all.
    """

    def note(message: Warning | str, *details: object) -> None:
        told = getattr(here, "told", None)
        if told is None:
            show(message, *details)
        else:
            told.append(str(message))

    with warnings.catch_warnings():
        show: Callable[..., None] = warnings.showwarning
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield


def _look(
    here: local, path: str, *, pixels: bool, checksums: bool
) -> FileInspection | str:
    here.told = []
    try:
        header = inspect(path, pixels=pixels)
        summed = checksum(path) if checksums else b""
        return FileInspection(header, summed, tuple(dict.fromkeys(here.told)))
    except ImageDecodeError as error:
        return error.found
    except OSError as error:
        return error.strerror or str(error)


def checksum(path: str | Path) -> bytes:
    """The first 16 bytes of the SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()[:SUM_BYTES]
