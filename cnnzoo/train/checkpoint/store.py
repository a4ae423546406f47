"""Checkpoints on disk: each a folder that appears whole, the newest good one counts.

    step-00001234/
        arrays.safetensors   numbers
        state.json           everything else
        manifest.json        size and SHA-256 of the two

Whatever kills a writer leaves the checkpoints that were there. A checkpoint is read only
if its files are those of its manifest.
"""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files

ARRAYS, STATE, MANIFEST = "arrays.safetensors", "state.json", "manifest.json"
FORMAT = 1  # of the manifest
MAX_MANIFEST = 1 << 16  # bytes; an honest one has some hundred
KEPT = 2  # a good one is left when the newest is damaged

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Saved:
    """A checkpoint as it was read.

    Attributes:
        step: its number.
        arrays: numbers by name.
        state: everything else.
        rejected: newer checkpoints that are damaged, each with the reason.
    """

    step: int
    arrays: Arrays
    state: dict
    rejected: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return _name(self.step)


class Store:
    """The checkpoints of a folder, which one process at a time writes."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._damaged: set[Path] = set()  # as far as is known

    def write(self, step: int, arrays: Arrays, state: Mapping) -> None:
        """Adds a checkpoint, and removes those that are older than the last two.

        What `newest` found damaged goes as soon as two others are there.

        Writing the same step again does nothing: it is the same training.

        Raises:
            SaveError: it cannot be written; the others are untouched.
        """
        path = self.folder / _name(step)
        if path.exists():
            try:
                _read(path)
            except _Damaged:
                files.remove_folder(path)
                self._damaged.discard(path)
            else:
                return
        contiguous = {
            name: np.asarray(array, order="C") for name, array in arrays.items()
        }
        members = {
            ARRAYS: safetensors.numpy.save(contiguous),
            STATE: json.dumps(state, indent=1).encode(),  # with Infinity, as Python has
        }
        manifest = {"format": FORMAT, "files": {n: _told(c) for n, c in members.items()}}
        members[MANIFEST] = json.dumps(manifest, indent=1).encode()
        files.write_folder(path, members)
        good = [path for _, path in self._steps() if path not in self._damaged]
        for old in [*good[KEPT:], *(self._damaged if len(good) >= KEPT else ())]:
            files.remove_folder(old)
            self._damaged.discard(old)

    def newest(self) -> Saved | None:
        """The newest checkpoint that is whole; None where there is none at all.

        What killed writers left is removed.

        Raises:
            CheckpointError: there are some, and all are damaged.
        """
        files.sweep(self.folder)
        rejected: list[str] = []
        for step, path in self._steps():
            try:
                return Saved(step, *_read(path), tuple(rejected))
            except _Damaged as reason:
                rejected.append(f"{path.name} {reason}")
                self._damaged.add(path)
        if rejected:
            raise CheckpointError(
                f"{self.folder} has no checkpoint that is whole: "
                f"{'; '.join(rejected)[:800]}; get the folder from a backup, or train "
                "into another"
            )
        return None

    def _steps(self) -> list[tuple[int, Path]]:
        """Number and folder of each checkpoint, the newest first."""
        found = []
        for path in self.folder.glob("step-*"):
            if match := re.fullmatch(r"step-(\d{8,18})", path.name, re.ASCII):
                found.append((int(match[1]), path))
        return sorted(found, reverse=True)


def _name(step: int) -> str:
    return f"step-{step:08d}"


class _Damaged(Exception):
    """Why a checkpoint cannot be read, to be put behind its name."""


def _read(path: Path) -> tuple[Arrays, dict]:
    try:
        manifest = json.loads(_content(path / MANIFEST, MAX_MANIFEST))
        if manifest["format"] != FORMAT:
            raise _Damaged(f"has a format that is not {FORMAT}")
        contents = {}
        for name in (ARRAYS, STATE):
            expected = manifest["files"][name]
            contents[name] = _content(path / name, int(expected["bytes"]))
            if _told(contents[name]) != expected:
                raise _Damaged(f"has another {name} than was written")
        return safetensors.numpy.load(contents[ARRAYS]), json.loads(contents[STATE])
    except OSError as error:
        raise _Damaged(f"lacks a file: {error.strerror or error}") from error
    except (SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _Damaged("has a file that is cut or altered") from error


def _told(content: bytes) -> dict:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _content(path: Path, most: int) -> bytes:
    """The bytes of a plain file of at most so many.

    Raises:
        OSError: it is not there, or it is no plain file.
        ValueError: it is larger.
    """
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(f"{path.name} is no plain file")
    if facts.st_size > most:
        raise ValueError(f"{path.name} is larger than {most} bytes")
    return path.read_bytes()
