"""Pools and padding, as Caffe, PyTorch and TensorFlow have them.

Functions from one tensor to another; `name` names the pool, and the layers in front of it
take it as a prefix. Layers follow `keras.config.image_data_format()`.
"""

from typing import Literal

from keras import KerasTensor, layers

Padding = Literal["same", "valid"] | int  # an int: so many zero pixels on each side


def pad(
    x: KerasTensor, padding: Padding, *, name: str
) -> tuple[KerasTensor, Literal["same", "valid"]]:
    """Draws the zeros of an integer `padding`; Keras knows the other two itself."""
    if isinstance(padding, int):
        return layers.ZeroPadding2D(padding, name=f"{name}_pad")(x), "valid"
    return x, padding


def max_pool(
    x: KerasTensor,
    size: int,
    *,
    name: str,
    strides: int | None = None,
    padding: Padding = "valid",
) -> KerasTensor:
    """Max-pooling; an integer `padding` adds zeros, so it belongs after a ReLU."""
    x, padding = pad(x, padding, name=name)
    return layers.MaxPooling2D(size, strides, padding, name=name)(x)


def ceil_max_pool(x: KerasTensor, *, name: str) -> KerasTensor:
    """Caffe's 3x3 max-pool of stride 2, whose last window may hang over the border.

    A row and a column of zeros give the same numbers for every size, odd and even,
    where the input is not negative, as after a ReLU (tested).
    """
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def same_max_pool(x: KerasTensor, *, name: str) -> KerasTensor:
    """TensorFlow's 3x3 max-pool of stride 2 with "same" padding."""
    return layers.MaxPooling2D(3, 2, "same", name=name)(x)


def symmetric_max_pool(x: KerasTensor, *, name: str) -> KerasTensor:
    """PyTorch's 3x3 max-pool of stride 2 with padding 1, for values of any sign.

    Zeros as padding would hide negative values, and "same" pads even sizes on one side
    only. At stride 1 "same" is symmetric, and every other window of it is wanted.
    """
    x = layers.MaxPooling2D(3, 1, "same", name=f"{name}_dense")(x)
    return layers.MaxPooling2D(1, 2, name=name)(x)


def identity(x: KerasTensor, *, name: str) -> KerasTensor:
    """In place of a pool where the image is small already."""
    return x


def avg_pool(
    x: KerasTensor,
    size: int,
    *,
    name: str,
    strides: int | None = None,
    padding: Padding = "valid",
) -> KerasTensor:
    """Average-pooling. Zeros of an integer `padding` count, as in PyTorch; "same" leaves
    out what it pads, as in TensorFlow."""
    x, padding = pad(x, padding, name=name)
    return layers.AveragePooling2D(size, strides, padding, name=name)(x)
