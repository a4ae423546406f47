"""What looks on while a network trains: keeps the best, writes the history."""

from math import inf, isfinite
from pathlib import Path

import keras
from keras import ops
from keras.callbacks import EarlyStopping, ReduceLROnPlateau

from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.train import losses, mixed_precision
from cnnzoo.train.recipe import Recipe


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the model, atomically, whenever the validation loss is the lowest so far.

    Attributes:
        path: the file, ending in `.keras`.
        monitor: Keras's name of the loss to go by.
        best: the lowest so far.
    """

    def __init__(self, path: Path, monitor: str = "val_loss"):
        super().__init__()
        self.path = path
        self.monitor = monitor
        self.best = inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get(self.monitor, inf)
        if isfinite(loss) and loss < self.best and are_numbers(self.model):
            self.best = loss
            with mixed_precision.as_saved(self.model):
                save(self.model, self.path)

    def memory(self) -> dict:
        return {"best": self.best}

    def remember(self, memory: dict) -> None:
        self.best = memory["best"]


def are_numbers(model: keras.Model) -> bool:
    """Whether all weights are; a loss can be one without them, behind a ReLU."""
    return all(
        bool(ops.all(ops.isfinite(weight.value)))
        for weight in model.weights
        if keras.backend.is_float_dtype(weight.dtype)
    )


class HistoryFile(keras.callbacks.Callback):
    """The figures of all epochs so far, a list a figure, and as JSON in a file.

    Attributes:
        path: the file, written atomically after each epoch; None for no file.
        history: the figures.
    """

    def __init__(self, path: Path | None):
        super().__init__()
        self.path = path
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.write()  # a folder that cannot be written is found before the first epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in losses.by_plain_names(logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.write()

    def memory(self) -> dict:
        return {"history": self.history}

    def remember(self, memory: dict) -> None:
        self.history = memory["history"]
        self.write()

    def write(self) -> None:
        json = {  # which has no NaN
            name: [value if isfinite(value) else None for value in values]
            for name, values in self.history.items()
        }
        if self.path is not None:
            files.write_json(self.path, json)


def patience(recipe: Recipe, monitor: str) -> list[keras.callbacks.Callback]:
    """What slows a training that does not get better, then ends it."""
    found: list[keras.callbacks.Callback] = []
    if recipe.patience is None:
        return found
    if recipe.schedule == "plateau":
        waits = max(1, recipe.patience // 3)
        found.append(ReduceLROnPlateau(monitor, factor=0.5, patience=waits, mode="min"))
    found.append(EarlyStopping(monitor, patience=recipe.patience, mode="min"))
    return found
