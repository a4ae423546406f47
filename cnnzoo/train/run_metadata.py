"""`run.json`: which training a folder holds, so that no other goes on in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.errors import CheckpointError, ResumeMismatchError
from cnnzoo.metadata import metadata_of
from cnnzoo.system import files
from cnnzoo.system.runtime import device_facts
from cnnzoo.train.recipe import Recipe, named

CARD_FILE = "run.json"
MAX_BYTES = 1 << 22
PACKAGES = ("cnnzoo", "keras", "numpy")  # and the backend's
PARTS = {"train", "validation"}  # of a card's data
NEEDED = {"precision", "backend"}  # of how it was begun
# What may change between two starts, and can then be seen in the last bits of the end.
BITS = ("device", "threads", "deterministic", "versions")


@dataclass(frozen=True)
class Card:
    """What a training is, and with what it was begun.

    Attributes:
        network: name, options, preprocessing and number of parameters.
        recipe: as it was asked for.
        data: what is learnt and what is held out, each by a hash.
        begun: precision, backend, device, threads and versions of the first start.
    """

    network: Mapping
    recipe: Mapping
    data: Mapping
    begun: Mapping


def card_of(
    model: keras.Model,
    recipe: Recipe,
    train: Source,
    validation: Source,
    precision: str,
) -> Card:
    """The card of a training that begins now."""
    backend = keras.backend.backend()
    versions = {package: version(package) for package in PACKAGES}
    # Asked of the module, since TensorFlow has several packages.
    versions[backend] = import_module(backend).__version__
    card = Card(
        network=network_told(model),
        recipe=recipe.to_dict(),
        data={"train": _told(train), "validation": _told(validation)},
        begun={
            "precision": precision,
            "backend": backend,
            **device_facts(),
            "versions": versions,
        },
    )
    return Card(**json.loads(files.as_json(asdict(card))))  # with lists, as it is read


def network_told(model: keras.Model) -> dict:
    """What tells one network from another, but for its weights."""
    built = metadata_of(model)
    return {
        "name": built.catalog_name or model.name,
        "options": {name: named(value) for name, value in built.options.items()},
        "preprocessing": asdict(built.preprocessing),
        "parameters": model.count_params(),
    }


def settled(folder: Path, card: Card) -> Card:
    """The card that the folder has, after it was given this one if it had none.

    Raises:
        ResumeMismatchError: the folder holds another training.
        CheckpointError: its card cannot be read.
        SaveError: it cannot be written.
    """
    path = folder / CARD_FILE
    if not path.exists():
        files.write_json(path, asdict(card))
        return card
    first = _read(path)
    # A field that came later was as it is by itself.
    before = replace(first, recipe={**Recipe().to_dict(), **first.recipe})
    if different := changes(_compared(before, card), _compared(card, card)):
        raise ResumeMismatchError(
            f"{folder} holds another training: {'; '.join(different[:10])}; give what it "
            "was begun with, or train into another folder"
        )
    return first


def card_in(folder: Path) -> Card | None:
    """The card of the training of a folder; None where there is none.

    Raises:
        CheckpointError: its card cannot be read.
    """
    path = folder / CARD_FILE
    return _read(path) if path.exists() else None


def changed_since(first: Card, now: Card) -> str:
    """What is another way than at the first start, and can tell in the last bits."""
    return ", ".join(
        f"{name} {before} is {now.begun.get(name)}"
        for name, before in first.begun.items()
        if name in BITS and before != now.begun.get(name)
    )


def changes(before: object, now: object, place: str = "") -> list[str]:
    """What differs in two things that JSON could have, each with its place in them."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [(name, before.get(name), now.get(name)) for name in {**before, **now}]
    elif isinstance(before, list) and isinstance(now, list):
        inner = [(str(i), *pair) for i, pair in enumerate(zip_longest(before, now))]
    else:
        return [f"{place} was {str(before)[:60]} and is {str(now)[:60]}"]
    dot = "." if place else ""
    return [
        line
        for name, was, present in inner
        for line in changes(was, present, f"{place}{dot}{name}")
    ]


def _compared(card: Card, asked: Card) -> dict:
    """What tells one training from another.

    How long it shall be does not where the schedule of the one that is asked for is a
    plateau.
    """
    recipe = dict(card.recipe)
    if asked.recipe["schedule"] == "plateau":
        recipe.pop("epochs", None)
    return {
        "network": card.network,
        "recipe": recipe,
        "data": card.data,
        "begun": {"backend": card.begun["backend"]},
    }


def _read(path: Path) -> Card:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("larger than any")
        card = Card(**json.loads(path.read_bytes()))
        if not all(isinstance(part, dict) for part in vars(card).values()):
            raise TypeError("parts of another kind")
        if not (card.begun.keys() >= NEEDED and card.data.keys() == PARTS):
            raise LookupError("parts are missing")
        return card
    except (OSError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not tell which training the folder holds, since it is cut or "
            "altered; get it from a backup, or train into another folder"
        ) from error


def _told(source: Source) -> dict:
    return {"images": len(source), "sha256": source.fingerprint()}
