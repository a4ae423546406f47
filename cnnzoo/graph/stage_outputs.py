"""features(): the outputs of a network's stages or layers, as one model."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from cnnzoo import graph
from cnnzoo.errors import UsageError, check_known
from cnnzoo.graph.data_format import channels_first
from cnnzoo.graph.keras_internals import graph_nodes, producer
from cnnzoo.graph.receptive_field import receptive_fields


@dataclass(frozen=True)
class Feature:
    """One output of a feature model.

    Attributes:
        name: Name of the stage, such as "stage2", or of the layer.
        layer: Name of that layer, or of the one that the stage ends with.
        channels: Number of values per pixel.
        stride: Pixels of the image per step on the output; None for vectors.
    """

    name: str
    layer: str
    channels: int
    stride: int | None


def features(model: keras.Model, out: str | Sequence[str] | None = None) -> keras.Model:
    """The stages or layers of a network as outputs, on the same weights.

    Any functional model will do, also one that Keras loaded from a file; it has the
    stages `stage1`, `stage2`, ... if it has layers named `stage1_*`, `stage2_*`, ...

    Args:
        out: Names of stages and of layers, in the order of the outputs; one name makes
            one output, and None takes all stages.

    Returns:
        A model, images to maps (b, h / stride, w / stride, channels), or in the layout
        of `model`. Training it trains `model`. Its `feature_info` has a `Feature` for
        each output.

    Raises:
        UsageError: The model has no such stage or layer, or no stages to take.
    """
    ends = graph.stages(model)
    if not ends and out is None:
        raise UsageError(
            f"model {model.name!r} has no stages; expected layers named stage1_*, "
            "stage2_*, ..., so pass out= with names of layers, or use cnnzoo.build"
        )
    names = list(ends) if out is None else [out] if isinstance(out, str) else list(out)
    layers = {node.operation.name: node.outputs[0] for node in graph_nodes(model)}
    for name in names:
        check_known(f"stage or layer of {model.name}", name, layers | ends)
    if not names:
        raise UsageError(f"features need a stage of {', '.join(ends)}; got out={out!r}")
    outputs = [(layers | ends)[name] for name in names]
    single = isinstance(out, str)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    built = keras.Model(
        inputs, outputs[0] if single else outputs, name=f"{model.name}_features"
    )
    built.feature_info = tuple(
        _feature(model, name, end) for name, end in zip(names, outputs, strict=True)
    )
    return built


def _feature(model: keras.Model, name: str, end: keras.KerasTensor) -> Feature:
    maps = len(end.shape) == 4
    return Feature(
        name,
        producer(end).name,
        channels=end.shape[1 if maps and channels_first(model) else -1],
        stride=receptive_fields(model)[id(end)].step[0] if maps else None,
    )
