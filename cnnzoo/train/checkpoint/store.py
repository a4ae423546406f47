"""Checkpoints on disk: folders that are written atomically; the newest is used.

    step-00001234/
        arrays.safetensors   arrays
        state.json           all other values
        manifest.json        format, and size and SHA-256 of the two

Existing checkpoints are unaffected if a writer is killed. A checkpoint is read only if
its files match its manifest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files

ARRAYS, STATE, MANIFEST = "arrays.safetensors", "state.json", "manifest.json"
FORMAT = 3  # of a checkpoint
MAX_MANIFEST = 1 << 16  # bytes; a manifest has a few hundred
KEPT = 2  # checkpoints, so that a good one is left when the newest is damaged

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint that was read.

    Attributes:
        step: Number of the checkpoint.
        arrays: Arrays by name.
        facts: All other values by name.
        rejected: Newer checkpoints that are damaged, each with the reason.
    """

    step: int
    arrays: Arrays
    facts: dict
    rejected: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return _name(self.step)


class CheckpointStore:
    """The checkpoints of a folder, which one process at a time writes."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._damaged: set[Path] = set()  # those that `newest` has found

    def write(self, step: int, arrays: Arrays, facts: Mapping) -> None:
        """Adds a checkpoint, and removes those that are older than the last two.

        Checkpoints that `newest` found damaged are removed once there are two others. An
        existing checkpoint of the step is kept, since it is of the same training.

        Raises:
            SaveError: The checkpoint cannot be written; the others are unchanged.
        """
        path = self.folder / _name(step)
        if path.exists():
            try:
                _read(path)
            except _DamageError:
                files.remove_folder(path)
                self._damaged.discard(path)
            else:
                return
        contiguous = {name: np.asarray(a, order="C") for name, a in arrays.items()}
        members = {
            ARRAYS: safetensors.numpy.save(contiguous),
            STATE: json.dumps(facts, indent=1).encode(),  # may contain Infinity
        }
        facts_of_files = {name: _file_facts(c) for name, c in members.items()}
        manifest = {"format": FORMAT, "files": facts_of_files}
        members[MANIFEST] = json.dumps(manifest, indent=1).encode()
        files.write_folder(path, members)
        good = [path for _, path in self._steps() if path not in self._damaged]
        for old in [*good[KEPT:], *(self._damaged if len(good) >= KEPT else ())]:
            files.remove_folder(old)
            self._damaged.discard(old)

    def newest(self) -> StoredCheckpoint | None:
        """The newest checkpoint that is not damaged; None if there are no checkpoints.

        Raises:
            CheckpointError: All checkpoints are damaged, or another version wrote them.
        """
        rejected: list[str] = []
        for step, path in self._steps():
            try:
                return StoredCheckpoint(step, *_read(path), tuple(rejected))
            except _DamageError as reason:
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


class _DamageError(Exception):
    """Reason why a checkpoint cannot be read, worded to follow its name."""


def _read(path: Path) -> tuple[Arrays, dict]:
    try:
        manifest = files.read_json(path / MANIFEST, MAX_MANIFEST)
        files.check_format(path, manifest, FORMAT, CheckpointError)
        contents = {}
        for name in (ARRAYS, STATE):
            expected = manifest["files"][name]
            contents[name] = files.read_bytes(path / name, int(expected["bytes"]))
            if _file_facts(contents[name]) != expected:
                raise _DamageError(f"has another {name} than was written")
        return safetensors.numpy.load(contents[ARRAYS]), json.loads(contents[STATE])
    except CheckpointError:  # of another version, and not damaged
        raise
    except OSError as error:
        raise _DamageError(f"lacks a file: {error.strerror or error}") from error
    except (*files.DAMAGE, SafetensorError) as error:
        raise _DamageError("has a file that is cut or altered") from error


def _file_facts(content: bytes) -> dict:
    return {"bytes": len(content), "sha256": files.sha256(content)}
