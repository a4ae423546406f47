"""An ensemble in a folder: members as `.keras` files, which `ensemble.json` lists.

The files of members have random names, so that a new ensemble never overwrites the
members of an old one; the JSON file is replaced in one step.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from cnnzoo.calibration import TEMPERATURE
from cnnzoo.ensemble.combine import METHODS
from cnnzoo.errors import CheckpointError, SaveError, WeightFileError
from cnnzoo.saving import load, save
from cnnzoo.system import files
from cnnzoo.system.locks import folder_lock

ENSEMBLE_FILE = "ensemble.json"
FORMAT = 1
WAIT_SECONDS = 20.0  # for another process that writes to the folder
NAME_BYTES = 8
NAME = f"[0-9a-f]{{{2 * NAME_BYTES}}}"


def write(
    folder: Path,
    models: Sequence[keras.Model],
    combine: str,
    weights: np.ndarray | None,
    temperature: float = 1.0,
) -> Path:
    """Writes the members, each once, and the JSON file; returns its path.

    Raises:
        SaveError: The folder cannot be written; an ensemble in it is unchanged.
        CheckpointError: Another process keeps the folder locked.
    """
    # Another process would remove these members.
    with folder_lock(folder, wait=WAIT_SECONDS) as lock:
        names = {id(model): secrets.token_hex(NAME_BYTES) for model in models}
        unique = {names[id(model)]: model for model in models}
        try:
            hashes = {
                name: files.sha256(save(model, _member(folder, name)))
                for name, model in unique.items()
            }
            record = {
                "format": FORMAT,
                "members": [names[id(model)] for model in models],
                "sha256": hashes,
                "combine": combine,
                "weights": None if weights is None else weights.tolist(),
                "temperature": temperature,
            }
            lock.check()
            path = files.write_json(folder / ENSEMBLE_FILE, record)
        except (CheckpointError, SaveError):
            _remove(folder, unique)
            raise
        found = (re.fullmatch(f"member-({NAME}).keras", p.name) for p in folder.iterdir())
        _remove(folder, {match[1] for match in found if match} - set(unique))
        return path


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Removes members that are no longer listed; one that remains does no harm."""
    for name in names:
        with suppress(OSError):
            _member(folder, name).unlink(missing_ok=True)


def read(folder: Path) -> tuple[list[keras.Model], str, np.ndarray | None, float]:
    """The members, the method that combines them, its weights, and the temperature.

    Raises:
        FileNotFoundError: There is no such ensemble.
        WeightFileError: A file of it is damaged or altered.
        UnsafeFileError: A file is unsafe to read.
    """
    path = folder / ENSEMBLE_FILE
    error = WeightFileError(
        f"{path} does not describe an ensemble, since it was cut or altered; get it again"
    )
    if not path.exists():
        raise FileNotFoundError(f"there is no ensemble {path}; check the folder")
    with files.refusing_damage(error):
        names, hashes, combine, weights, temperature = _read_json(path)
    members = {name: _load(_member(folder, name), hashes[name]) for name in hashes}
    return [members[name] for name in names], combine, weights, temperature


def _read_json(
    path: Path,
) -> tuple[list[str], dict[str, str], str, np.ndarray | None, float]:
    """Names and hashes of the members, and what `read` returns beside them."""
    record = files.read_json(path)
    files.check_format(path, record, FORMAT, WeightFileError)
    names, hashes, combine = record["members"], record["sha256"], record["combine"]
    if combine not in METHODS or set(names) != set(hashes):
        raise ValueError("parts that do not fit")
    if not names or not all(map(re.compile(NAME).fullmatch, names)):
        raise ValueError("no names of members")
    weights = record["weights"]
    values = None if weights is None else np.array(weights, np.float64)
    if values is not None and not np.isfinite(values).all():
        raise ValueError("weights that are not finite")
    temperature = record.get("temperature", 1.0)  # older versions had none
    if not TEMPERATURE[0](temperature):
        raise ValueError("a temperature that is out of range")
    return names, hashes, combine, values, temperature


def _load(path: Path, sha256: str) -> keras.Model:
    if path.exists() and files.sha256(path) != sha256:
        raise WeightFileError(
            f"{path} is another file than was written with its ensemble; get it again"
        )
    return load(path)


def _member(folder: Path, name: str) -> Path:
    return folder / f"member-{name}.keras"
