"""Which learning rate suits a network: each is tried for a part of the training.

For fine-tuning, rates from 1e-5 (https://keras.io/guides/transfer_learning/) to 1e-3
(fastai's `fine_tune`) are recommended; which suits depends on the network and the images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import CheckpointError, TrainingError
from cnnzoo.system import files
from cnnzoo.train.checkpoint import random_state
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run

SHARE = 0.1  # of the steps of a phase, that each rate is tried for
PILOT_FILE = "rates.json"


def settled(
    network: keras.Model,
    train: Source,
    validation: Source,
    recipe: Recipe,
    rates: Sequence[float],
    folder: Path,
) -> float:
    """The rate with the lowest validation loss; the network stays as it is.

    What a folder tells already is not tried again.

    Args:
        recipe: of the whole training; its own rate is not asked.
        folder: of the phase.

    Raises:
        TrainingError: the loss is finite with none of the rates.
        CheckpointError: the folder's file cannot be read.
    """
    path = folder / PILOT_FILE
    if not path.exists():
        losses = {
            rate: _tried(network, train, validation, recipe, rate) for rate in rates
        }
        if min(losses.values()) == inf:
            raise TrainingError(
                f"the validation loss was finite with none of the rates {tuple(rates)}; "
                "try lower ones"
            )
        told = {str(rate): loss for rate, loss in losses.items() if loss < inf}
        files.write_json(path, told)
    try:
        known = {
            float(rate): loss for rate, loss in json.loads(path.read_bytes()).items()
        }
        return min(known, key=known.__getitem__)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} does not tell which learning rates were tried, since it is cut or "
            f"altered; remove {folder} and call again"
        ) from error


def _tried(
    network: keras.Model, train: Source, validation: Source, recipe: Recipe, rate: float
) -> float:
    """The lowest validation loss of a short training; infinite if none is finite."""
    passes = SHARE * recipe.epochs
    epochs = max(1, round(passes))
    some = some_rows(len(train), max(1, round(passes / epochs * len(train))), recipe.seed)
    short = replace(recipe, learning_rate=rate, epochs=epochs, patience=None)
    start = [
        (variable, keras.ops.convert_to_numpy(variable.value).copy())
        for variable in network.variables
    ]
    drawn = random_state.take()
    try:
        with TemporaryDirectory() as place:
            history = Run(place).fit(network, train.take(some), validation, short)
    except TrainingError:
        return inf
    finally:
        for variable, value in start:
            variable.assign(value)
        random_state.put(drawn)
    return min(filter(isfinite, history["val_loss"]))
