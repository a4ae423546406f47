"""Metadata of a run in `run.json`, so that no other training continues in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.errors import CheckpointError, ResumeMismatchError, other_network
from cnnzoo.metadata import geometry_of, metadata_of
from cnnzoo.system import files
from cnnzoo.system.runtime import device_facts
from cnnzoo.train import mixed_precision
from cnnzoo.train.recipe import Recipe, name_of

RUN_FILE = "run.json"
FORMAT = 2
PACKAGES = ("cnnzoo", "keras", "numpy")  # and the backend's
PARTS = {"train", "validation"}  # of the data
REQUIRED = {"precision", "backend"}  # of the environment
# Settings that may differ between two starts, which can change last bits of the result.
SETTINGS = ("device", "threads", "deterministic", "versions")


@dataclass(frozen=True)
class RunMetadata:
    """Settings of a training, and the environment of its first start.

    Attributes:
        network: Name, options, preprocessing, number of parameters, and geometry if set.
        recipe: Recipe as it was passed.
        data: Number of images and hash, for training and for validation.
        environment: Precision, backend, device, threads and versions of the first start.
    """

    network: Mapping
    recipe: Mapping
    data: Mapping
    environment: Mapping

    def to_dict(self) -> dict:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, record: Mapping) -> RunMetadata:
        """Raises LookupError or TypeError if parts are missing or of another type."""
        metadata = cls(**{k: v for k, v in record.items() if k != "format"})
        if not all(isinstance(part, dict) for part in vars(metadata).values()):
            raise TypeError("parts of another kind")
        if metadata.data.keys() != PARTS or not metadata.environment.keys() >= REQUIRED:
            raise LookupError("parts are missing")
        return metadata


def collect(
    model: keras.Model,
    recipe: Recipe,
    train: Source,
    validation: Source,
) -> RunMetadata:
    """The metadata of a training that starts now."""
    backend = keras.backend.backend()
    versions = {package: version(package) for package in PACKAGES}
    # Taken from the module, since TensorFlow has several packages.
    versions[backend] = import_module(backend).__version__
    metadata = RunMetadata(
        network=network_facts(model),
        recipe=recipe.to_dict(),
        data={"train": _source_facts(train), "validation": _source_facts(validation)},
        environment={
            "precision": mixed_precision.resolve(recipe.precision),
            "backend": backend,
            **device_facts(),
            "versions": versions,
        },
    )
    # With lists instead of tuples, as when read from a file.
    return RunMetadata.from_dict(json.loads(files.as_json(metadata.to_dict())))


def network_facts(model: keras.Model) -> dict:
    """Facts that identify a network, without its weights."""
    metadata = metadata_of(model)
    return {
        "name": metadata.catalog_name or model.name,
        "options": {name: name_of(value) for name, value in metadata.options.items()},
        "preprocessing": asdict(metadata.preprocessing),
        "parameters": model.count_params(),
        **({"geometry": asdict(geometry)} if (geometry := geometry_of(model)) else {}),
    }


def check_or_create(folder: Path, new: RunMetadata) -> RunMetadata:
    """The metadata of a folder, which are written if it has none.

    Raises:
        ResumeMismatchError: The folder contains another training.
        CheckpointError: The metadata cannot be read.
        SaveError: The metadata cannot be written.
    """
    first = read(folder)
    if first is None:
        files.write_json(folder / RUN_FILE, new.to_dict())
        return new
    # Fields that an earlier version did not have get their defaults.
    completed = replace(first, recipe={**Recipe().to_dict(), **first.recipe})
    before, now = first.network["name"], new.network["name"]
    if before != now:
        raise other_network(folder, before, now)
    if found := differences(_identity(completed, new), _identity(new, new)):
        raise ResumeMismatchError(
            f"{folder} holds another training: {'; '.join(found[:10])}; pass what it "
            "was started with, or train into another folder"
        )
    return first


def with_batch_size(recipe: Recipe, images: int, folder: Path) -> Recipe:
    """The recipe with a batch size: its own, that of the folder's training, or a default.

    Args:
        recipe: Recipe as it was passed.
        images: Number of training images.
        folder: Folder of the training, which may have begun before.

    Raises:
        CheckpointError: As in `read`.
    """
    first = read(folder) if recipe.batch_size is None else None
    size = first.recipe.get("batch_size") if first else None
    return replace(recipe, batch_size=size or recipe.images_per_step(images))


def read(folder: Path) -> RunMetadata | None:
    """The metadata of the training in a folder; None if there is none.

    Raises:
        CheckpointError: The metadata cannot be read, or are of another version.
    """
    path = folder / RUN_FILE
    if not path.exists():
        return None
    error = CheckpointError(
        f"{path} does not tell which training the folder holds, since it is cut or "
        "altered; get it from a backup, or train into another folder"
    )
    with files.refusing_damage(error):
        record = files.read_json(path)
        files.check_format(path, record, FORMAT, CheckpointError)
        return RunMetadata.from_dict(record)


def environment_changes(first: RunMetadata, now: RunMetadata) -> str:
    """The settings that differ from the first start."""
    return ", ".join(
        f"{name} was {before} and is {now.environment.get(name)}"
        for name, before in first.environment.items()
        if name in SETTINGS and before != now.environment.get(name)
    )


def differences(before: object, now: object, place: str = "") -> list[str]:
    """Differences between two JSON values, each with its path."""
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
        for line in differences(was, present, f"{place}{dot}{name}")
    ]


def _identity(metadata: RunMetadata, new: RunMetadata) -> dict:
    """Facts that identify a training.

    The number of epochs is left out if the new schedule is "plateau".
    """
    recipe = dict(metadata.recipe)
    if new.recipe["schedule"] == "plateau":
        recipe.pop("epochs", None)
    return {
        "network": metadata.network,
        "recipe": recipe,
        "data": metadata.data,
        "environment": {"backend": metadata.environment["backend"]},
    }


def _source_facts(source: Source) -> dict:
    return {"images": len(source), "sha256": source.fingerprint()}
