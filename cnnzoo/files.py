"""Atomic writes: the only place where our own code writes a file.

A reader of the final name sees the old bytes or the new ones, never a part, whatever
kills the writer: the bytes go to a temporary file in the same folder, are flushed to
the disk, and take the final name in one rename.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnnzoo.errors import SaveError

TEMPORARY_PREFIX = ".cnnzoo-tmp-"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it over `path` if the block succeeds.

    The temporary name keeps the ending of `path`, for writers that choose their format
    by it. If the block fails, the temporary file goes and `path` is as before.

    Raises:
        SaveError: the folder or the file cannot be written; the cause is chained.
    """
    path = Path(path)
    ending = "".join(path.suffixes[-2:])  # .weights.h5 is one
    temporary = path.with_name(
        f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{ending}"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise SaveError(
            f"cannot write {path}: {error.strerror or error}; what stood there before is "
            "untouched, so make room or choose another place and try again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path` atomically, making its folder; returns the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Writes `content` to `path` as UTF-8, atomically; returns the path."""
    return write_bytes(path, content.encode())


def write_json(path: str | Path, content: object) -> Path:
    """Writes `content` to `path` as indented JSON, atomically; returns the path."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _flush(path: Path) -> None:
    """Waits until the disk holds what was written to the file or folder `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
