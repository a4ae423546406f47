"""Locks of folders: one process writes at a time, and others report which one it is."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files

LOCK_FILE, OWNER_FILE = ".lock", ".owner.json"


@dataclass(frozen=True)
class FolderLock:
    """A lock of a folder that this process holds.

    Attributes:
        path: Path of the lock file.
        held: Facts of the file that is locked.
    """

    path: Path
    held: os.stat_result

    def check(self) -> None:
        """Checks, before something is written, that the lock is still in its place.

        Raises:
            CheckpointError: The lock file was removed or replaced.
        """
        try:
            lost = not os.path.samestat(self.path.stat(), self.held)
        except OSError as error:  # others than these: the folder does not answer
            lost = isinstance(error, FileNotFoundError | NotADirectoryError)
        if lost:
            raise CheckpointError(
                f"{self.path} was removed or replaced while this process held it, so "
                "another one may write to the folder, and this one stops; make the same "
                "call again, which goes on from what is saved"
            )


@contextmanager
def folder_lock(folder: Path, *, wait: float = 0.0) -> Iterator[FolderLock]:
    """Creates the folder, and locks it against other processes within the context.

    The system releases the lock of a process that dies; the temporary files that it left
    are removed. The folder itself is locked as well, so that on this machine no process
    gets the lock if its file is removed.

    Args:
        wait: Maximum number of seconds to wait for another process that holds the lock.

    Raises:
        CheckpointError: Another process still holds the lock.
        SaveError: The folder cannot be written.
    """
    path, owner = folder / LOCK_FILE, folder / OWNER_FILE
    files.make_folder(folder)
    with ExitStack() as stack:
        with files.refusing_os_errors(path):
            try:
                stack.enter_context(FileLock(path).acquire(timeout=wait))
                lock = FolderLock(path, path.stat())
                _lock_itself(folder, stack)
            except (Timeout, BlockingIOError) as error:
                raise CheckpointError(
                    f"{folder} is in use by {_describe(owner)}; wait for it, end it, or "
                    "choose another folder"
                ) from error
        written = b""
        try:
            files.sweep(folder)
            started = datetime.now().isoformat(" ", "seconds")
            facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
            written = files.write_json(owner, facts).read_bytes()
            yield lock
        finally:
            with suppress(OSError):
                if owner.read_bytes() == written:  # else it is another process's
                    owner.unlink()


def _lock_itself(folder: Path, stack: ExitStack) -> None:
    """Locks the folder without a file until the stack closes, where this is possible.

    Raises:
        BlockingIOError: Another process has locked it, and not for this one.
    """
    with suppress(ImportError):  # on Windows
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A process that was forked since has the descriptor, too.
            stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            if not _is_inherited(folder):
                raise
        except OSError:
            pass  # some network file systems lock no folders


def _is_inherited(folder: Path) -> bool:
    """Whether the folder is locked by who began this process: `flock DIR cnnzoo ...`."""
    import fcntl

    for descriptor in Path("/dev/fd").glob("*"):
        with suppress(OSError):  # it is locked through another one
            number = int(descriptor.name)
            own = not os.get_inheritable(number)  # of another lock of this process
            if not own and os.path.samestat(os.fstat(number), folder.stat()):
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
    return False


def _describe(owner: Path) -> str:
    try:
        facts = files.read_json(owner)
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except Exception:  # it has not written the file yet
        return "another process"
