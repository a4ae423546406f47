"""Atomic writes, the only place where our own code writes a file, and careful reads.

A reader of the final name sees the old bytes or the new ones, never a part, whatever
kills the writer: the bytes go to a temporary file in the same folder, are flushed to
the disk, and take the final name in one rename. A folder of files appears and disappears
in the same way. A record that is read may be damaged: its size is checked first, and
whatever is wrong with it becomes one error of ours.
"""

import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnnzoo.errors import CnnzooError, SaveError

TEMPORARY_PREFIX = ".cnnzoo-tmp-"
DAMAGE = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
MAX_JSON = 1 << 24  # bytes


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it over `path` if the block succeeds.

    The temporary name keeps the ending of `path`, for writers that choose their format
    by it. If the block fails, the temporary file goes and `path` is as before.

    Raises:
        SaveError: The folder or the file cannot be written; the cause is chained.
    """
    path = Path(path)
    temporary = _beside(path, "".join(path.suffixes[-2:]))  # .weights.h5 is one
    with refusing_os_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder")
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            _flush_entry(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_folder(path: str | Path, members: Mapping[str, bytes]) -> Path:
    """Makes the folder `path` with these files in it, all or nothing; returns the path.

    Args:
        path: Path where nothing stands yet.
        members: Content of each file, by its name.

    Raises:
        SaveError: The folder cannot be written, or something stands there already.
    """
    path = Path(path)
    temporary = _beside(path)
    with refusing_os_errors(path):
        try:
            temporary.mkdir(parents=True)
            for name, content in members.items():
                (temporary / name).write_bytes(content)
                _flush(temporary / name)
            _flush(temporary)
            temporary.rename(path)
            _flush_entry(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def make_folder(path: Path) -> None:
    """Makes the folder, and those above it, where they are missing.

    Raises:
        SaveError: The folder cannot be made.
    """
    with refusing_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Removes a folder; a process that is killed half way leaves nothing of that name."""
    temporary = _beside(path)
    with suppress(OSError):  # what is left is swept another time
        path.rename(temporary)
        shutil.rmtree(temporary)


def sweep(folder: Path) -> None:
    """Removes what killed writers left in a folder that nobody else writes to."""
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


@contextmanager
def refusing_damage(error: CnnzooError) -> Iterator[None]:
    """Raises an error of ours where the block, which reads a record, fails.

    Damaged bytes make libraries raise exceptions of many kinds, so any of them counts,
    and the block should do nothing but read. Errors of ours pass as they are.

    Args:
        error: Error that says which file is damaged and what to do about it; the cause
            is added to its sentence.
    """
    try:
        yield
    except CnnzooError:
        raise
    except Exception as cause:
        reason = f"{type(cause).__name__}: {cause}"[:200]
        raise type(error)(f"{error} ({reason})") from cause


def check_format(
    path: str | Path, content: Mapping[str, Any], expected: int, kind: type[CnnzooError]
) -> None:
    """Raises an error of that kind for a record of an older or newer format."""
    found = content.get("format")
    if found != expected:
        raise kind(
            f"{path} has format {found!r:.20}: expected {expected}, which this version "
            "of cnnzoo reads, so use the version that wrote it or make it again"
        )


def read_json(path: str | Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """Reads a JSON object; use it inside `refusing_damage`.

    Raises:
        OSError: There is no such file, or it is not an ordinary one.
        ValueError: The file is larger than `limit` bytes, or is not JSON.
        TypeError: It is JSON, but not an object.
        RecursionError: Its lists lie too deep in each other.
    """
    return parse_json(read_bytes(path, limit))


def parse_json(content: bytes) -> dict[str, Any]:
    """The JSON object that some bytes hold; it fails as `read_json` does."""
    parsed = json.loads(content)
    if not isinstance(parsed, dict):
        raise TypeError(f"expected a JSON object, found a {type(parsed).__name__}")
    return parsed


def read_bytes(path: str | Path, limit: int) -> bytes:
    """Reads an ordinary file.

    Raises:
        OSError: There is no such file, or it is a folder, a pipe or a device.
        ValueError: It is larger than `limit` bytes.
    """
    path = Path(path)
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for ever
        raise OSError(f"{path.name} is not an ordinary file")
    if facts.st_size > limit:
        raise ValueError(f"{path.name} is larger than {limit} bytes")
    return path.read_bytes()


def sha256(content: bytes | Path) -> str:
    """SHA-256 of bytes, or of the content of a file, in hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> object:
    """NumPy's number as Python's; verbs that list networks start without NumPy."""
    if not hasattr(value, "item"):
        raise TypeError(f"JSON has no {type(value).__name__}")
    return value.item()


def _beside(path: Path, ending: str = "") -> Path:
    """A name in the same folder that no other writer takes."""
    return path.with_name(
        f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{ending}"
    )


@contextmanager
def refusing_os_errors(path: Path) -> Iterator[None]:
    """Raises SaveError where the block, which writes `path`, fails."""
    try:
        yield
    except OSError as error:
        raise SaveError(
            f"cannot write {path}: {error.strerror or error}; what stood there before is "
            "untouched, so make room or choose another place and try again"
        ) from error


def _flush_entry(path: Path) -> None:
    """Waits until the disk holds a new name, where the file system can do that.

    Where it cannot, the file is there all the same; after a power cut, the old one may
    be back, whole.
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
