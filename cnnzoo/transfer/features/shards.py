"""Feature rows in files that never change, each with a JSON file that describes it.

    rows-3f9a....npy    (n, ...) numbers, as NumPy saves them
    rows-3f9a....json   format, keys of the rows, length and SHA-256 of the file

A file is valid once its JSON file exists, which is written last, so that a kill leaves
all valid files intact. Each writer uses unique file names and no locks, which some file
systems do not have; two writers may write the same rows. A file is only opened if its
bytes have the SHA-256 in its JSON file.
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
FORGOTTEN = 3600.0  # seconds; no writer takes so long from a file to its JSON file
NAME = re.compile(r"rows-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Shard:
    """An undamaged file, and the keys of its rows."""

    path: Path
    keys: tuple[str, ...]


def write(folder: Path, keys: Sequence[str], rows: np.ndarray) -> Shard:
    """Adds a file with these rows.

    Raises:
        SaveError: It cannot be written; the others do not change.
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
    """The undamaged files, and the names of the others with reasons."""
    whole, rejected = [], []
    for note in sorted(folder.glob("rows-*.json")):
        if not NAME.fullmatch(note.name):
            continue
        try:
            whole.append(_open(note))
        except files.DAMAGE as error:
            # Any other system error is raised, since the file may be undamaged.
            if isinstance(error, FileNotFoundError) or not isinstance(error, OSError):
                rejected.append(f"{note.stem}: {str(error)[:200]}")
    return whole, rejected


def tidy(folder: Path) -> None:
    """Removes what killed writers left: temporary files, and files without a JSON file.

    Recent files are kept, since their writer may still be running.
    """
    noted = {note.stem for note in folder.glob("rows-*.json")}
    unnoted = [path for path in folder.glob("rows-*.npy") if path.stem not in noted]
    for path in [*folder.glob(f"{files.TEMPORARY_PREFIX}*"), *unnoted]:
        with suppress(OSError):
            facts = path.stat()
            # A copied file may keep an old modification time.
            if time.time() - max(facts.st_mtime, facts.st_ctime) > FORGOTTEN:
                path.unlink()


def remove(folder: Path, name: str) -> None:
    """Removes a damaged file: first its JSON file, which makes it valid."""
    for ending in (".json", ".npy"):
        (folder / f"{name}{ending}").unlink(missing_ok=True)


def read(path: Path, places: np.ndarray) -> np.ndarray:
    """The rows at `places`, in their order; the others are not read."""
    return np.asarray(np.load(path, mmap_mode="r")[places])


def _open(note: Path) -> Shard:
    """Raises ValueError and others for a file that its JSON file does not describe."""
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
