"""build(): a Spec becomes a keras.Model here and nowhere else."""

import warnings
from dataclasses import replace
from typing import Any

import keras
from keras import KerasTensor, layers

from cnnzoo import layer_names
from cnnzoo.data import preprocess
from cnnzoo.errors import UsageError, check_known
from cnnzoo.fast import accelerate
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.layers.axes import channel_axis, to_keras_format
from cnnzoo.layers.blocks import Conv, activation_block
from cnnzoo.layers.heads import POOLINGS
from cnnzoo.metadata import ModelMetadata, attach
from cnnzoo.models import catalog, index
from cnnzoo.spec import Geometry, Preprocess, Spec, resolve
from cnnzoo.weights.loading import load_any
from cnnzoo.zoo import input_size
from cnnzoo.zoo.arguments import check_maps, check_options, check_shape
from cnnzoo.zoo.drawing import aux_inputs, classifiers, cut_at
from cnnzoo.zoo.options import BuildOptions, CatalogOptions, documented, split


def find(name: str) -> Spec:
    """The catalog's spec of that name.

    Raises:
        UsageError: There is none; the message has the nearest.
    """
    name = index.ALIASES.get(name, name)
    check_known("model", name, catalog.SPECS)
    return catalog.SPECS[name]


@documented(CatalogOptions)
def build(model: str | Spec, *arguments: Any, **options: Any) -> keras.Model:
    """Builds a network of the catalog, or one of your own.

    Args:
        model: A catalog name, or a `Spec`.
        **options: The fields of `cnnzoo.zoo.options.BuildOptions`.
        **own: Options of the family, such as LeNet5's `subsampling`.

    Returns:
        A model, images (b, h, w, c) to probabilities (b, classes), or to features.
        `model.cnnzoo` is a `ModelMetadata`.

    Raises:
        UsageError: Unknown name, an option the network does not have, an image below
            the network's minimum, or a number out of range.
        WeightFileError: `weights` does not fit.
        DownloadError: keras.applications could not fetch its file.
    """
    spec = find(model) if isinstance(model, str) else model
    from_catalog = catalog.SPECS.get(spec.name) is spec
    shared, own = split(spec, arguments, options)
    if spec.configure and own:
        spec = spec.configure(spec, **own)
    check_options(spec, shared, own)
    whole = spec
    if shared.cut is not None:
        spec = cut_at(spec, shared.cut, shared.pooling)
    own_classes = shared.classes is not None or shared.class_names is not None
    images = _images(spec, shared)
    input_size.check(spec, images)
    shared = replace(
        shared,
        input_shape=tuple(images.shape[1:]),
        classes=_class_count(spec, shared),
    )
    mode = resolve(shared.preprocessing or spec.preprocessing)
    geometry = Geometry(fit) if isinstance(fit := shared.geometry, str) else fit
    network = _draw(spec, shared, images, mode)
    # A file cannot tell of the layers in front of an input_tensor.
    on_tensor = shared.input_tensor is not None
    metadata = ModelMetadata(
        spec=whole,  # `options` has the cut
        catalog_name=spec.name if from_catalog and not on_tensor else None,
        options=shared.graph_options(own),
        preprocessing=mode,
        class_names=tuple(map(str, shared.class_names or ())) or None,
        geometry=geometry,
        on_tensor=on_tensor,
    )
    attach(network, metadata)
    accelerate(network)
    if shared.weights is not None:
        new_head = None if own_classes else not shared.include_top
        explicit = shared.preprocessing is not None
        report = load_any(
            network, shared.weights, new_head=new_head, keep_preprocessing=explicit
        )
        if not report.is_exact:
            warnings.warn(str(report), stacklevel=2)
    return network


def sketch(model: str | Spec, **options: Any) -> keras.Model:
    """`build` without memory for weights: the graph alone, to count, draw and measure."""
    with init_empty_weights():
        return build(model, **options)


def _class_count(spec: Spec, options: BuildOptions) -> int | None:
    """The number of classes; None without a classifier."""
    if not options.include_top:
        return None
    return int(options.classes or len(options.class_names or ()) or spec.classes)


def _images(spec: Spec, options: BuildOptions) -> KerasTensor:
    """The network's input, or the caller's tensor."""
    example = to_keras_format(spec.input_shape)
    if options.input_tensor is None:
        shape = example if options.input_shape is None else options.input_shape
        shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        check_shape(spec, shape, example)
        return keras.Input(shape, name=layer_names.IMAGES)
    shape = tuple(options.input_tensor.shape[1:])
    if options.input_shape is not None and tuple(options.input_shape) != shape:
        raise UsageError(
            f"{spec.name} got an input_tensor of shape {shape} and another "
            f"input_shape={tuple(options.input_shape)}; leave input_shape out"
        )
    check_shape(spec, shape, example)
    return options.input_tensor


def _draw(
    spec: Spec, options: BuildOptions, images: KerasTensor, mode: Preprocess
) -> keras.Model:
    """Preprocessing, trunk, features, and the classifiers or what stands for them."""
    conv = _conv(spec.conv, options)
    inputs = keras.utils.get_source_inputs(images)
    x = images
    if options.include_preprocessing:
        x = preprocess.draw(x, mode, axis=channel_axis())
    with input_size.large_enough(spec, images):
        x = layers.Identity(name=layer_names.FEATURES)(spec.trunk(x, conv=conv))
        top = options.include_top
        aux = aux_inputs(x, inputs, spec, conv, options.dropout) if top else []
    if options.pooling:
        check_maps(spec, x)
    if options.include_top:
        classes, activation = options.classes or 1, options.classifier_activation
        x = classifiers(x, aux, spec, classes, activation, conv=conv)
    elif options.pooling:
        x = POOLINGS[options.pooling](name=layer_names.head("pool"))(x)
    inputs = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(inputs, x, name=options.name or spec.name)


def _conv(conv: Conv, options: BuildOptions) -> Conv:
    """The spec's way to draw convolutions, with the caller's wishes."""
    penalty = keras.regularizers.get(options.kernel_regularizer)
    if options.weight_decay is not None:
        penalty = keras.regularizers.L2(options.weight_decay)
    wishes: dict[str, Any] = {
        "act": options.activation and activation_block(options.activation),
        "kernel_initializer": options.kernel_initializer,
        "bias_initializer": options.bias_initializer,
        "dense_bias_initializer": options.bias_initializer,
        "kernel_regularizer": penalty,
        "dropout": options.dropout,
    }
    return replace(conv, **{k: wish for k, wish in wishes.items() if wish is not None})
