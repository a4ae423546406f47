"""What the arguments of build() may be: one sentence for each that cannot be right."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
from keras import KerasTensor, layers

from cnnzoo.errors import UsageError, unknown
from cnnzoo.graph.data_format import channel_axis
from cnnzoo.layers.blocks import Activation
from cnnzoo.models.catalog import SPECS
from cnnzoo.spec import Spec
from cnnzoo.system.validation import is_at_least_zero, is_count, is_fraction
from cnnzoo.weights.loading import check_source

INITIALIZERS = "he_normal or glorot_uniform"
POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


def arguments(
    spec: Spec,
    *,
    weights: str | Path | None,
    class_names: Sequence[str] | None,
    kernel_initializer: str | keras.Initializer | None,
    include_top: bool,
    aux_heads: bool,
    pooling: str | None,
    classes: int | None,
    classifier_activation: Activation,
    activation: Activation,
    dropout: float | None,
    weight_decay: float | None,
) -> None:
    if pooling is not None and pooling not in POOLINGS:
        raise unknown("pooling", pooling, POOLINGS)
    if weights is not None:
        check_source(spec.name, weights)
    if classes is not None and not is_count(classes):
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
    if not include_top and aux_heads:
        raise UsageError(
            f"{spec.name} without its top has no classifiers, nor auxiliary ones; got "
            "aux_heads=True with include_top=False, so leave one of them out"
        )
    if class_names is not None and classes not in (None, len(class_names)):
        raise UsageError(
            f"{spec.name} got {len(class_names)} class_names and classes={classes}; give "
            "one of them, or as many names as classes"
        )
    if dropout is not None and not is_fraction(dropout):
        raise UsageError(
            f"{spec.name} needs a dropout rate from 0 to below 1; got dropout={dropout!r}"
        )
    if weight_decay is not None and not is_at_least_zero(weight_decay):
        raise UsageError(
            f"{spec.name} needs a weight_decay of at least 0; got {weight_decay!r}"
        )
    if activation != "prelu":  # a layer in Keras
        _known("activation", activation, keras.activations.get, "relu, tanh or prelu")
    known = keras.activations.get
    _known("classifier activation", classifier_activation, known, "softmax or sigmoid")
    _known("initialiser", kernel_initializer, keras.initializers.get, INITIALIZERS)


def maps(spec: Spec, features: KerasTensor) -> None:
    if len(features.shape) != 4:
        raise UsageError(
            f"{spec.name} has no feature maps to pool, its features are vectors; leave "
            "pooling out"
        )


def _known(kind: str, value: object, get: Callable, examples: str) -> None:
    try:
        get(value)
    except ValueError as error:
        raise UsageError(
            f"Keras has no {kind} {str(value)[:80]!r}; expected a name such as {examples}"
        ) from error


def too_small(spec: Spec, height: object, width: object, smallest: int) -> UsageError:
    remedies = ["enlarge the images"]
    remedies += ["leave aux_heads out"] if spec.aux_heads else []
    as_published = SPECS.get(spec.name) is spec
    remedies += (
        ['use stem="small"'] if as_published and "stem" in spec.own_options else []
    )
    heads = " with aux_heads" if spec.aux_heads else ""
    return UsageError(
        f"{spec.name}{heads} needs images of at least {smallest}x{smallest} pixels; got "
        f"{height}x{width}, so {', '.join(remedies)} or choose a network with a smaller "
        "minimum"
    )


def rank(
    spec: Spec, shape: tuple[int | None, ...], example: tuple[int, int, int]
) -> None:
    """Three numbers above 0, of which the channels are known."""
    channels = 0 if channel_axis() == 1 else 2
    fits = len(shape) == 3 and shape[channels] is not None
    if not fits or not all(n is None or is_count(n) for n in shape):
        raise UsageError(
            f"{spec.name} needs an input_shape of three whole numbers above 0 such as "
            f"{example}, of which only height and width may be None; got {shape}"
        )
