"""One training: fit, keep the best by validation loss, note the history."""

from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path

import keras
import numpy as np

from cnnzoo import files
from cnnzoo.data.batches import own_errors
from cnnzoo.data.source import Source, feed
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.saving import save
from cnnzoo.weights.load import load_archive
from cnnzoo.zoo import described

MODEL_FILE = "model.keras"
HISTORY_FILE = "history.json"


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the training images, at most.
        batch_size: images a step.
        optimizer: a Keras name.
        learning_rate: None for the optimiser's own.
        loss: a Keras name; None for the cross-entropy that fits the classifier.
        patience: epochs without a better validation loss before training stops; the
            learning rate is halved after a third of them.
        seed: of the order of image folders; set Keras's own with
            `keras.utils.set_random_seed`.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float | None = None
    loss: str | None = None
    patience: int = 9
    seed: int = 0


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the model, atomically, whenever the validation loss is the lowest so far."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.best = inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("val_loss", inf)
        if isfinite(loss) and loss < self.best:
            self.best = loss
            save(self.model, self.path)


class HistoryFile(keras.callbacks.Callback):
    """Writes the figures of all epochs so far as JSON, atomically, a list a figure."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        json = {  # which has no NaN
            name: [value if isfinite(value) else None for value in values]
            for name, values in self.history.items()
        }
        files.write_json(self.path, json)


def fit(
    model: keras.Model,
    train: Source,
    validation: Source,
    out: str | Path,
    settings: Settings | None = None,
    *,
    verbose: int = 0,
) -> dict[str, list[float]]:
    """Trains a model and leaves it with the weights of its best epoch.

    Writes `model.keras` (the best so far) and `history.json` into `out` after each epoch.
    The learning rate is halved where the validation loss stands still, and training
    stops where it does not fall any more.

    Args:
        model: from `cnnzoo.build`; it is compiled here, with stock Keras objects.
        out: the folder to write into; made if missing.
        verbose: as in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line an epoch.

    Returns:
        The figures of every epoch: loss, accuracy, val_loss, val_accuracy, ...

    Raises:
        UsageError: Keras has no such optimiser or loss.
        DatasetError: the labels do not fit the classifier.
        ImageDecodeError: a file of a folder is no readable image.
        SaveError: `out` cannot be written.
    """
    settings = settings or Settings()
    out = Path(out)
    _check_labels(model, train, validation)
    model.cnnzoo = replace(described(model), class_names=tuple(train.class_names))
    loss = _loss(model, settings.loss)
    model.compile(_optimizer(settings), loss, metrics=["accuracy"])

    *_, units = model.output_shape
    shape, batch_size = model.input_shape[1:], settings.batch_size
    learned = _targets(train, loss, units)
    held_out = _targets(validation, loss, units)
    images, labels = feed(learned, shape, batch_size, shuffle=True, seed=settings.seed)
    checked = _pair(*feed(held_out, shape, batch_size))
    best = BestCheckpoint(out / MODEL_FILE)
    history = HistoryFile(out / HISTORY_FILE)
    halving = keras.callbacks.ReduceLROnPlateau(
        factor=0.5, patience=max(1, settings.patience // 3)
    )
    stopping = keras.callbacks.EarlyStopping(patience=settings.patience)
    with own_errors(images, checked):
        model.fit(
            images,
            labels,
            batch_size=None if labels is None else batch_size,
            epochs=settings.epochs,
            validation_data=checked,
            callbacks=[best, halving, stopping, history],
            shuffle=labels is not None,  # batches of a folder keep their own order
            verbose=verbose,
        )
    if isfinite(best.best):
        load_archive(model, out / MODEL_FILE)
    return history.history


def _pair(images, labels):
    """`validation_data`: batches that hold their labels go alone."""
    return images if labels is None else (images, labels)


def _check_labels(model: keras.Model, *sources: Source) -> None:
    classes = described(model).options["classes"]
    for source in sources:
        if source.labels is None or len(source) == 0:
            raise DatasetError(
                "training needs labelled images; the data have none, so give a folder "
                "of class folders or a CSV with a label column"
            )
        if len(source.class_names) != classes:
            raise DatasetError(
                f"the data have {len(source.class_names)} classes and {model.name!r} "
                f"{classes}; build it with classes={len(source.class_names)}"
            )


def _optimizer(settings: Settings) -> keras.Optimizer:
    try:
        optimizer = keras.optimizers.get(settings.optimizer)
    except ValueError as error:
        raise UsageError(
            f"Keras has no optimiser {settings.optimizer!r}; expected a name such as "
            "adam, sgd or rmsprop"
        ) from error
    if settings.learning_rate is not None:
        optimizer.learning_rate = settings.learning_rate
    return optimizer


def _loss(model: keras.Model, name: str | None) -> keras.Loss | str:
    """The loss of that name, or the cross-entropy that fits the classifier."""
    if name is None:
        logits = described(model).options["classifier_activation"] is None
        if model.output_shape[-1] == 1:
            return keras.losses.BinaryCrossentropy(from_logits=logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    try:
        keras.losses.get(name)
    except ValueError as error:
        raise UsageError(
            f"Keras has no loss {name!r}; expected a name such as "
            "sparse_categorical_crossentropy, categorical_crossentropy or "
            "mean_squared_error"
        ) from error
    return name


def _targets(source: Source, loss: keras.Loss | str, units: int) -> Source:
    """The labels in the form that the loss wants: numbers, or rows with a single 1."""
    if units == 1 or not isinstance(loss, str) or loss.startswith("sparse_"):
        return source
    return replace(source, labels=np.eye(units, dtype="float32")[source.labels])
