"""Atomic writes, the only place where our own code writes a file, and safe reads.

A file has either its old or its new content, never a part, even if the writer is killed:
the content is written to a temporary file in the same folder, flushed to the disk, and
renamed in one step. Folders of files are created and removed in the same way. A record
that is read may be damaged: its size is checked first, and any failure is raised as one
error of cnnzoo.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from cnnzoo.errors import CnnzooError, SaveError

TEMPORARY_PREFIX = ".cnnzoo-tmp-"
DAMAGE = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_JSON = 1 << 24  # bytes


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces `path` if the block succeeds.

    An existing file keeps its permissions, and a link stays a link, whose target is
    replaced. The temporary name keeps the extension of `path`, for writers that choose
    their format by it. If the block fails, the temporary file is removed and `path` is
    unchanged.

    Raises:
        SaveError: The folder or the file cannot be written; the cause is chained.
    """
    path = Path(path)
    with refusing_os_errors(path):
        path = path.resolve() if path.is_symlink() else path
        temporary = _beside(path, "".join(path.suffixes[-2:]))  # .weights.h5 is one
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_regular(path)
            yield temporary
            if path.exists():
                shutil.copymode(path, temporary)
            _flush(temporary)
            temporary.replace(path)
            _flush_entry(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_folder(path: str | Path, members: Mapping[str, bytes]) -> Path:
    """Creates the folder `path` with these files, all or nothing; returns the path.

    Args:
        path: Path that does not exist yet.
        members: Content of each file, by its name.

    Raises:
        SaveError: The folder cannot be written, or the path exists already.
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
    """Creates the folder, and its parents, if they are missing.

    Raises:
        SaveError: The folder cannot be created.
    """
    with refusing_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def check_place(path: Path, *, is_folder: bool) -> None:
    """Checks that a folder or a file can be written, which leaves no trace.

    Raises:
        SaveError: It cannot: something else has its name, or its place is read-only.
    """
    with refusing_os_errors(path):
        if path.is_dir() and not is_folder:
            raise IsADirectoryError(f"{path} is a folder")
        place = path if is_folder else path.resolve().parent
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(f"{place} is a file, not a folder")
        TemporaryFile(dir=place).close()


def remove_folder(path: Path) -> None:
    """Removes a folder; if the process is killed, no part is left under its name."""
    temporary = _beside(path)
    with suppress(OSError):  # `sweep` removes the rest later
        path.rename(temporary)
        shutil.rmtree(temporary)


def sweep(folder: Path) -> None:
    """Removes temporary files of killed writers; no other process may write there."""
    for left in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path` atomically, creating its folder; returns the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Writes `content` to `path` as UTF-8, atomically; returns the path."""
    return write_bytes(path, content.encode())


def add_line(path: Path, line: str) -> None:
    """Adds a line to a small text file, atomically; other lines may be of any bytes."""
    with refusing_os_errors(path):
        before = read_bytes(path) if path.exists() else b""
    write_bytes(path, before + f"{line}\n".encode())


def write_json(path: str | Path, content: object) -> Path:
    """Writes `content` to `path` as indented JSON, atomically; returns the path."""
    return write_text(path, as_json(content) + "\n")


def as_json(content: object) -> str:
    """Indented JSON, with NumPy numbers as Python numbers; raises ValueError for NaN."""
    return json.dumps(content, indent=2, allow_nan=False, default=_plain)


@contextmanager
def refusing_damage(error: CnnzooError) -> Iterator[None]:
    """Raises an error of cnnzoo if the block, which reads a record, fails.

    Libraries raise exceptions of many types for damaged bytes, so any of them is caught,
    and the block should only read. Errors of cnnzoo are raised unchanged.

    Args:
        error: Error that says which file is damaged and what to do about it; the cause
            is added to its message.
    """
    try:
        yield
    except CnnzooError:
        raise
    except Exception as cause:
        reason = f"{type(cause).__name__}: {cause}"[:200]
        raise type(error)(f"{error} ({reason})") from cause


def check_format(
    path: str | Path,
    content: Mapping[str, Any],
    expected: int,
    kind: type[CnnzooError],
    remedy: str = "make it again",
) -> None:
    """Raises an error of type `kind` for a record of an older or newer format."""
    found = content.get("format")
    if found != expected:
        raise kind(
            f"{path} has format {found!r:.20}: expected {expected}, which this version "
            f"of cnnzoo reads, so use the version that wrote it or {remedy}"
        )


def read_json(path: str | Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """Reads a JSON object; use it inside `refusing_damage`.

    Raises:
        OSError: The file does not exist, or is not a regular file.
        ValueError: The file is larger than `limit` bytes, or is not JSON.
        TypeError: The file is JSON, but not an object.
        RecursionError: The lists in the file are nested too deeply.
    """
    return parse_json(read_bytes(path, limit))


def parse_json(content: bytes) -> dict[str, Any]:
    """Parses a JSON object; raises the errors of `read_json`."""
    parsed = json.loads(content)
    if not isinstance(parsed, dict):
        raise TypeError(f"expected a JSON object, found a {type(parsed).__name__}")
    return parsed


def read_bytes(path: str | Path, limit: float = inf) -> bytes:
    """Reads an ordinary file.

    Raises:
        OSError: The file does not exist, or is a folder, a pipe or a device.
        ValueError: The file is larger than `limit` bytes.
    """
    path = Path(path)
    if check_regular(path).st_size > limit:
        raise ValueError(f"{path.name} is larger than {limit} bytes")
    return path.read_bytes()


def check_regular(path: Path) -> os.stat_result:
    """The facts of an ordinary file.

    Raises:
        OSError: The file does not exist, or is a folder, a pipe or a device; to open a
            pipe would wait for ever.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe or a device"
        raise OSError(f"{path.name} is {kind}, not an ordinary file")
    return facts


def sha256(content: bytes | Path) -> str:
    """SHA-256 of bytes, or of the content of a file, in hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    check_regular(content)
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> object:
    """A NumPy number as a Python number, without an import of NumPy, to start fast."""
    if not hasattr(value, "item"):
        raise TypeError(f"JSON has no {type(value).__name__}")
    return value.item()


def _beside(path: Path, ending: str = "") -> Path:
    """A temporary path in the same folder that no other writer uses."""
    return path.with_name(
        f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{ending}"
    )


@contextmanager
def refusing_os_errors(path: Path) -> Iterator[None]:
    """Raises SaveError if the block, which writes `path`, fails."""
    if "\0" in str(path):  # which would raise ValueError
        raise SaveError(f"cannot write {path!s:.200}: no file name may have a NUL in it")
    try:
        yield
    except OSError as error:
        advice = "make room" if error.errno in FULL else "choose another place"
        raise SaveError(
            f"cannot write {path}: {error.strerror or error}; an existing file is "
            f"unchanged, so {advice} and try again"
        ) from error


def _flush_entry(path: Path) -> None:
    """Waits until a new name is on the disk, if the file system supports this.

    If not, the file exists all the same, but after a power failure the old one may be
    back, complete.
    """
    with suppress(OSError):
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Waits until the content of the file or folder `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
