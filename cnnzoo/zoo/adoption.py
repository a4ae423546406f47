"""adopt(): a Keras model that cnnzoo did not build becomes one that all its tools take."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import keras
from keras import KerasTensor, layers

from cnnzoo import graph
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.graph.flattening import flat_copy, redraw
from cnnzoo.graph.keras_internals import graph_nodes, operations, producer
from cnnzoo.layer_names import FEATURES, outside_contract
from cnnzoo.layers.blocks import Conv, conv_relu
from cnnzoo.layers.heads import classify, pooled_head
from cnnzoo.metadata import ModelMetadata, attach
from cnnzoo.spec import Preprocess, Spec, resolve
from cnnzoo.zoo.options import BuildOptions

PROBABILITIES = ("softmax", "sigmoid")


def adopt(
    keras_model: keras.Model,
    class_names: Sequence[str] | None = None,
    preprocessing: str | Preprocess | None = None,
) -> keras.Model:
    """A copy of a Keras model with the metadata that `build` notes in `model.cnnzoo`.

    `evaluate`, `predict`, `save`, `load`, `transfer`, `Ensemble` and `Run` take it, and
    `features` if its layers are named `stage1_*`, `stage2_*`, ... Models in it, such as a
    trunk of keras.applications under a head of your own, are replaced by their layers, so
    that cut points lie inside them too. Its outputs are bit-equal. The model itself stays
    as it is; the copy is not compiled.

    Args:
        keras_model: Functional or built sequential model of one input, images
            (b, h, w, c), and one output.
        class_names: One name per class, in the order of the outputs.
        preprocessing: Mode of `preprocess_input` that pixels of 0 to 255 need before the
            model, such as "caffe" for a ResNet50 of keras.applications; None for a model
            that takes such pixels.

    Raises:
        UsageError: The model is subclassed, has several inputs or outputs or a `Lambda`,
            takes no images, or does not have as many classes as names are given.
    """
    _check(keras_model)
    return describe(flat_copy(keras_model), class_names, preprocessing)


def describe(
    model: keras.Model,
    class_names: Sequence[str] | None,
    preprocessing: str | Preprocess | None,
) -> keras.Model:
    """Gives a flat model the metadata of an adopted one, in place; as `adopt`."""
    mode = resolve(preprocessing or "none")
    end, activation, has_top = _seam(model)
    units = int(model.outputs[0].shape[-1] or 0)
    classes = 2 if has_top and units == 1 and activation == "sigmoid" else units
    if class_names is not None and (not has_top or len(class_names) != classes):
        found = f"{classes} classes" if has_top else "no classifier at its end"
        raise UsageError(
            f"model {model.name!r} got {len(class_names)} class_names and has {found}; "
            "give one name per class, in the order of the outputs"
        )
    shape = tuple(model.inputs[0].shape[1:])
    height, width, channels = to_channels_last(model, shape)
    spec = Spec(
        name=model.name,
        family="adopted",
        trunk=partial(_trunk, config=model.get_config(), end=producer(end).name),
        head=pooled_head if len(end.shape) == 4 else classify,
        conv=conv_relu,
        input_shape=(height or 1, width or 1, channels),
        classes=classes,
        preprocessing=mode,
    )
    options = BuildOptions(
        include_top=has_top,
        input_shape=shape,
        classes=classes,
        classifier_activation=activation,
    )
    names = None if class_names is None else tuple(map(str, class_names))
    attach(model, ModelMetadata(spec, None, options.graph_options({}), mode, names))
    return model


def _check(model: object) -> None:
    """Raises a UsageError for what cannot be adopted."""
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"adopt takes a keras.Model; got a {type(model).__name__}, so pass a "
            "functional or sequential model, or load a file with keras.saving.load_model"
        )
    code = [op.name for op in operations(model) if isinstance(op, layers.Lambda)]
    if code:
        raise UsageError(
            f"model {model.name!r} has the Lambda layer {code[0]!r}, whose code no file "
            "should hold; write it with keras.ops or as a layer class, then adopt it"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"model {model.name!r} has {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs; expected one of each, so make a keras.Model "
            "of the one input and the one output that count"
        )
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or to_channels_last(model, shape)[2] is None:
        raise UsageError(
            f"model {model.name!r} takes inputs of shape {shape}; expected images of "
            "height, width and a known number of channels, so put a keras.layers.Reshape "
            "or an Input of three numbers before it"
        )


def _seam(model: keras.Model) -> tuple[KerasTensor, str | None, bool]:
    """The end of the trunk, the classifier's activation, and whether there is one.

    A classifier is a vector output after a softmax, a sigmoid or a dense layer. The trunk
    ends before the last layer with weights, or where `build` marked the features.
    """
    output, nodes = model.outputs[0], graph_nodes(model)
    last = producer(output)
    kind = getattr(getattr(last, "activation", None), "__name__", type(last).__name__)
    activation = kind.lower() if kind.lower() in PROBABILITIES else None
    with_weights = [node for node in nodes if getattr(node.operation, "weights", ())]
    classifier = with_weights[-1] if with_weights else None
    has_top = (
        len(output.shape) == 2
        and classifier is not None
        and classifier.operation.name in graph.cut_points(model)
        and (activation is not None or isinstance(classifier.operation, layers.Dense))
    )
    marked = [node for node in nodes if node.operation.name == FEATURES]
    if marked or has_top:
        end = (marked[0] if marked else classifier).input_tensors[0]
        return end, activation, has_top
    return output, None, False


def _trunk(
    x: KerasTensor, *, conv: Conv, config: dict[str, Any], end: str
) -> KerasTensor:
    """Draws the layers of an adopted model up to `end` anew, all of them trainable."""
    if conv != conv_relu:
        raise UsageError(
            f"the layers of {config['name']!r}, an adopted model, are drawn as they are; "
            "leave out dropout, activation, initializers and penalties"
        )
    source = keras.Model.from_config(deepcopy(config))
    ends = {node.operation.name: node.outputs[0] for node in graph_nodes(source)}
    for op in source.operations:
        op.name = outside_contract(op.name)
        if isinstance(op, layers.Layer):
            op.trainable = True
    return redraw(keras.Model(source.inputs, ends[end]), [x])[0]
