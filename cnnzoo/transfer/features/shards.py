"""Rows of numbers in files that never change, each with a note of what it holds.

    rows-3f9a....h5     (n, ...) numbers, HDF5
    rows-3f9a....json   the keys of its rows, its length and its SHA-256

A file counts once its note is there, and the note is written last, so whatever kills a
writer leaves what was whole. Writers take names of their own and nobody locks anything:
two that make the same rows both are right, also where a file system has no locks. No
file is opened whose bytes are not those of its note.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from cnnzoo.system import files

DATASET = "rows"
CHUNK = 1 << 16  # bytes that are read at once, about
MAX_NOTE = 1 << 24  # bytes; an honest one has some thousand
FORGOTTEN = 3600.0  # seconds; no writer takes so long from a file to its note
OPEN = 16  # files that are held open
DAMAGED = (ValueError, TypeError, KeyError, RecursionError)
NAME = re.compile(r"rows-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Shard:
    """A file that is whole, and the key of each of its rows."""

    path: Path
    keys: tuple[str, ...]


def write(folder: Path, keys: Sequence[str], rows: np.ndarray) -> Shard:
    """Adds a file with these rows.

    Raises:
        SaveError: it cannot be written; the others stay as they are.
    """
    # In memory first: HDF5 ends the process where a disk fills up under it.
    stream = io.BytesIO()
    size = max(1, CHUNK // max(1, rows[:1].nbytes))
    with h5py.File(stream, "w") as file:
        chunks = (min(size, len(rows)), *rows.shape[1:])
        file.create_dataset(DATASET, data=rows, chunks=chunks)
    content = stream.getvalue()
    path = folder / f"rows-{secrets.token_hex(8)}.h5"
    files.write_bytes(path, content)
    note = {
        "keys": list(keys),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    files.write_json(path.with_suffix(".json"), note)
    return Shard(path, tuple(keys))


def found(folder: Path) -> tuple[list[Shard], list[str]]:
    """The files that are whole, and the names of those that are not, with reasons."""
    whole, rejected = [], []
    for note in sorted(folder.glob("rows-*.json")):
        if not NAME.fullmatch(note.name):
            continue
        try:
            whole.append(_checked(note))
        except (FileNotFoundError, *DAMAGED) as error:
            rejected.append(f"{note.stem}: {str(error)[:200]}")
        except OSError:  # which passes; the file may be good
            continue
    return whole, rejected


def tidy(folder: Path) -> None:
    """Removes what writers that were killed have left: halves, and files without a note.

    What is young stays, since its writer may live.
    """
    noted = {note.stem for note in folder.glob("rows-*.json")}
    unnoted = [path for path in folder.glob("rows-*.h5") if path.stem not in noted]
    for path in [*folder.glob(f"{files.TEMPORARY_PREFIX}*"), *unnoted]:
        with suppress(OSError):
            told = path.stat()
            # A copy may keep the time of the bytes, and not that of the file.
            if time.time() - max(told.st_mtime, told.st_ctime) > FORGOTTEN:
                path.unlink()


def remove(folder: Path, name: str) -> None:
    """Removes a file that is damaged: first what says that it counts."""
    for ending in (".json", ".h5"):
        (folder / f"{name}{ending}").unlink(missing_ok=True)


class Reader:
    """Reads rows, and holds some files open; one that is immutable needs no lock."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, h5py.File] = OrderedDict()

    def rows(self, path: Path, places: np.ndarray) -> np.ndarray:
        """The rows at `places`, in their order; each is read once."""
        ordered, inverse = np.unique(places, return_inverse=True)
        return self._file(path)[DATASET][ordered][inverse]  # pyright: ignore

    def _file(self, path: Path) -> h5py.File:
        if path in self._open:
            self._open.move_to_end(path)
        else:
            self._open[path] = h5py.File(path, "r", locking=False)
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        return self._open[path]

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def _checked(note: Path) -> Shard:
    """Raises ValueError and others for a file that is not as its note has it."""
    if note.stat().st_size > MAX_NOTE:
        raise ValueError("its note is larger than any")
    told = json.loads(note.read_bytes())
    path = note.with_suffix(".h5")
    if path.stat().st_size != told["bytes"]:
        raise ValueError(f"{path.stat().st_size} bytes in place of {told['bytes']}")
    with open(path, "rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != told["sha256"]:
            raise ValueError("its SHA-256 is another")
    keys = tuple(map(str, told["keys"]))
    with h5py.File(path, "r", locking=False) as file:
        rows = len(file[DATASET])  # pyright: ignore[reportArgumentType]
    if rows != len(keys):
        raise ValueError(f"{rows} rows for {len(keys)} keys")
    return Shard(path, keys)
