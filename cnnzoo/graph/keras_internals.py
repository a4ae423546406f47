"""The graph that Keras keeps of a model: its calls, their windows, its layout."""

import keras
from keras import layers

from cnnzoo.errors import UsageError

Pair = tuple[int, int]

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)
WHOLE_IMAGE = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten)
# The layers that know where the channels are. ZeroPadding2D is not to be trusted: the
# shortcuts of the ResNets for CIFAR-10 pad channels with it, in the other layout.
ORIENTED = (*CONVOLUTIONS, *POOLS, *WHOLE_IMAGE)


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


def window(op: keras.Operation) -> tuple[Pair, Pair] | None:
    """Height and width of a layer's window, and its steps; None where it has none."""
    if isinstance(op, CONVOLUTIONS):
        return op.kernel_size, op.strides
    if isinstance(op, POOLS):
        return op.pool_size, op.strides
    return None


def channels_first(model: keras.Model) -> bool:
    """Whether the model takes images (b, c, h, w).

    Its layers tell, since Keras's setting can change after a model was built, and files
    keep the layers'. A model without such layers has Keras's setting.
    """
    formats = (op.data_format for op in operations(model) if isinstance(op, ORIENTED))
    return next(formats, keras.config.image_data_format()) == "channels_first"


def operations(model: keras.Model) -> list[keras.Operation]:
    """The model's operations in the graph's order, those of nested models included."""
    found = []
    for node in nodes(model):
        op = node.operation
        found += operations(op) if isinstance(op, keras.Model) else [op]
    return found


def rows_first(model: keras.Model, shape: tuple) -> tuple:
    """An image's shape in the model's layout as height, width and channels."""
    return (*shape[1:], shape[0]) if channels_first(model) else tuple(shape)
