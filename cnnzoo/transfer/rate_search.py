"""Search for a learning rate: each rate is tried for a part of the training.

For fine-tuning, rates from 1e-5 (https://keras.io/guides/transfer_learning/) to 1e-3
(fastai's `fine_tune`) are recommended; the best depends on the network and the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import TrainingError
from cnnzoo.train.checkpoint.state import generator_states, set_generator_states
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run
from cnnzoo.transfer.results import read_record, write_record

SHARE = 0.1  # share of the steps of a phase, for each rate
SEARCH_FILE = "lr_search.json"


def choose_learning_rate(
    network: keras.Model,
    train: Source,
    validation: Source,
    recipe: Recipe,
    rates: Sequence[float],
    folder: Path,
) -> float:
    """The rate with the lowest validation loss; the network does not change.

    A search whose result is in the folder is not repeated.

    Args:
        network: Network to be trained.
        train: Training images.
        validation: Validation images.
        recipe: Recipe of the whole training, of any learning rate.
        rates: Learning rates to choose from.
        folder: Folder of the phase.

    Raises:
        TrainingError: No rate gave a finite loss.
        CheckpointError: The folder's file is damaged.
    """
    path = folder / SEARCH_FILE
    if not path.exists():
        losses = {
            rate: _lowest_loss(network, train, validation, recipe, rate) for rate in rates
        }
        if min(losses.values()) == inf:
            raise TrainingError(
                "the validation loss was finite with none of the learning rates "
                f"{tuple(rates)}; use lower ones"
            )
        finite = {str(rate): loss for rate, loss in losses.items() if loss < inf}
        write_record(path, {"val_loss": finite})
    return read_record(path, _best_rate, f"remove {folder} and call again")


def _best_rate(record: dict) -> float:
    losses = {float(rate): float(loss) for rate, loss in record["val_loss"].items()}
    return min(losses, key=losses.__getitem__)


def _lowest_loss(
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
    states = generator_states()
    try:
        with TemporaryDirectory() as place:
            run = Run(place, calibrated=False)
            history = run.fit(network, train.take(some), validation, short)
    except TrainingError:
        return inf
    finally:
        for variable, value in start:
            variable.assign(value)
        set_generator_states(states)
    return min(filter(isfinite, history["val_loss"]))
