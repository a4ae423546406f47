"""What a built graph tells: layers, MACs, stages, cut points, receptive field.

All of it comes from the graph that Keras keeps of a functional model, on any backend;
nothing is run and nothing is profiled. One MAC is one multiply-add of a convolution or
dense layer for one image. Other layers, such as transposed convolutions, count 0 MACs and
keep the receptive field of their input.
"""

import math
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from cnnzoo import layer_names
from cnnzoo.errors import UsageError, unknown
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.graph.layer_kinds import CONVOLUTIONS, window
from cnnzoo.graph.receptive_field import receptive_fields

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network, as `cnnzoo info NAME --layers` shows it.

    Attributes:
        name: Name of the layer.
        kind: Name of its class.
        shape: Shape of its output without the batch, as it stands in the model.
        kernel: Height and width of its window; None where it has none.
        strides: Vertical and horizontal step; None where it has no window.
        parameters: Number of its parameters, trainable and not.
        macs: Multiply-adds for one image; None where the image size is open.
        receptive_field: Height and width of the receptive field in pixels; None for the
            whole image.
    """

    name: str
    kind: str
    shape: Shape
    kernel: tuple[int, int] | None
    strides: tuple[int, int] | None
    parameters: int
    macs: int | None
    receptive_field: tuple[int, int] | None


def layer_rows(model: keras.Model) -> list[LayerRow]:
    """One row for each operation of the graph, in order."""
    fields = receptive_fields(model)
    rows = []
    for node in graph_nodes(model):
        op = node.operation
        frame = window(op)
        rows.append(
            LayerRow(
                name=op.name,
                kind=type(op).__name__,
                shape=tuple(node.outputs[0].shape[1:]),
                kernel=frame[0] if frame else None,
                strides=frame[1] if frame else None,
                parameters=op.count_params() if isinstance(op, keras.Layer) else 0,
                macs=_macs(op, node.outputs[0].shape),
                receptive_field=fields[id(node.outputs[0])].size,
            )
        )
    return rows


def macs(model: keras.Model) -> int | None:
    """Multiply-adds for one image of the model's input size; None where it is open."""
    counts = [_macs(node.operation, node.outputs[0].shape) for node in graph_nodes(model)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def parameters(model: keras.Model) -> tuple[int, int]:
    """The numbers of parameters: all, and those that can train."""
    trainable = sum(math.prod(w.shape) for w in model.trainable_weights)
    return model.count_params(), trainable


def stages(model: keras.Model) -> dict[str, KerasTensor]:
    """The last tensor of each stage by its name, "stage1" first."""
    ends: dict[int, KerasTensor] = {}
    for node in graph_nodes(model):
        number = layer_names.stage_number(node.operation.name)
        if number is not None:
            ends[number] = node.outputs[0]
    return {layer_names.stage(i): ends[i] for i in sorted(ends)}


def ancestors(model: keras.Model, name: str) -> list[str]:
    """The operation `name` and all that it depends on, in the graph's order.

    Raises:
        UsageError: The model has no operation of that name.
    """
    order = graph_nodes(model)
    wanted = {id(t) for n in order if n.operation.name == name for t in n.outputs}
    if not wanted:
        raise unknown("layer", name, (node.operation.name for node in order))
    found = []
    for node in reversed(order):
        if wanted.intersection(id(tensor) for tensor in node.outputs):
            wanted.update(id(tensor) for tensor in node.input_tensors)
            found.append(node.operation.name)
    return found[::-1]


def drawing_order(model: keras.Model) -> list[keras.Operation]:
    """The operations as they were drawn: one branch after another, in their order."""
    source = {id(tensor): node for node in graph_nodes(model) for tensor in node.outputs}
    order: dict[int, keras.Operation] = {}
    path = [source[id(tensor)] for tensor in reversed(model.outputs)]
    while path:
        node = path[-1]
        before = (source[id(tensor)] for tensor in node.input_tensors)
        if undrawn := next((n for n in before if id(n) not in order), None):
            path.append(undrawn)
        else:
            order[id(path.pop())] = node.operation
    return list(order.values())


def cut_points(model: keras.Model) -> list[str]:
    """The operations that every path from the input to the output goes through.

    The graph can be cut after each of them, into a front and a tail that share one
    tensor.

    Raises:
        UsageError: The model has more than one input or output.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"cut points need a model of one input and one output; {model.name!r} has "
            f"{len(model.inputs)} and {len(model.outputs)}"
        )
    order = graph_nodes(model)
    place = {id(t): i for i, node in enumerate(order) for t in node.outputs}
    reach = list(range(len(order)))  # the last node that uses a node's output
    for i, node in enumerate(order):
        for tensor in node.input_tensors:
            reach[place[id(tensor)]] = i
    cuts, furthest = [], 0
    for i, node in enumerate(order):
        if furthest <= i:  # no edge from before this node leads past it
            cuts.append(node.operation.name)
        furthest = max(furthest, reach[i])
    return cuts


def output_shapes(model: keras.Model, image: Shape) -> dict[str, Shape]:
    """The output shape of every operation for images of another size.

    Args:
        image: Shape of the one input without the batch.

    Raises:
        ValueError: A layer would be left with no pixels.
    """
    spec: dict[int, KerasTensor] = {}
    shapes = {}
    for node in graph_nodes(model):
        if not node.input_tensors:
            outputs = KerasTensor((None, *image), node.outputs[0].dtype)
        else:
            args, kwargs = node.arguments.fill_in(spec)
            outputs = node.operation.compute_output_spec(*args, **kwargs)
        tensors = outputs if isinstance(outputs, list | tuple) else [outputs]
        for old, new in zip(node.outputs, tensors, strict=True):
            spec[id(old)] = new
        shapes[node.operation.name] = tuple(tensors[0].shape[1:])
    return shapes


def smallest_side(model: keras.Model) -> int:
    """The smallest square side from which every larger image passes the graph.

    The side is found by bisection; then the sides above it are tried, since a graph
    whose branches round differently may take one size and not the next. Rounding
    repeats with the graph's total stride, so one stretch of that length is enough.
    """
    height, width, channels = to_channels_last(model, model.input_shape[1:])
    stretch = max(max(field.step) for field in receptive_fields(model).values())
    low, high = 0, max(height, width)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _passes(model, middle, channels) else (middle, high)
    side = high
    while True:
        failing = [
            s for s in range(side, side + stretch) if not _passes(model, s, channels)
        ]
        if not failing:
            return side
        side = failing[-1] + 1


def _passes(model: keras.Model, side: int, channels: int) -> bool:
    square = (side, side)
    image = (channels, *square) if channels_first(model) else (*square, channels)
    try:
        shapes = output_shapes(model, image)
    except ValueError:
        return False
    return all(dimension != 0 for shape in shapes.values() for dimension in shape)


def _macs(op: keras.Operation, shape: Shape) -> int | None:
    """Every kernel value meets every output pixel once; a dense layer has one pixel."""
    if isinstance(op, keras.Model):
        return macs(op)
    if isinstance(op, layers.Dense):
        pixels = shape[1:-1]
    elif isinstance(op, CONVOLUTIONS):
        pixels = shape[2:] if op.data_format == "channels_first" else shape[1:-1]
    else:
        return 0
    known = [side for side in pixels if side is not None]
    if len(known) < len(pixels):
        return None
    kernels = (w for w in op.weights if w.name.endswith("kernel"))
    return sum(math.prod(kernel.shape) for kernel in kernels) * math.prod(known)
