"""Rows of numbers in files that never change, each with a note of what it holds.

    rows-3f9a....npy    (n, ...) numbers, as NumPy saves them
    rows-3f9a....json   format, keys of the rows, length and SHA-256 of the file

A file counts once its note is there, and the note is written last, so whatever kills a
writer leaves what was whole. Writers take names of their own and nobody locks anything:
two that make the same rows both are right, also where a file system has no locks. No
file is opened whose bytes are not those of its note.
"""

from __future__ import annotations

import io
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnzoo.system import files

FORMAT = 1
FORGOTTEN = 3600.0  # seconds; no writer takes so long from a file to its note
NAME = re.compile(r"rows-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Shard:
    """A file that is whole, and the key of each of its rows."""

    path: Path
    keys: tuple[str, ...]


def write(folder: Path, keys: Sequence[str], rows: np.ndarray) -> Shard:
    """Adds a file with these rows.

    Raises:
        SaveError: It cannot be written; the others stay as they are.
    """
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    content = stream.getvalue()
    path = folder / f"rows-{secrets.token_hex(8)}.npy"
    files.write_bytes(path, content)
    note = {
        "format": FORMAT,
        "keys": list(keys),
        "bytes": len(content),
        "sha256": files.sha256(content),
    }
    files.write_json(path.with_suffix(".json"), note)
    return Shard(path, tuple(keys))


def find(folder: Path) -> tuple[list[Shard], list[str]]:
    """The files that are whole, and the names of the others with reasons."""
    whole, rejected = [], []
    for note in sorted(folder.glob("rows-*.json")):
        if not NAME.fullmatch(note.name):
            continue
        try:
            whole.append(_open(note))
        except files.DAMAGE as error:
            # Any other error of the system passes; the file may be good.
            if isinstance(error, FileNotFoundError) or not isinstance(error, OSError):
                rejected.append(f"{note.stem}: {str(error)[:200]}")
    return whole, rejected


def tidy(folder: Path) -> None:
    """Removes what writers that were killed have left: halves, and files without a note.

    What is young stays, since its writer may live.
    """
    noted = {note.stem for note in folder.glob("rows-*.json")}
    unnoted = [path for path in folder.glob("rows-*.npy") if path.stem not in noted]
    for path in [*folder.glob(f"{files.TEMPORARY_PREFIX}*"), *unnoted]:
        with suppress(OSError):
            facts = path.stat()
            # A copy may keep the time of the bytes, and not that of the file.
            if time.time() - max(facts.st_mtime, facts.st_ctime) > FORGOTTEN:
                path.unlink()


def remove(folder: Path, name: str) -> None:
    """Removes a file that is damaged: first what says that it counts."""
    for ending in (".json", ".npy"):
        (folder / f"{name}{ending}").unlink(missing_ok=True)


def read(path: Path, places: np.ndarray) -> np.ndarray:
    """The rows at `places`, in their order; the others stay on the disk."""
    return np.asarray(np.load(path, mmap_mode="r")[places])


def _open(note: Path) -> Shard:
    """Raises ValueError and others for a file that is not as its note has it."""
    record = files.read_json(note)
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']!s:.50} in place of {FORMAT}")
    path, keys = note.with_suffix(".npy"), tuple(map(str, record["keys"]))
    if (size := path.stat().st_size) != record["bytes"]:
        raise ValueError(f"{size} bytes in place of {record['bytes']}")
    if files.sha256(path) != record["sha256"]:
        raise ValueError("its SHA-256 is another")
    if (rows := len(np.load(path, mmap_mode="r"))) != len(keys):
        raise ValueError(f"{rows} rows for {len(keys)} keys")
    return Shard(path, keys)
