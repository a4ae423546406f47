"""Atomic writes: the only place where our own code writes a file.

A reader of the final name sees the old bytes or the new ones, never a part, whatever
kills the writer: the bytes go to a temporary file in the same folder, are flushed to
the disk, and take the final name in one rename. A folder of files appears, and goes, in
the same way.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
    temporary = _beside(path, "".join(path.suffixes[-2:]))  # .weights.h5 is one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush_entry(path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_folder(path: str | Path, members: Mapping[str, bytes]) -> Path:
    """Makes the folder `path` with these files in it, all or nothing; returns the path.

    Args:
        path: of no folder yet.
        members: the content of each file, by its name.

    Raises:
        SaveError: it cannot be written, or something stands there already.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        for name, content in members.items():
            (temporary / name).write_bytes(content)
            _flush(temporary / name)
        _flush(temporary)
        temporary.rename(path)
        _flush_entry(path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def make_folder(path: Path) -> None:
    """Makes the folder, and those above it, where they are missing.

    Raises:
        SaveError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(path, error) from error


def remove_folder(path: Path) -> None:
    """Removes a folder; one that is killed half way leaves nothing under its name."""
    temporary = _beside(path)
    with suppress(OSError):  # what stays is swept another time
        path.rename(temporary)
        shutil.rmtree(temporary)


def sweep(folder: Path) -> None:
    """Removes what writers that were killed left in a folder nobody else writes to."""
    for left in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path` atomically, making its folder; returns the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Writes `content` to `path` as UTF-8, atomically; returns the path."""
    return write_bytes(path, content.encode())


def add_line(path: Path, line: str) -> None:
    """Adds a line to a small text file, atomically, whatever bytes it has."""
    before = path.read_bytes() if path.exists() else b""
    write_bytes(path, before + f"{line}\n".encode())


def write_json(path: str | Path, content: object) -> Path:
    """Writes `content` to `path` as indented JSON, atomically; returns the path."""
    return write_text(path, as_json(content) + "\n")


def as_json(content: object) -> str:
    """Indented JSON, with NumPy's numbers as Python's; raises ValueError for NaN."""
    return json.dumps(content, indent=2, allow_nan=False, default=_plain)


def _plain(value: Any) -> object:
    """NumPy's number as Python's; verbs that list networks start without NumPy."""
    if not hasattr(value, "item"):
        raise TypeError(f"JSON has no {type(value).__name__}")
    return value.item()


def _beside(path: Path, ending: str = "") -> Path:
    """A name in the same folder that nobody else takes."""
    return path.with_name(
        f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{ending}"
    )


def _failed(path: Path, error: OSError) -> SaveError:
    return SaveError(
        f"cannot write {path}: {error.strerror or error}; what stood there before is "
        "untouched, so make room or choose another place and try again"
    )


def _flush_entry(path: Path) -> None:
    """Waits until the disk holds a name, where it can.

    Where it cannot, what was written is there all the same; after a power cut, the old
    file may be back, whole.
    """
    with suppress(OSError):
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Waits until the disk holds what was written to the file or folder `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
