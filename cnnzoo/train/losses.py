"""Losses of classifiers, and labels in the form that a loss takes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.errors import UsageError, check_known
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import metadata_of
from cnnzoo.system.validation import FRACTION, check_values

FIXED = {"from_logits", "reduction", "axis", "name", "dtype"}  # no choice of a recipe


def choose(
    model: keras.Model,
    name: str | None,
    options: Mapping[str, Any] | None = None,
    *,
    blended: bool = False,
) -> keras.Loss | str:
    """The loss of this name, or the cross-entropy that fits the classifier.

    Args:
        model: Classifier.
        name: Keras's name of the loss; None for the cross-entropy.
        options: Options of the loss by name; None for Keras's defaults.
        blended: Whether labels are probabilities of several classes, as in mixup.

    Raises:
        UsageError: Keras has no such loss or option, or it does not fit the classifier.
    """
    logits = metadata_of(model).options["classifier_activation"] is None
    one_unit = model.outputs[0].shape[-1] == 1
    if name is None:
        if one_unit:
            kind = keras.losses.BinaryCrossentropy
        elif blended or options:
            kind = keras.losses.CategoricalCrossentropy
        else:
            kind = keras.losses.SparseCategoricalCrossentropy
        return _with_options(kind, options or {}, from_logits=logits)
    if logits or (one_unit and "categorical" in name.lower()):
        gives = "logits" if logits else "one probability"
        raise UsageError(
            f"the loss {name!r} takes a probability per class, and {model.name!r} "
            f"gives {gives}; leave the loss out"
        )
    if blended and _is_sparse(name):
        raise UsageError(
            f"the loss {name!r} takes class numbers, and mixup blends classes; leave the "
            "loss out, or choose categorical_crossentropy"
        )
    try:
        loss = keras.losses.get(name)
        rows = keras.utils.to_categorical([0, 0], 2)
        loss(np.zeros(2) if _is_sparse(name) else rows, rows)
    except Exception as error:  # losses raise different exceptions
        raise UsageError(
            f"Keras has no loss {name!r} for classes; expected a name such as "
            "sparse_categorical_crossentropy, categorical_crossentropy or "
            "mean_squared_error"
        ) from error
    return _with_options(_class_of(loss), options) if options else name


def _class_of(loss: Callable) -> type[keras.Loss]:
    """Keras's class of a loss that may be a function."""
    classes = dict(inspect.getmembers(keras.losses, inspect.isclass))
    name = getattr(loss, "__name__", type(loss).__name__).replace("_", "").lower()
    return next(kind for known, kind in classes.items() if known.lower() == name)


def _with_options(
    kind: type[keras.Loss], options: Mapping[str, Any], **fixed: bool
) -> keras.Loss:
    known = set(inspect.signature(kind).parameters) - FIXED
    for name in options:
        check_known(f"option of the loss {kind.__name__}", name, known)
    given = {"label_smoothing": 0, **options}
    check_values("train", given, {"label_smoothing": FRACTION})
    return kind(**options, **fixed)


MEAN_LOSS = "mean_loss"  # Keras's metric: the loss of one classifier over all images


def per_image(
    loss: keras.Loss | str, options: Mapping[str, Any] | None = None
) -> Callable:
    """The loss with these options as a function that returns one number per image."""
    function = keras.losses.get(loss)
    if not isinstance(function, keras.Loss):
        return function
    config = {**function.get_config(), **(options or {})}  # Huber's lacks its option
    return type(function).from_config({**config, "reduction": None})


def _is_sparse(loss: keras.Loss | str) -> bool:
    """Whether the loss takes class numbers, by either of Keras's spellings."""
    name = loss if isinstance(loss, str) else type(loss).__name__
    return name.lower().startswith("sparse")


def targets(source: Source, loss: keras.Loss | str, units: int) -> Source:
    """The labels in the form that the loss takes: class numbers, or one-hot rows."""
    if units == 1 or _is_sparse(loss):
        return source
    rows = keras.utils.to_categorical(source.labels, units).astype("float32")
    return source.relabel(rows, source.class_names)


def by_plain_names(logs: dict) -> dict:
    """Keras's metrics, those of the main classifier without the prefix of its name."""
    if f"{PREDICTIONS}_{MEAN_LOSS}" not in logs:
        return logs
    plain = {}
    for name, value in logs.items():
        if name in ("loss", "val_loss"):
            plain[name.replace("loss", "total_loss")] = value
        # Keras's own loss of an output is left out, since it weights all batches equally,
        # and the last may have one image.
        elif not name.endswith(f"{PREDICTIONS}_loss"):
            plain[name.replace(f"{PREDICTIONS}_", "").replace(MEAN_LOSS, "loss")] = value
    return plain
