"""One training a folder: a second one is told who is there."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cnnzoo.errors import CheckpointError, SaveError
from cnnzoo.system import files

LOCK, OWNER = ".lock", ".owner.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other processes from training in it.

    The system opens the lock of a process that dies; what it left is removed.

    Raises:
        CheckpointError: another process trains there.
        SaveError: the folder cannot be written.
    """
    owner = folder / OWNER
    files.make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(
            f"{folder} is in use by {_told(owner)}; wait for it, end it, or train into "
            "another folder"
        ) from error
    except OSError as error:
        raise SaveError(
            f"cannot write {folder / LOCK}: {error.strerror or error}; make "
            "room or make it writable, or train into another folder"
        ) from error
    try:
        files.sweep(folder)
        files.write_json(
            owner,
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now().isoformat(" ", "seconds"),
            },
        )
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()


def _told(owner: Path) -> str:
    try:
        facts = json.loads(owner.read_bytes())
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, LookupError, TypeError):  # it has just come
        return "another process"
