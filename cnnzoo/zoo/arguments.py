"""Validation of the arguments of `build`."""

from collections.abc import Callable, Mapping, Sequence

import keras
from keras import KerasTensor

from cnnzoo.data.arrays import check_class_names
from cnnzoo.errors import UsageError
from cnnzoo.layers.axes import channel_axis
from cnnzoo.layers.heads import POOLINGS
from cnnzoo.models.catalog import SPECS
from cnnzoo.spec import Geometry, Spec
from cnnzoo.system.validation import (
    AT_LEAST_ZERO,
    COUNT,
    FRACTION,
    Rule,
    check_values,
    is_count,
    one_of,
    optional,
)
from cnnzoo.weights.formats.opening import check_source
from cnnzoo.zoo.options import BuildOptions


def _keras_has(get: Callable) -> Callable[[object], bool]:
    """A predicate: whether Keras's `get` accepts a value."""

    def fits(value: object) -> bool:
        try:
            get(value)
        except ValueError:
            return False
        return True

    return fits


def _is_names(value: object) -> bool:
    if not isinstance(value, str | Sequence) or not value:
        return False
    return all(isinstance(name, str) for name in value)


has_activation = _keras_has(keras.activations.get)
_INITIALIZER: Rule = (
    _keras_has(keras.initializers.get),
    "a name that Keras has, such as he_normal or glorot_uniform",
)
RULES: dict[str, Rule] = {
    "name": optional(
        (lambda value: isinstance(value, str) and "/" not in value, "a text without /")
    ),
    "pooling": optional(one_of(*POOLINGS)),
    "classes": optional(COUNT),
    "geometry": optional(
        (lambda value: isinstance(value, str | Geometry), "a fit or a Geometry")
    ),
    "cut": optional((_is_names, "a layer's name, or several")),
    "dropout": optional(FRACTION),
    "weight_decay": optional(AT_LEAST_ZERO),
    "activation": (
        lambda value: value == "prelu" or has_activation(value),  # a layer in Keras
        "a name that Keras has, such as relu, tanh or prelu",
    ),
    "classifier_activation": (
        has_activation,
        "a name that Keras has, such as softmax or sigmoid",
    ),
    "kernel_initializer": _INITIALIZER,
    "bias_initializer": _INITIALIZER,
    "kernel_regularizer": (
        _keras_has(keras.regularizers.get),
        "a name that Keras has, such as l1 or l2, or a keras.Regularizer",
    ),
}

TOP = ("classes", "class_names", "classifier_activation", "aux_heads")  # of classifiers


def check_options(spec: Spec, options: BuildOptions, own: Mapping[str, object]) -> None:
    """Raises UsageError for the first invalid argument."""
    check_values(f"build {spec.name}", vars(options), RULES)
    if options.weights is not None:
        check_source(spec.name, options.weights)
    given = {**vars(options), "aux_heads": own.get("aux_heads")}
    given |= {"classifier_activation": options.classifier_activation != "softmax"}
    if of_top := [name for name in TOP if given[name] and not options.include_top]:
        raise UsageError(
            f"{spec.name} without its top has no classifier, nor auxiliary ones; got "
            f"include_top=False with {' and '.join(of_top)}, so leave one of them out"
        )
    if options.include_top and options.pooling and not isinstance(options.cut, str):
        raise UsageError(
            f"{spec.name} with its top pools as its head does; got "
            f"pooling={options.pooling!r}, so leave it out, or give include_top=False or "
            "one cut"
        )
    if options.weight_decay is not None and options.kernel_regularizer is not None:
        raise UsageError(
            f"{spec.name} takes one penalty on its kernels; got "
            f"weight_decay={options.weight_decay} and a kernel_regularizer, so leave one "
            "of them out"
        )
    names = options.class_names
    if names is not None and options.classes not in (None, len(names)):
        raise UsageError(
            f"{spec.name} got {len(names)} class_names and classes={options.classes}; "
            "give one of them, or as many names as classes"
        )
    check_class_names(names or ())
    classes = options.classes or len(names or ())
    if classes == 1 and options.classifier_activation == "softmax":
        raise UsageError(
            f"{spec.name} with one class and a softmax always answers 1.0; give two "
            'classes, or classifier_activation="sigmoid" for one'
        )


def check_maps(spec: Spec, features: KerasTensor) -> None:
    """Raises a UsageError for vectors, which have no image to pool over."""
    if len(features.shape) != 4:
        raise UsageError(
            f"{spec.name} has no feature maps to pool, its features are vectors; leave "
            "pooling out"
        )


def check_shape(
    spec: Spec, shape: tuple[int | None, ...], example: tuple[int, int, int]
) -> None:
    """Raises a UsageError unless there are three numbers above 0, channels known."""
    channels = 0 if channel_axis() == 1 else 2
    fits = len(shape) == 3 and shape[channels] is not None
    if not fits or not all(n is None or is_count(n) for n in shape):
        raise UsageError(
            f"{spec.name} needs an input_shape of three whole numbers above 0 such as "
            f"{example}, of which only height and width may be None; got {shape}"
        )


def too_small(spec: Spec, height: object, width: object, smallest: int) -> UsageError:
    """The error for images below the network's smallest size, with what helps."""
    remedies = ["enlarge the images"]
    remedies += ["leave aux_heads out"] if spec.aux_heads else []
    as_published = SPECS.get(spec.name) is spec
    if as_published and "stem" in spec.own_options:
        remedies += ['use stem="small"']
    heads = " with aux_heads" if spec.aux_heads else ""
    return UsageError(
        f"{spec.name}{heads} needs images of at least {smallest}x{smallest} pixels; got "
        f"{height}x{width}, so {', '.join(remedies)} or choose a network with a smaller "
        "minimum"
    )
