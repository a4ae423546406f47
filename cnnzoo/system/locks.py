"""Locks of folders: one process writes at a time, and others report which one it is."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files

LOCK_FILE, OWNER_FILE = ".lock", ".owner.json"


@contextmanager
def folder_lock(folder: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Creates the folder, and locks it against other processes within the context.

    The system releases the lock of a process that dies; the temporary files that it left
    are removed.

    Args:
        wait: Maximum number of seconds to wait for another process that holds the lock.

    Raises:
        CheckpointError: Another process still holds the lock.
        SaveError: The folder cannot be written.
    """
    owner = folder / OWNER_FILE
    files.make_folder(folder)
    lock = FileLock(folder / LOCK_FILE)
    with files.refusing_os_errors(folder / LOCK_FILE):
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise CheckpointError(
                f"{folder} is in use by {_describe(owner)}; wait for it, end it, or "
                "choose another folder"
            ) from error
    try:
        files.sweep(folder)
        started = datetime.now().isoformat(" ", "seconds")
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
        files.write_json(owner, facts)
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()


def _describe(owner: Path) -> str:
    try:
        facts = files.read_json(owner)
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except Exception:  # it has not written the file yet
        return "another process"
