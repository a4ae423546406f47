"""What a built graph tells: layers, MACs, stages, cut points, receptive field.

All of it comes from the graph that Keras keeps of a functional model, on any backend;
nothing is run and nothing is profiled. One MAC is one multiply-add of a convolution or
dense layer for one image. Layers that classifiers do not have, such as transposed
convolutions, count nothing and see what their input sees.
"""

import math
import re
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from cnnzoo.errors import UsageError, unknown

Shape = tuple[int | None, ...]

STAGE = re.compile(r"stage(\d+)_")
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)
WHOLE_IMAGE = (
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.Flatten,
    layers.Dense,
)


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network, as `cnnzoo info NAME --layers` shows it.

    Attributes:
        name: the layer's name.
        kind: its class.
        shape: its output without the batch, as it stands in the model.
        kernel: height and width of its window; None where it has none.
        strides: vertical and horizontal step; None likewise.
        parameters: trainable and not.
        macs: multiply-adds for one image; None where the image size is open.
        receptive_field: the height and width in pixels of what one output value sees of
            the image; None where it sees all of it.
    """

    name: str
    kind: str
    shape: Shape
    kernel: tuple[int, int] | None
    strides: tuple[int, int] | None
    parameters: int
    macs: int | None
    receptive_field: tuple[int, int] | None


def nodes(model: keras.Model) -> list:
    """The calls that make up the model's graph, each after those it depends on.

    A node has `operation`, `input_tensors` and `outputs`. Keras keeps them in a private
    attribute, which is read here and nowhere else.

    Raises:
        UsageError: the model keeps no graph.
    """
    functional = getattr(model, "_functional", None) or model  # a Sequential's own
    by_depth = getattr(functional, "_nodes_by_depth", None)
    if by_depth is None:
        raise UsageError(
            f"model {model.name!r} has no graph to read; expected a functional or a "
            f"built sequential model, got a {type(model).__name__}"
        )
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def layer_rows(model: keras.Model) -> list[LayerRow]:
    """One row for each operation of the graph, in order."""
    fields = _receptive_fields(model)
    rows = []
    for node in nodes(model):
        op = node.operation
        window = _window(op)
        rows.append(
            LayerRow(
                name=op.name,
                kind=type(op).__name__,
                shape=tuple(node.outputs[0].shape[1:]),
                kernel=window[0] if window else None,
                strides=window[1] if window else None,
                parameters=op.count_params() if isinstance(op, keras.Layer) else 0,
                macs=_macs(op, node.outputs[0].shape),
                receptive_field=fields[id(node.outputs[0])].size,
            )
        )
    return rows


def macs(model: keras.Model) -> int | None:
    """Multiply-adds for one image of the model's input size; None where it is open."""
    counts = [_macs(node.operation, node.outputs[0].shape) for node in nodes(model)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def parameters(model: keras.Model) -> tuple[int, int]:
    """How many numbers the model holds, and how many of them can train."""
    trainable = sum(math.prod(w.shape) for w in model.trainable_weights)
    return model.count_params(), trainable


def stages(model: keras.Model) -> dict[str, KerasTensor]:
    """The last tensor of each stage by its name, "stage1" first."""
    ends: dict[int, KerasTensor] = {}
    for node in nodes(model):
        match = STAGE.match(node.operation.name)
        if match:
            ends[int(match[1])] = node.outputs[0]
    return {f"stage{i}": ends[i] for i in sorted(ends)}


def ancestors(model: keras.Model, name: str) -> list[str]:
    """The operation `name` and all that it depends on, in the graph's order.

    Raises:
        UsageError: the model has no operation of that name.
    """
    order = nodes(model)
    wanted = {id(t) for n in order if n.operation.name == name for t in n.outputs}
    if not wanted:
        raise unknown("layer", name, (node.operation.name for node in order))
    found = []
    for node in reversed(order):
        if wanted.intersection(id(tensor) for tensor in node.outputs):
            wanted.update(id(tensor) for tensor in node.input_tensors)
            found.append(node.operation.name)
    return found[::-1]


def cut_points(model: keras.Model) -> list[str]:
    """The operations that every path from the input to the output goes through.

    The graph can be cut behind each of them, into a front and a tail that share one
    tensor.

    Raises:
        UsageError: the model has more than one input or output.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"cut points need a model of one input and one output; {model.name!r} has "
            f"{len(model.inputs)} and {len(model.outputs)}"
        )
    order = nodes(model)
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
        image: the shape of the one input without the batch.

    Raises:
        ValueError: a layer would be left with no pixels.
    """
    spec: dict[int, KerasTensor] = {}
    shapes = {}
    for node in nodes(model):
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
    *size, channels = model.input_shape[1:]
    stretch = max(max(field.step) for field in _receptive_fields(model).values())
    low, high = 0, max(size)
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
    try:
        shapes = output_shapes(model, (side, side, channels))
    except ValueError:
        return False
    return all(dimension != 0 for shape in shapes.values() for dimension in shape)


def _window(op: keras.Operation) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if isinstance(op, CONVOLUTIONS):
        return op.kernel_size, op.strides
    if isinstance(op, POOLS):
        return op.pool_size, op.strides
    return None


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


@dataclass(frozen=True)
class _Field:
    """What one value sees of the image, and how far its neighbour's view is shifted."""

    size: tuple[int, int] | None = (1, 1)  # None: the whole image
    step: tuple[int, int] = (1, 1)

    def through(self, size: tuple[int, int] | None, step: tuple[int, int]) -> "_Field":
        """The view behind a window of this size and stride."""
        seen = None
        if self.size is not None and size is not None:
            added = _pairs(size, self.step, rule=lambda window, step: (window - 1) * step)
            seen = _pairs(self.size, added, rule=lambda field, more: field + more)
        return _Field(seen, _pairs(self.step, step, rule=lambda a, b: a * b))


def _pairs(*pairs, rule) -> tuple[int, int]:
    """A rule for numbers, applied to heights and to widths."""
    height, width = (rule(*sides) for sides in zip(*pairs, strict=True))
    return height, width


def _receptive_fields(model: keras.Model) -> dict[int, _Field]:
    """The field of each tensor, by its id."""
    fields: dict[int, _Field] = {}
    for node in nodes(model):
        field = _joined([fields[id(tensor)] for tensor in node.input_tensors])
        op = node.operation
        if isinstance(op, WHOLE_IMAGE):
            field = field.through(None, (1, 1))
        elif isinstance(op, keras.Model):
            inside = _receptive_fields(op)
            for tensor, inner in zip(node.outputs, op.outputs, strict=True):
                seen = inside[id(inner)]
                fields[id(tensor)] = field.through(seen.size, seen.step)
            continue
        elif window := _window(op):
            size, step = window
            spread = getattr(op, "dilation_rate", (1, 1))
            size = _pairs(size, spread, rule=lambda k, d: (k - 1) * d + 1)
            field = field.through(size, step)
        fields.update({id(tensor): field for tensor in node.outputs})
    return fields


def _joined(fields: list[_Field]) -> _Field:
    """The field of a value that is made from several."""
    if not fields:
        return _Field()
    sizes = [field.size for field in fields]
    steps = _pairs(*(field.step for field in fields), rule=lambda *s: max(s))
    known = [size for size in sizes if size is not None]
    whole = len(known) < len(sizes)
    return _Field(None if whole else _pairs(*known, rule=lambda *s: max(s)), steps)
