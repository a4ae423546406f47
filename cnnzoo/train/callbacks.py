"""Callbacks of a run: the best epoch, the history, and early stopping."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
from keras.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
)

from cnnzoo.errors import CnnzooError, UsageError
from cnnzoo.evaluation import Evaluation
from cnnzoo.metadata import metadata_of
from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.train import losses, mixed_precision
from cnnzoo.train.recipe import Recipe
from cnnzoo.weights.formats.keras_archive import open_archive, read_metadata
from cnnzoo.weights.loading import load_weights
from cnnzoo.weights.tensors import nonfinite_weights


class BestCheckpoint(Callback):
    """Keeps the weights of the epoch with the lowest validation loss, also in a file.

    Attributes:
        path: Path of the model's file, ending in `.keras`; None for no file.
        monitor: Keras's name of the loss.
        best: Lowest loss so far.
        best_weights: Weights of that epoch. Checkpoints contain them, so that the file
            can be written again.
    """

    def __init__(self, path: Path | None, monitor: str = "val_loss"):
        super().__init__()
        self.path = path
        self.monitor = monitor
        self.best = inf
        self.best_weights: Sequence[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get(self.monitor, inf)
        if isfinite(loss) and loss < self.best and not nonfinite_weights(self.model):
            self.best = loss
            self.keep()

    def keep(self) -> None:
        """Keeps the current weights, which are the best so far."""
        self.best_weights = [weight.copy() for weight in self.model.get_weights()]
        self._write()

    def restore(self) -> None:
        """Gives the model the best weights; a file that has others is written again."""
        if not self._is_in_file():
            self.model.set_weights(list(self.best_weights or ()))
            self._write()

    def keep_temperature(self) -> None:
        """Writes the file again if it has another temperature than the model."""
        if self.path is not None:
            with open_archive(self.path) as archive:
                found = read_metadata(archive).get("temperature")
            if found != metadata_of(self.model).temperature:
                self._write()

    def _is_in_file(self) -> bool:
        """Whether the best weights, which the model then has, are those in the file."""
        if self.path is None:
            return False
        with suppress(CnnzooError, OSError):
            load_weights(self.model, self.path)
            best = self.best_weights or ()
            return all(map(np.array_equal, self.model.get_weights(), best))
        return False

    def _write(self) -> None:
        if self.path is not None:
            with mixed_precision.as_saved(self.model):
                save(self.model, self.path)

    def get_state(self) -> dict:
        return {"best": self.best}

    def set_state(self, state: dict) -> None:
        self.best = state["best"]


class History(dict[str, list[float]]):
    """Metrics of every epoch, by name: those of the main classifier.

    Auxiliary ones add `aux1_loss` and so on, and `total_loss`, the weighted sum.

    Attributes:
        was_over: Whether the training had ended before, so that nothing was trained.
        evaluation: Evaluation of the validation images by the best epoch, before and with
            the temperature that is fitted on them; None if none is.
    """

    def __init__(
        self,
        metrics: dict[str, list[float]],
        *,
        was_over: bool = False,
        evaluation: Evaluation | None = None,
    ):
        super().__init__(metrics)
        self.was_over = was_over
        self.evaluation = evaluation


class HistoryFile(Callback):
    """Metrics of all epochs so far, also as JSON in a file.

    Attributes:
        path: Path of the file, written atomically after each epoch; None for no file.
        metrics: Value per epoch, by the name of the metric.
    """

    def __init__(self, path: Path | None):
        super().__init__()
        self.path = path
        self.metrics: dict[str, list[float]] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._write()  # fails before the first epoch if the folder cannot be written

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in losses.by_plain_names(logs or {}).items():
            self.metrics.setdefault(name, []).append(float(value))
        self._write()

    def get_state(self) -> dict:
        return {"metrics": self.metrics}

    def set_state(self, state: dict) -> None:
        self.metrics = state["metrics"]
        self._write()

    def _write(self) -> None:
        if self.path is not None:
            files.write_json(self.path, without_nan(self.metrics))


def without_nan(metrics: Mapping[str, list[float]]) -> dict[str, list[float | None]]:
    """The metrics of every epoch with None for NaN and infinity, which JSON lacks."""
    return {
        name: [value if isfinite(value) else None for value in values]
        for name, values in metrics.items()
    }


def patience(recipe: Recipe, monitor: str) -> list[Callback]:
    """Callbacks that reduce the learning rate and stop when the loss stops improving."""
    if recipe.patience is None:
        return []
    stopping = EarlyStopping(monitor, patience=recipe.patience, mode="min")
    if recipe.schedule != "plateau":
        return [stopping]
    epochs = max(1, recipe.patience // 3)
    plateau = ReduceLROnPlateau(monitor, factor=0.5, patience=epochs, mode="min")
    return [plateau, stopping]


def check_callbacks(callbacks: Any) -> Sequence[Callback]:
    """Returns the callbacks of the caller; None stands for none.

    Raises:
        UsageError: They are no list of callbacks.
    """
    callbacks = () if callbacks is None else callbacks
    if not isinstance(callbacks, Sequence):
        raise UsageError(
            f"callbacks are a list; got a {type(callbacks).__name__}, so pass [callback]"
        )
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise UsageError(
                f"callbacks are objects of keras.callbacks; got {callback!r:.60}, so "
                "make one, such as keras.callbacks.CSVLogger(path)"
            )
    return callbacks


def check_rates(callbacks: Sequence[Callback], recipe: Recipe) -> None:
    """Checks that the learning rate is set by the recipe or by a callback alone.

    Raises:
        UsageError: A callback sets the learning rate beside "cosine", or is a
            ReduceLROnPlateau beside the "plateau" of the recipe.
    """
    rates: tuple = (LearningRateScheduler, ReduceLROnPlateau)
    if recipe.schedule == "plateau":
        rates = () if recipe.patience is None else (ReduceLROnPlateau,)
    for callback in callbacks:
        if isinstance(callback, rates):
            raise UsageError(
                f"{type(callback).__name__} sets a learning rate that the schedule "
                f"{recipe.schedule!r} of the recipe sets too; leave one of them out"
            )
