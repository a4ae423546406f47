"""The loss that fits a classifier, and the labels that fit a loss."""

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.errors import UsageError
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import metadata_of


def choose(
    model: keras.Model, name: str | None, *, blended: bool = False
) -> keras.Loss | str:
    """The loss of that name, or the cross-entropy that fits the classifier.

    Args:
        blended: whether a label may be a share of several classes, as mixup makes them.

    Raises:
        UsageError: Keras has no such loss, or it does not fit the classifier.
    """
    logits = metadata_of(model).options["classifier_activation"] is None
    one_unit = model.outputs[0].shape[-1] == 1
    if name is None:
        if one_unit:
            return keras.losses.BinaryCrossentropy(from_logits=logits)
        if blended:
            return keras.losses.CategoricalCrossentropy(from_logits=logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if logits or (one_unit and "categorical" in name.lower()):
        gives = "logits" if logits else "one probability"
        raise UsageError(
            f"the loss {name!r} takes a probability for each class, and {model.name!r} "
            f"gives {gives}; leave the loss out"
        )
    if blended and _is_sparse(name):
        raise UsageError(
            f"the loss {name!r} takes class numbers, and mixup blends classes; leave the "
            "loss out, or choose categorical_crossentropy"
        )
    try:
        loss = keras.losses.get(name)
        rows = _one_hot(np.zeros(2, int), 2)
        loss(np.zeros(2) if _is_sparse(name) else rows, rows)
    except Exception as error:  # each loss refuses in its own way
        raise UsageError(
            f"Keras has no loss {name!r} for classes; expected a name such as "
            "sparse_categorical_crossentropy, categorical_crossentropy or "
            "mean_squared_error"
        ) from error
    return name


MEAN_LOSS = "mean_loss"  # in Keras's figures, one classifier's loss over all images


def per_image(loss: keras.Loss | str):
    """The loss as a function that gives one number for each image."""
    function = keras.losses.get(loss)
    if not isinstance(function, keras.Loss):
        return function
    return type(function).from_config({**function.get_config(), "reduction": None})


def _is_sparse(loss: keras.Loss | str) -> bool:
    """Whether the loss takes class numbers, by either of Keras's spellings."""
    name = loss if isinstance(loss, str) else type(loss).__name__
    return name.lower().startswith("sparse")


def _one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype="float32")[labels]


def targets(source: Source, loss: keras.Loss | str, units: int) -> Source:
    """The labels in the form that the loss wants: numbers, or rows with a single 1."""
    if units == 1 or _is_sparse(loss):
        return source
    labels = _one_hot(np.asarray(source.labels), units)
    return source.relabel(labels, source.class_names)


def by_plain_names(logs: dict) -> dict:
    """Keras's figures; with several classifiers, the main one's as if it were alone."""
    if f"{PREDICTIONS}_{MEAN_LOSS}" not in logs:
        return logs
    named = {}
    for name, value in logs.items():
        if name in ("loss", "val_loss"):
            named[name.replace("loss", "total_loss")] = value
        # Keras's own loss of an output is left out: it counts every batch alike, and the
        # last may be of one image.
        elif not name.endswith(f"{PREDICTIONS}_loss"):
            named[name.replace(f"{PREDICTIONS}_", "").replace(MEAN_LOSS, "loss")] = value
    return named
