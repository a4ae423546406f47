"""The places where a network can be cut into a frozen front and a trained tail."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Set
from dataclasses import dataclass

import keras
from keras import layers

from cnnzoo import graph
from cnnzoo.errors import UsageError, unknown
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.graph.layer_kinds import POOLS, WHOLE_IMAGE
from cnnzoo.layer_names import MEANS, PREDICTIONS, is_head
from cnnzoo.metadata import find_metadata

BYTES = 2  # of a number in float16
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.PReLU, layers.LeakyReLU, layers.ELU)
# The same as operations, for models that are written with `keras.ops`.
OPERATIONS = (
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "HardSilu"),
    *("MaxPool", "AveragePool"),
)
NOT_HIDDEN = ("softmax", "sigmoid", "linear")  # ends of classifiers, and no activation


@dataclass(frozen=True)
class Cut:
    """A place between two operations that all paths go through.

    Attributes:
        name: Name of the operation before it.
        shape: Shape of the output for one image: (h, w, c) in the model's layout or (d,).
        macs: Multiply-adds of everything before it, for one image; None if the image
            size is open.
        bytes: Size of the output for one image in float16, of which a `FeatureCache` in
            float32 takes twice as much; None if the image size is open.
    """

    name: str
    shape: tuple[int | None, ...]
    macs: int | None
    bytes: int | None


def cuts(model: keras.Model) -> list[Cut]:
    """The places where a network can be cut, shallow to deep.

    They are the articulation points of the graph after an activation, a pooling layer or
    the sum of a residual block, for any functional model of one input and one output. The
    output of the classifier is not among them.

    Raises:
        UsageError: The model has several inputs or outputs, or no such place.
    """
    through = {*graph.cut_points(model), *_several(model)}
    calls = Counter(node.operation.name for node in graph_nodes(model))
    activated = set[int]()  # ids of the outputs after which the graph may be cut
    found, macs = [], 0
    for row, node in zip(graph.layer_rows(model), graph_nodes(model), strict=True):
        macs = None if macs is None or row.macs is None else macs + row.macs
        output = node.outputs[0]
        if not _is_activated(node, activated):
            continue
        activated.add(id(output))
        once = calls[row.name] == 1  # the name of a shared layer is ambiguous
        if once and row.name in through and output is not model.outputs[0]:
            shape = tuple(output.shape[1:])
            found.append(Cut(row.name, shape, macs, _bytes(shape)))
    if not found:
        raise UsageError(
            f"model {model.name!r} has no place to cut it: expected an activation, a sum "
            "or a pool that all paths go through, so give a functional classifier"
        )
    return found


def stage_cuts(model: keras.Model) -> list[Cut]:
    """The ends of the stages; without stage names, the last map of each size.

    The outputs of dense layers in a head are not among them, since they are specific to
    the classes of the network. For a network without maps, all its cuts.
    """
    every = cuts(model)
    if own := _several(model):
        return [cut for cut in every if cut.name in own]
    trunk = [cut for cut in every if not is_head(cut.name)] or every
    maps = [cut for cut in trunk if len(cut.shape) == 3] or trunk
    ends = {id(tensor) for tensor in graph.stages(model).values()}
    names = {n.operation.name for n in graph_nodes(model) if id(n.outputs[0]) in ends}
    stages = [cut for cut in every if cut.name in names]
    if len(stages) > 1:
        return stages
    following = [*maps[1:], None]
    return [
        cut
        for cut, after in zip(maps, following, strict=True)
        if after is None or after.shape != cut.shape
    ]


def find_cut(model: keras.Model, name: str) -> Cut:
    """The cut of that name.

    Raises:
        UsageError: There is no such cut; the message names the nearest.
    """
    return find_cuts(model, [name])[0]


def find_cuts(model: keras.Model, names: Collection[str]) -> list[Cut]:
    """The cuts of these names, shallow to deep.

    Raises:
        UsageError: There is no cut of one of the names; the message names the nearest.
    """
    every = {cut.name: cut for cut in cuts(model)}
    for name in names:
        if name not in every:
            raise unknown(f"cut of {model.name}", name, every)
    return [cut for cut in every.values() if cut.name in names]


def frozen_cut(model: keras.Model, until: str) -> str:
    """The deepest cut before which exactly the frozen weights are.

    Args:
        model: Functional model.
        until: Name of the last frozen layer.

    Raises:
        UsageError: There is no such cut.
    """
    weighted = {layer.name for layer in model.layers if layer.weights}
    frozen = weighted.intersection(graph.ancestors(model, until))
    for cut in reversed(cuts(model)):
        if weighted.intersection(graph.ancestors(model, cut.name)) == frozen:
            return cut.name
    raise UsageError(
        f"cannot compute the features of {model.name!r} at {until!r} once: expected a "
        "place that all paths go through, so freeze up to a cut, or set cached=False"
    )


def front(model: keras.Model, names: list[str]) -> keras.Model:
    """The model up to one cut or several, on the same weights: images to outputs."""
    outputs = {node.operation.name: node.outputs[0] for node in graph_nodes(model)}
    found = [outputs[name] for name in names]
    return keras.Model(model.inputs[0], found[0] if len(found) == 1 else found)


def tail(model: keras.Model, name: str) -> keras.Model:
    """The model after a cut, on the same weights: the cut's output to the model's.

    Raises:
        UsageError: There is no such cut.
    """
    find_cut(model, name)
    output = next(n.outputs[0] for n in graph_nodes(model) if n.operation.name == name)
    return keras.Model(output, model.outputs[0], name=f"{model.name}_tail")


def embedding_model(model: keras.Model) -> keras.Model:
    """The model up to the inputs of its classifier, on the same weights."""
    node = next(n for n in graph_nodes(model) if n.operation.name == PREDICTIONS)
    return keras.Model(model.inputs[0], node.input_tensors[0])


def side_by_side(model: keras.Model) -> list[int]:
    """The widths of the means that the classifier has; empty if it has a single cut."""
    if not _several(model):
        return []
    means = keras.tree.flatten(model.get_layer(MEANS).input)
    return [mean.shape[1] for mean in means]


def _several(model: keras.Model) -> tuple[str, ...]:
    """The cuts whose means the classifier has, and which other paths go around."""
    metadata = find_metadata(model)
    cut = metadata.options["cut"] if metadata else None
    return cut if isinstance(cut, tuple) else ()


def _is_activated(node, activated: Set[int]) -> bool:
    """Whether a node's output is that of an activation, a pooling layer or a sum."""
    op = node.operation
    if isinstance(op, layers.Concatenate):  # the branches of an Inception module
        return all(id(tensor) in activated for tensor in node.input_tensors)
    if isinstance(op, (*ACTIVATIONS, *POOLS, *WHOLE_IMAGE, layers.Add)):
        kind = getattr(op, "activation", None)
        return kind is None or getattr(kind, "__name__", "") not in NOT_HIDDEN
    if type(op).__name__ in OPERATIONS and not isinstance(op, layers.Layer):
        return True
    kind = getattr(getattr(op, "activation", None), "__name__", "linear")
    return kind not in NOT_HIDDEN


def _bytes(shape: tuple[int | None, ...]) -> int | None:
    known = [side for side in shape if side is not None]
    return BYTES * math.prod(known) if len(known) == len(shape) else None
