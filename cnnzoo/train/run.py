"""One training: fit, keep the best by validation loss, note the history."""

from dataclasses import replace
from functools import partial
from math import inf, isfinite
from pathlib import Path

import keras

from cnnzoo import files
from cnnzoo.built import described
from cnnzoo.data.batches import own_errors
from cnnzoo.data.source import Source, feed, renumbered
from cnnzoo.errors import DatasetError, TrainingError, UsageError
from cnnzoo.nodes import channels_first, rows_first
from cnnzoo.saving import save
from cnnzoo.train import losses, precision
from cnnzoo.train.settings import Settings
from cnnzoo.weights.load import load_weights

MODEL_FILE = "model.keras"
HISTORY_FILE = "history.json"
SETTINGS_FILE = "settings.json"
MEAN_LOSS = "mean_loss"  # in Keras's figures, one classifier's loss over all images


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
        if isfinite(loss) and loss < self.best:
            self.best = loss
            with precision.as_saved(self.model):
                save(self.model, self.path)


class HistoryFile(keras.callbacks.Callback):
    """Writes the figures of all epochs so far as JSON, atomically, a list a figure."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.write()  # a folder that cannot be written is found before the first epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in _by_plain_names(logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.write()

    def write(self) -> None:
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

    Writes `model.keras` (the best so far) and `history.json` into `out` after each epoch,
    and `settings.json` before the first: what was asked, and the precision chosen.
    The learning rate is halved where the validation loss stands still, and training
    stops where it does not fall any more.

    Args:
        model: from `cnnzoo.build`; it is compiled here, with stock Keras objects.
        out: the folder to write into; made if missing.
        verbose: as in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line an epoch.

    Returns:
        The figures of every epoch: loss, accuracy, val_loss, val_accuracy, ... Where the
        model has auxiliary classifiers, these are the main one's; `aux1_loss` and so on
        are the others', and `total_loss` is the weighted sum that training minimises.

    Raises:
        UsageError: Keras has no such optimiser or loss; there is no such precision.
        DatasetError: the labels do not fit the classifier.
        ImageDecodeError: a file of a folder is no readable image.
        TrainingError: no epoch had a finite validation loss.
        SaveError: `out` cannot be written.
    """
    settings = settings or Settings()
    out = Path(out)
    names = described(model).class_names or tuple(train.class_names)
    _check_classes(model, train)
    chosen = precision.resolve(settings.precision)
    loss = losses.choose(model, settings.loss)
    _compile(model, loss, settings)
    fed = partial(_fed, model, loss, settings)
    learned = fed(renumbered(train, names), shuffle=True)
    held_out = fed(renumbered(validation, names), shuffle=False)
    best = BestCheckpoint(out / MODEL_FILE, _monitor(model))
    history = HistoryFile(out / HISTORY_FILE)
    files.write_json(out / SETTINGS_FILE, settings.told(chosen))
    model.cnnzoo = replace(described(model), class_names=names)
    callbacks = [best, *_patience(settings, best.monitor), history]
    with precision.running(model, chosen.name):
        _run(model, learned, held_out, settings, callbacks, verbose)
    if not isfinite(best.best):
        raise _never_finite(model, len(history.history["loss"]), out)
    load_weights(model, out / MODEL_FILE)
    return history.history


def _never_finite(model: keras.Model, epochs: int, out: Path) -> TrainingError:
    return TrainingError(
        f"the validation loss of {model.name!r} was never finite in {epochs} epochs, so "
        f"this run left no model in {out}; try a lower learning rate"
    )


def _compile(model: keras.Model, loss: keras.Loss | str, settings: Settings) -> None:
    """Every classifier gets the loss, weighted by its row; the first gets an accuracy."""
    optimizer = _optimizer(settings)
    if len(model.outputs) == 1:
        model.compile(optimizer, loss, metrics=["accuracy"])
        return
    others = described(model).spec.aux_heads
    own = losses.per_image(loss)

    def figures(*more: str) -> list:
        return [keras.metrics.MeanMetricWrapper(own, name=MEAN_LOSS), *more]

    model.compile(
        optimizer,
        [loss] * len(model.outputs),
        loss_weights=[1.0, *(other.loss_weight for other in others)],
        metrics=[figures("accuracy"), *(figures() for _ in others)],
    )


def _fed(
    model: keras.Model,
    loss: keras.Loss | str,
    settings: Settings,
    source: Source,
    *,
    shuffle: bool,
):
    """Images and labels as the model and the loss take them; those to learn shuffled."""
    augment = settings.augment
    return feed(
        losses.targets(source, loss, model.outputs[0].shape[-1]),
        rows_first(model, model.input_shape[1:]),
        settings.batch_size,
        augment=augment if shuffle or augment is None else augment.without_randomness(),
        preprocessing=described(model).outside,
        channels_first=channels_first(model),
        outputs=len(model.outputs),
        shuffle=shuffle,
        seed=settings.seed,
    )


def _run(
    model: keras.Model,
    learned: tuple,
    held_out: tuple,
    settings: Settings,
    callbacks: list[keras.callbacks.Callback],
    verbose: int,
) -> None:
    """Keras's `fit`; batches of a folder hold their labels and keep their own order."""
    images, labels = learned
    with own_errors(images, held_out[0]):
        model.fit(
            images,
            labels,
            batch_size=None if labels is None else settings.batch_size,
            epochs=settings.epochs,
            validation_data=held_out[0] if held_out[1] is None else held_out,
            callbacks=callbacks,
            shuffle=labels is not None,
            verbose=verbose,
        )


def _monitor(model: keras.Model) -> str:
    """Keras's name of the loss that the best epoch is chosen by.

    Auxiliary classifiers help the training and are not asked afterwards, so an epoch
    that serves them and not the main one is no better.
    """
    return "val_loss" if len(model.outputs) == 1 else f"val_predictions_{MEAN_LOSS}"


def _by_plain_names(logs: dict) -> dict:
    """Keras's figures; with several classifiers, the main one's as if it were alone."""
    if f"predictions_{MEAN_LOSS}" not in logs:
        return logs
    named = {}
    for name, value in logs.items():
        if name in ("loss", "val_loss"):
            named[name.replace("loss", "total_loss")] = value
        # Keras's own loss of an output is left out: it counts every batch alike, and the
        # last may be of one image.
        elif not name.endswith("predictions_loss"):
            named[name.replace("predictions_", "").replace(MEAN_LOSS, "loss")] = value
    return named


def _patience(settings: Settings, monitor: str) -> list[keras.callbacks.Callback]:
    """What ends or slows a training that does not get better."""
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor, factor=0.5, patience=max(1, settings.patience // 3), mode="min"
        ),
        keras.callbacks.EarlyStopping(monitor, patience=settings.patience, mode="min"),
        keras.callbacks.TerminateOnNaN(),
    ]


def _check_classes(model: keras.Model, train: Source) -> None:
    options = described(model).options
    if not options["include_top"]:
        raise UsageError(
            f"model {model.name!r} has no classifier to train; build it with its top"
        )
    classes, found = options["classes"], len(train.class_names)
    if found != classes and train.labels is not None:
        raise DatasetError(
            f"the data have {found} classes and {model.name!r} {classes}; build it with "
            f"classes={found}"
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
