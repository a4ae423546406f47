"""IDX files, the format in which MNIST and Fashion-MNIST are published.

An IDX file is big-endian: two zero bytes, a dtype code, the number of dimensions, each
dimension as four bytes, and the values. It may be packed with gzip.
"""

import gzip
import math
import os
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from cnnzoo.errors import DatasetError

MAX_BYTES = 2**30
"""The largest file read, in bytes of values: 1 GiB."""

_UINT8 = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
# The deflate format cannot pack more than 1,032 bytes into one.
_GZIP_MAX_RATIO = 1032


def read_idx(path: str | Path, rank: int) -> np.ndarray:
    """Reads a file of unsigned bytes, plain or packed with gzip.

    The header is checked against the size of the file before memory is taken for the
    values, and not more than the header declares is unpacked.

    Args:
        path: the file; packed or not is told by its content, not by its name.
        rank: the number of dimensions that it must have.

    Returns:
        A uint8 array of `rank` dimensions.

    Raises:
        DatasetError: the file is missing, no IDX file of bytes, or damaged.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise DatasetError(
            f"cannot read {path}: expected an IDX file, found no regular file, so "
            "check the path"
        )
    try:
        with path.open("rb") as stream:
            packed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        limit = path.stat().st_size * (_GZIP_MAX_RATIO if packed else 1)
        with gzip.open(path) if packed else path.open("rb") as stream:
            shape = _read_shape(path, stream, rank)
            return _read_values(path, stream, shape, min(limit, MAX_BYTES))
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(path, "readable bytes", str(error)) from error


def _read_shape(path: Path, stream: BufferedIOBase, rank: int) -> tuple[int, ...]:
    magic = stream.read(4)
    expected = bytes((0, 0, _UINT8, rank))
    if magic != expected:
        raise _fault(
            path,
            f"the magic number 0x{expected.hex()} (unsigned bytes, {rank} dimensions)",
            f"0x{magic.hex()}",
        )
    header = stream.read(4 * rank)
    if len(header) < 4 * rank:
        raise _fault(path, f"{rank} dimensions of 4 bytes", f"{len(header)} bytes")
    shape = struct.unpack(f">{rank}I", header)
    if 0 in shape:
        raise _fault(path, "dimensions above 0", f"{shape}")
    return shape


def _read_values(
    path: Path, stream: BufferedIOBase, shape: tuple[int, ...], limit: int
) -> np.ndarray:
    declared = math.prod(shape)
    if declared > limit:
        raise _fault(
            path,
            f"at most {limit} bytes of values, from the size of the file",
            f"a header that declares {declared}, {shape}",
        )
    values = stream.read(declared + 1)
    if len(values) != declared:
        found = "more" if len(values) > declared else f"{len(values)}"
        raise _fault(path, f"{declared} bytes of values, for {shape}", found)
    # A copy, because an array over the bytes themselves could not be written to.
    return np.frombuffer(values, np.uint8).reshape(shape).copy()


def _fault(path: Path, expected: str, found: str) -> DatasetError:
    return DatasetError(
        f"cannot read {path} as an IDX file: expected {expected}, found {found}, so "
        "fetch the file again"
    )
