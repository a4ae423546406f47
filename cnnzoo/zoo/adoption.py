"""adopt(): a Keras model that cnnzoo did not build becomes one that its tools take."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import keras
from keras import KerasTensor, layers

from cnnzoo import graph
from cnnzoo.data.arrays import check_class_names
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.graph.flattening import flat_copy, redraw
from cnnzoo.graph.keras_internals import (
    graph_nodes,
    init_empty_weights,
    operations,
    producer,
)
from cnnzoo.layer_names import FEATURES, outside_contract
from cnnzoo.layers.blocks import Conv, conv_relu
from cnnzoo.layers.heads import classify, pooled_head
from cnnzoo.metadata import ModelMetadata, attach
from cnnzoo.spec import Geometry, Preprocess, Spec, resolve
from cnnzoo.zoo.options import BuildOptions

PROBABILITIES = ("softmax", "sigmoid")

Names = Sequence[str] | None


def adopt(
    keras_model: keras.Model,
    class_names: Names = None,
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
            takes no images, ends in a softmax of one unit, or does not have as many
            classes as names are given.
        LabelError: Two classes have the same name.
    """
    _check(keras_model)
    flat = flat_copy(keras_model)
    if not _seam(flat)[2]:  # as `build` ends a network without its top
        features = layers.Identity(name=FEATURES)(flat.outputs[0])
        flat = keras.Model(flat.inputs, features, name=flat.name)
    return describe(flat, class_names, resolve(preprocessing or "none"))


def describe(
    model: keras.Model,
    class_names: Names,
    mode: Preprocess,
    geometry: Geometry | None = None,
) -> keras.Model:
    """Gives a flat model the metadata of an adopted one, in place; as `adopt`."""
    end, activation, units = _seam(model)
    classes = 2 if (activation, units) == ("sigmoid", 1) else units
    if class_names is not None and len(class_names) != classes:
        raise UsageError(
            f"model {model.name!r} classifies into {classes} classes, and got "
            f"{len(class_names)} class_names; give one per class, in the outputs' order"
        )
    check_class_names(class_names or ())
    if (activation, units) == ("softmax", 1):
        raise UsageError(
            f"model {model.name!r} ends in one unit and a softmax, which always answers "
            "1.0; end it in a sigmoid, or in a unit per class"
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
    top = {"classes": classes, "classifier_activation": activation}
    options = BuildOptions(units > 0, input_shape=shape, **top).graph_options({})
    names = None if class_names is None else tuple(map(str, class_names))
    metadata = ModelMetadata(spec, None, options, mode, names, geometry=geometry)
    attach(model, metadata)
    return model


def _check(model: keras.Model) -> None:
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
            "should hold; write it with keras.ops or as a layer class, then adopt it, or "
            "give the model as weights to a network of the catalog"
        )
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    images = len(shapes[0]) == 3 and to_channels_last(model, shapes[0])[2] is not None
    if not images or len(shapes) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"model {model.name!r} has {len(model.outputs)} outputs and inputs of shapes "
            f"{shapes}; expected one output and one input, images of height, width and a "
            "known number of channels, so make a keras.Model of these, with a "
            "keras.layers.Reshape where one is missing"
        )


def _seam(model: keras.Model) -> tuple[KerasTensor, str | None, int]:
    """The end of the trunk, and the activation and units of the classifier, 0 for none.

    A classifier is a vector output after a softmax, a sigmoid or a dense layer. The trunk
    ends before the last layer with weights.
    """
    output, last = model.outputs[0], producer(model.outputs[0])
    kind = getattr(getattr(last, "activation", None), "__name__", type(last).__name__)
    activation = kind.lower() if kind.lower() in PROBABILITIES else None
    nodes = [n for n in graph_nodes(model) if getattr(n.operation, "weights", ())]
    if len(output.shape) == 2 and nodes:
        op = nodes[-1].operation
        classifies = activation is not None or isinstance(op, layers.Dense)
        if classifies and op.name in graph.cut_points(model):
            return nodes[-1].input_tensors[0], activation, int(output.shape[-1])
    return output, None, 0


def _trunk(
    x: KerasTensor, *, conv: Conv, config: dict[str, Any], end: str
) -> KerasTensor:
    """Draws the layers of an adopted model up to `end` anew, all of them trainable."""
    if conv != conv_relu:
        raise UsageError(
            f"the layers of {config['name']!r}, an adopted model, are drawn as they are; "
            "leave out dropout, activation, initializers and penalties"
        )
    try:
        with init_empty_weights():
            source = keras.Model.from_config(deepcopy(config))
    except TypeError as error:  # Keras's for a class that it cannot find
        raise UsageError(
            f"the layers of {config['name']!r}, an adopted model, cannot be drawn anew "
            f"({str(error)[:300]}); decorate each layer class of your own with "
            "keras.saving.register_keras_serializable()"
        ) from error
    ends = {node.operation.name: node.outputs[0] for node in graph_nodes(source)}
    for layer in source.layers:
        layer.trainable = True
    return redraw(keras.Model(source.inputs, ends[end]), [x], outside_contract, {})[0]
