"""Heads: features to probabilities, (b, h, w, c) to (b, units).

Every head ends in the layer `predictions`; the layers before it are named `head_*`. The
two `aux_*` functions draw the layers before an auxiliary classifier.
"""

from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

from cnnzoo import layer_names
from cnnzoo.errors import UsageError
from cnnzoo.layers.blocks import Activation, Conv
from cnnzoo.layers.pooling import avg_pool

POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


def classify(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    """The classifier alone, on features that are already a vector, (b, n)."""
    return conv.dense(x, units, activation=activation, name=layer_names.PREDICTIONS)


def dense_head(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    hidden: Sequence[int] = (),
) -> KerasTensor:
    """Flattens the features and puts dense layers before the classifier.

    Args:
        hidden: Units of each dense layer; dropout follows each.

    Raises:
        UsageError: The image size is open, so the classifier's size is unknown.
    """
    x = _dense_layers(flatten(x, name=layer_names.head("flatten")), hidden, conv)
    return classify(x, units, activation, conv=conv)


def pooled_head(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    hidden: Sequence[int] = (),
) -> KerasTensor:
    """Averages the features over the image; dropout before the classifier."""
    x = layers.GlobalAveragePooling2D(name=layer_names.head("pool"))(x)
    if not hidden:
        x = conv.drop(x, name=layer_names.head("dropout"))
    return classify(_dense_layers(x, hidden, conv), units, activation, conv=conv)


def _dense_layers(x: KerasTensor, widths: Sequence[int], conv: Conv) -> KerasTensor:
    for i, width in enumerate(widths, start=1):
        x = conv.hidden(x, width, name=layer_names.head(f"dense{i}"))
    return x


def cut_head(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    pooling: str | None = None,
) -> KerasTensor:
    """The classifier of a network that ends at a cut; on a vector, alone.

    Args:
        pooling: "avg" or "max" of a whole map; None for the means of its quarters.
    """
    if pooling:
        x = POOLINGS[pooling](name=layer_names.head("pool"))(x)
    elif len(x.shape) == 4:
        x = quarters(x, name="head")
    return classify(x, units, activation, conv=conv)


def quarters(x: KerasTensor, *, name: str, data_format: str | None = None) -> KerasTensor:
    """(b, h, w, c) to (b, 4 c), where h and w are at least 2; an open size to (b, c).

    The quarters of an odd side share its middle.

    Args:
        name: How the names of the layers begin.
        data_format: As in Keras's layers; None for Keras's setting.
    """
    where = data_format or keras.config.image_data_format()
    sides = x.shape[2:] if where == "channels_first" else x.shape[1:3]
    if None in sides:
        return layers.GlobalAveragePooling2D(where, name=f"{name}_pool")(x)
    pool, strides = zip(*map(_window, sides), strict=True)
    x = layers.AveragePooling2D(pool, strides, "valid", where, name=f"{name}_pool")(x)
    return layers.Flatten(where, name=f"{name}_flatten")(x)


def _window(side: int) -> tuple[int, int]:
    """Size and step of a window that fits twice along a side, or once where it is 1."""
    return (side + 1) // 2, max(1, side // 2)


def is_sigmoid(activation: Activation) -> bool:
    return keras.activations.get(activation) is keras.activations.sigmoid


def aux_dense(x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor:
    """GoogLeNet's: pool, 1x1 convolution, 1024 units; (b, h, w, c) to (b, 1024).

    Section 5 of Szegedy et al. 2014, https://arxiv.org/abs/1409.4842.

    Raises:
        UsageError: The image size is open.
    """
    x = avg_pool(x, 5, strides=3, name=f"{name}_pool")
    x = conv(x, 128, 1, name=f"{name}_conv")
    x = flatten(x, name=f"{name}_flatten")
    return conv.hidden(x, 1024, name=f"{name}_dense")


def aux_conv(x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor:
    """Inception V3's, as released: pool, 1x1, 5x5, mean; (b, h, w, c) to (b, 768).

    Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, figure 8.
    """
    x = avg_pool(x, 5, strides=3, name=f"{name}_pool")
    x = conv(x, 128, 1, name=f"{name}_conv1")
    x = conv(x, 768, 5, padding="valid", name=f"{name}_conv2")
    return layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)


def flatten(x: KerasTensor, *, name: str) -> KerasTensor:
    """Feature maps to one vector, (b, h, w, c) to (b, h * w * c).

    Raises:
        UsageError: The image size is open.
    """
    if None in x.shape[1:]:
        raise UsageError(
            f"a layer that flattens ({name}) needs images of one size: expected a height "
            "and a width in input_shape, got None; give both, or leave out what flattens"
        )
    return layers.Flatten(name=name)(x)
