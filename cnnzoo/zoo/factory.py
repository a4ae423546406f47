"""build(): a Spec becomes a keras.Model here and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import keras
from keras import KerasTensor, layers

from cnnzoo import layer_names
from cnnzoo.data import preprocess
from cnnzoo.errors import UsageError, unknown
from cnnzoo.fast import accelerate
from cnnzoo.graph.data_format import channel_axis, to_keras_format
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.layers.blocks import Activation, Conv, activation_block
from cnnzoo.metadata import ModelMetadata, plain
from cnnzoo.models import catalog, index
from cnnzoo.spec import Preprocess, Spec, resolve
from cnnzoo.weights.loading import load_weights
from cnnzoo.zoo import arguments, input_size
from cnnzoo.zoo.drawing import aux_inputs, classifiers, cut_at


def find(name: str) -> Spec:
    """The catalog's spec of that name.

    Raises:
        UsageError: there is none; the message has the nearest.
    """
    name = index.ALIASES.get(name, name)
    if name not in catalog.SPECS:
        raise unknown("model", name, catalog.SPECS)
    return catalog.SPECS[name]


def build(
    model: str | Spec,
    *,
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: Literal["avg", "max"] | None = None,
    classes: int | None = None,
    classifier_activation: Activation = "softmax",
    name: str | None = None,
    include_preprocessing: bool = False,
    preprocessing: str | Preprocess | None = None,
    dropout: float | None = None,
    activation: Activation = None,
    kernel_initializer: str | keras.Initializer | None = None,
    weight_decay: float | None = None,
    class_names: Sequence[str] | None = None,
    cut: str | None = None,
    **options: object,
) -> keras.Model:
    """Builds a network of the catalog, or one of your own.

    Args:
        model: a catalog name, or a `Spec`.
        include_top: whether the classifier is drawn.
        weights: None for random ones; the path of a file that `load_weights` takes;
            or "imagenet", for which keras.applications fetches its file, the one thing
            that is ever downloaded.
        input_tensor: draws the network on this tensor instead of an input of its own.
        input_shape: height, width and channels in pixels (channels first where
            `keras.config.image_data_format()` says so); None for the paper's. Height
            and width may be None where the head does not flatten.
        pooling: without the top, "avg" or "max" over the image; None for feature maps.
        classes: of the classifier; None for the paper's. Two classes with a "sigmoid"
            make one output, the probability of the second.
        classifier_activation: of the classifier; None returns logits.
        name: of the model; None for the spec's.
        include_preprocessing: puts the preprocessing into the model, which then takes
            pixels of 0 to 255.
        preprocessing: a mode of `preprocess_input` other than the network's own.
        dropout: rate in place of the paper's, 0 to below 1.
        activation: in place of the paper's, a Keras name, "prelu", or a function.
            ResNet's stem and pools that round up, as Caffe's, add a border of zeros,
            which an activation with negative values can see.
        kernel_initializer: in place of the paper's.
        class_names: one a class, in the order of the outputs; `save` keeps them.
        cut: a layer of the trunk that all paths go through; the network ends there, and
            its classifier stands on the means of the map's quarters.
        weight_decay: L2 penalty on every convolution and dense kernel, as
            `keras.regularizers.L2` takes it: half of what papers call weight decay.
        **options: the family's own, such as LeNet5's `subsampling`.

    Returns:
        A model, images (b, h, w, c) to probabilities (b, classes), or to
        features. `model.cnnzoo` is a `ModelMetadata`.

    Raises:
        UsageError: an unknown name, an option the network does not have, an image below
            the network's minimum, or a number out of range.
        WeightFileError: `weights` does not fit.
        DownloadError: keras.applications could not fetch its file.
    """
    spec = _choose(model, options)
    arguments.arguments(
        spec,
        weights=weights,
        class_names=class_names,
        kernel_initializer=kernel_initializer,
        include_top=include_top,
        aux_heads=bool(options.get("aux_heads")),
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        activation=activation,
        dropout=dropout,
        weight_decay=weight_decay,
    )
    if cut is not None:
        spec = cut_at(spec, cut)
    conv = _conv(spec.conv, activation, kernel_initializer, weight_decay, dropout)
    images = _images(spec, input_shape, input_tensor)
    input_size.check(spec, images)
    if classes is None:
        classes = len(class_names) if class_names else spec.classes
    classes = int(classes)
    mode = resolve(preprocessing or spec.preprocessing)

    x = images
    if include_preprocessing:
        x = preprocess.draw(x, mode, axis=channel_axis())
    inputs = [images] if input_tensor is None else keras.utils.get_source_inputs(images)
    with input_size.large_enough(spec, images):
        x = layers.Identity(name=layer_names.FEATURES)(spec.trunk(x, conv=conv))
        aux = aux_inputs(x, inputs, spec, conv, dropout) if include_top else []
    if include_top:
        x = classifiers(x, aux, spec, classes, classifier_activation, conv=conv)
    elif pooling:
        arguments.maps(spec, x)
        x = arguments.POOLINGS[pooling](name=layer_names.head("pool"))(x)
    inputs = inputs[0] if len(inputs) == 1 else inputs
    built = keras.Model(inputs, x, name=name or spec.name)
    # A file cannot tell of the layers in front of an input_tensor.
    from_catalog = input_tensor is None and (
        isinstance(model, str) or catalog.SPECS.get(model.name) is model
    )
    graph_options = {
        "include_top": include_top,
        "input_shape": tuple(images.shape[1:]),
        "pooling": pooling,
        "classes": classes,
        "classifier_activation": classifier_activation,
        "name": name,
        "include_preprocessing": include_preprocessing,
        "dropout": dropout,
        "activation": activation,
        "weight_decay": weight_decay,
        "cut": cut,
        **options,
    }
    built.cnnzoo = ModelMetadata(
        spec=spec,
        catalog_name=spec.name if from_catalog else None,
        options={option: plain(value) for option, value in graph_options.items()},
        preprocessing=mode,
        class_names=tuple(map(str, class_names)) if class_names else None,
        on_tensor=input_tensor is not None,
    )
    accelerate(built)
    if weights is not None:
        load_weights(built, weights)
    return built


def sketch(model: str | Spec, **arguments: Any) -> keras.Model:
    """`build` without memory for weights: the graph alone, to count, draw and measure."""
    with init_empty_weights():
        return build(model, **arguments)


def _choose(model: str | Spec, options: dict[str, object]) -> Spec:
    """The spec with the family's own options applied."""
    spec = find(model) if isinstance(model, str) else model
    for option in options:
        if option not in spec.own_options:
            shared = [p for p in signature(build).parameters if p != "options"]
            raise unknown(f"option of {spec.name}", option, [*shared, *spec.own_options])
    return spec.configure(spec, **options) if spec.configure and options else spec


def _conv(
    conv: Conv,
    activation: Activation,
    kernel_initializer: str | keras.Initializer | None,
    weight_decay: float | None,
    dropout: float | None,
) -> Conv:
    """The spec's way to draw convolutions, with the caller's wishes."""
    if activation is not None:
        conv = replace(conv, act=activation_block(activation))
    if kernel_initializer is not None:
        conv = replace(conv, kernel_initializer=kernel_initializer)
    if weight_decay is not None:
        conv = replace(conv, kernel_regularizer=keras.regularizers.L2(weight_decay))
    if dropout is not None:
        conv = replace(conv, dropout=dropout)
    return conv


def _images(
    spec: Spec,
    input_shape: tuple[int | None, ...] | None,
    input_tensor: KerasTensor | None,
) -> KerasTensor:
    if input_tensor is not None:
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != shape:
            raise UsageError(
                f"{spec.name} got an input_tensor of shape {shape} and another "
                f"input_shape={tuple(input_shape)}; leave input_shape out"
            )
        arguments.rank(spec, shape, to_keras_format(spec.input_shape))
        return input_tensor
    wanted = to_keras_format(spec.input_shape) if input_shape is None else input_shape
    shape = tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,)
    arguments.rank(spec, shape, to_keras_format(spec.input_shape))
    return keras.Input(shape, name=layer_names.IMAGES)
