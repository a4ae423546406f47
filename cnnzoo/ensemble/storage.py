"""An ensemble in a folder: members as `.keras` files, and a card that names them.

A member's name is random, so a new ensemble never writes over an old one's members; the
card goes from the old ones to the new ones in one step.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from cnnzoo.ensemble.combine import METHODS
from cnnzoo.errors import SaveError, WeightFileError
from cnnzoo.saving import load, save
from cnnzoo.system import files
from cnnzoo.system.locks import folder_lock

CARD_FILE = "ensemble.json"
FORMAT = 1
NAME_BYTES = 8
NAME = f"[0-9a-f]{{{2 * NAME_BYTES}}}"


def write(
    folder: Path,
    models: Sequence[keras.Model],
    combine: str,
    weights: np.ndarray | None,
) -> Path:
    """Writes the members, each once, and the card; returns its path.

    Raises:
        SaveError: the folder cannot be written; an ensemble that it had is whole.
    """
    with folder_lock(folder, wait=True):  # another process would remove our members
        return _write(folder, models, combine, weights)


def _write(
    folder: Path,
    models: Sequence[keras.Model],
    combine: str,
    weights: np.ndarray | None,
) -> Path:
    kinds = {id(model): model for model in models}
    names = {kind: secrets.token_hex(NAME_BYTES) for kind in kinds}
    try:
        sums = {
            names[kind]: files.sha256(save(model, _member(folder, names[kind])))
            for kind, model in kinds.items()
        }
        path = _write_card(folder, models, names, sums, combine, weights)
    except SaveError:
        _remove(folder, names.values())
        raise
    found = folder.glob(_member(folder, "*").name)
    known = (re.fullmatch(_member(folder, f"({NAME})").name, path.name) for path in found)
    _remove(folder, {match[1] for match in known if match} - set(sums))
    return path


def _write_card(
    folder: Path,
    models: Sequence[keras.Model],
    names: Mapping[int, str],
    sums: Mapping[str, str],
    combine: str,
    weights: np.ndarray | None,
) -> Path:
    card = {
        "format": FORMAT,
        "members": [names[id(model)] for model in models],
        "sha256": dict(sums),
        "combine": combine,
        "weights": None if weights is None else weights.tolist(),
    }
    return files.write_json(folder / CARD_FILE, card)


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Removes members that no card names; one that stays does no harm."""
    for name in names:
        with suppress(OSError):
            _member(folder, name).unlink(missing_ok=True)


def read(folder: Path) -> tuple[list[keras.Model], str, np.ndarray | None]:
    """The members, how they are combined, and the weights.

    Raises:
        FileNotFoundError: there is no such ensemble.
        WeightFileError: a file of it is damaged or altered.
        UnsafeFileError: a file asks for what no honest file asks for.
    """
    path = folder / CARD_FILE
    error = WeightFileError(
        f"{path} does not describe an ensemble, since it was cut or altered; get it again"
    )
    if not path.exists():
        raise FileNotFoundError(f"there is no ensemble {path}; check the folder")
    with files.refusing_damage(error):
        names, sums, combine, weights = _card(path)
    members = {name: _loaded(_member(folder, name), sums[name]) for name in sums}
    return [members[name] for name in names], combine, weights


def _card(path: Path) -> tuple[list[str], dict[str, str], str, np.ndarray | None]:
    """Names and checksums of the members, how they are combined, and the weights."""
    card = files.read_json(path)
    names, sums, combine = card["members"], card["sha256"], card["combine"]
    if card["format"] != FORMAT or combine not in METHODS or set(names) != set(sums):
        raise ValueError("another format")
    if not names or not all(map(re.compile(NAME).fullmatch, names)):
        raise ValueError("no names of members")
    weights = card["weights"]
    found = None if weights is None else np.array(weights, np.float64)
    if found is not None and not np.isfinite(found).all():
        raise ValueError("weights that are no numbers")
    return names, sums, combine, found


def _loaded(path: Path, sha256: str) -> keras.Model:
    if path.exists() and files.sha256(path) != sha256:
        raise WeightFileError(
            f"{path} is another file than was written with its ensemble; get it again"
        )
    return load(path)


def _member(folder: Path, name: str) -> Path:
    return folder / f"member-{name}.keras"
