"""A look at many image files at once: headers, pixels where asked for, checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from cnnzoo.cores import cores
from cnnzoo.data.header import Header, inspect
from cnnzoo.errors import ImageDecodeError

BLOCK = 4096  # files handed to the pool at a time, so that a million stay small
SUM_BYTES = 16  # of a checksum: two of a million files have the same once in 1e26 times


@dataclass(frozen=True)
class Look:
    """What a look at a file that can be read found.

    Attributes:
        header: what it is.
        checksum: the first 16 bytes of the SHA-256 of its content; empty where it was
            not asked for.
    """

    header: Header
    checksum: bytes = b""


def survey(
    paths: Sequence[str], *, pixels: bool = False, checksums: bool = False
) -> Iterator[Look | str]:
    """Looks at files, in their order; for one that cannot be read, says why.

    Args:
        pixels: decodes each as a whole, which finds damage anywhere.
        checksums: reads each as a whole, to know copies of it.
    """
    look = partial(_look, pixels=pixels, checksums=checksums)
    rest = iter(paths)
    with ThreadPoolExecutor(cores()) as pool:
        while block := list(islice(rest, BLOCK)):
            yield from pool.map(look, block, chunksize=1)


def _look(path: str, *, pixels: bool, checksums: bool) -> Look | str:
    try:
        header = inspect(path, pixels=pixels)
        return Look(header, checksum(path) if checksums else b"")
    except ImageDecodeError as error:
        return error.found
    except OSError as error:
        return error.strerror or str(error)


def checksum(path: str | Path) -> bytes:
    """The first 16 bytes of the SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()[:SUM_BYTES]
