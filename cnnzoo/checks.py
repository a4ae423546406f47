"""What the arguments of build() may be: one sentence for each that cannot be right."""

import keras
from keras import KerasTensor, layers

from cnnzoo.blocks import channel_axis
from cnnzoo.errors import UsageError, unknown
from cnnzoo.spec import Activation, Spec

POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


def arguments(
    spec: Spec,
    *,
    include_top: bool,
    pooling: str | None,
    classes: int | None,
    classifier_activation: Activation,
    activation: Activation,
    dropout: float | None,
    weight_decay: float | None,
) -> None:
    if pooling is not None and pooling not in POOLINGS:
        raise unknown("pooling", pooling, POOLINGS)
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        raise UsageError(
            f"{spec.name} needs a whole number of classes, at least 1; got "
            f"classes={classes!r}"
        )
    if not include_top and classifier_activation != "softmax":
        raise UsageError(
            f"{spec.name} without its top has no classifier to activate; got "
            f"classifier_activation={classifier_activation!r} with include_top=False, so "
            "leave one of them out"
        )
    if dropout is not None and not 0 <= dropout < 1:
        raise UsageError(
            f"{spec.name} needs a dropout rate from 0 to below 1; got dropout={dropout}"
        )
    if weight_decay is not None and not weight_decay >= 0:
        raise UsageError(
            f"{spec.name} needs a weight_decay of at least 0; got {weight_decay}"
        )
    for function in (classifier_activation, activation):
        _activation(function)


def maps(spec: Spec, features: KerasTensor) -> None:
    if len(features.shape) != 4:
        raise UsageError(
            f"{spec.name} has no feature maps to pool, its features are vectors; leave "
            "pooling out"
        )


def _activation(function: Activation) -> None:
    try:
        keras.activations.get(None if function == "prelu" else function)
    except ValueError as error:
        raise UsageError(
            f"Keras has no activation {str(function)[:80]!r}; expected a name such as "
            "relu, tanh or prelu, or a function"
        ) from error


def rank(
    spec: Spec, shape: tuple[int | None, ...], example: tuple[int, int, int]
) -> None:
    """Three numbers, of which the channels are known."""
    if len(shape) != 3 or not isinstance(shape[channel_axis() % 4 - 1], int):
        raise UsageError(
            f"{spec.name} needs an input_shape of three numbers such as "
            f"{example}, of which only height and width may be None; "
            f"got {shape}"
        )
