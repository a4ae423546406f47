"""Kinds of Keras layers, as what reads a graph tells them apart."""

import keras
from keras import layers

Pair = tuple[int, int]

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)
WHOLE_IMAGE = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten)


def window(op: keras.Operation) -> tuple[Pair, Pair] | None:
    """Height and width of a layer's window, and its strides; None where it has none."""
    if isinstance(op, CONVOLUTIONS):
        return op.kernel_size, op.strides
    if isinstance(op, POOLS):
        return op.pool_size, op.strides
    return None
