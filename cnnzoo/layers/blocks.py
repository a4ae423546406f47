"""Blocks that all networks share: functions from one tensor to another.

`name` is required: it names the block's main layer, and the layers around it take it as
a prefix ("stem_conv_pad", "stem_conv", "stem_conv_bn", "stem_conv_act"). Layers follow
`keras.config.image_data_format()` as it stands when they are drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
from keras import KerasTensor, layers

from cnnzoo.errors import UsageError
from cnnzoo.layers.axes import channel_axis, spatial_axes
from cnnzoo.layers.initializers import Initializer, fresh
from cnnzoo.layers.lrn import LocalResponseNormalization
from cnnzoo.layers.pooling import Padding, max_pool, pad

Activation = str | Callable[..., object] | None  # as Keras takes it
Block = Callable[..., KerasTensor]  # called with a tensor and name=
Steps = Sequence[tuple[int, int | tuple[int, int]]]  # filters and size, one by one


def batch_norm(x: KerasTensor, *, name: str, **options: Any) -> KerasTensor:
    """Batch normalisation, with the options of `keras.layers.BatchNormalization`."""
    return layers.BatchNormalization(axis=channel_axis(), name=name, **options)(x)


def prelu(x: KerasTensor, *, name: str) -> KerasTensor:
    """PReLU with one slope per channel, so that the network takes images of any size."""
    shared = spatial_axes() if len(x.shape) == 4 else None
    return layers.PReLU(shared_axes=shared, name=name)(x)


def prelu_per_pixel(x: KerasTensor, *, name: str) -> KerasTensor:
    """PReLU with one slope per pixel and channel, which ties it to one image size.

    Raises:
        UsageError: The image size is open.
    """
    if None in x.shape[1:]:
        raise UsageError(
            "PReLU with a slope per pixel needs images of one size: expected a "
            "height and a width in input_shape, got None; give both, or use "
            "shared_slope=True"
        )
    return layers.PReLU(name=name)(x)


def activate(x: KerasTensor, *, name: str, function: Activation) -> KerasTensor:
    """An activation by its Keras name, or a function."""
    return layers.Activation(function, name=name)(x)


def activation_block(function: Activation) -> Block:
    """The block for an activation: "prelu", a name that Keras knows, or a function."""
    return prelu if function == "prelu" else partial(activate, function=function)


relu = activation_block("relu")


@dataclass(frozen=True)
class Conv:
    """Factory of a network's convolution blocks: the settings that all of them share.

    It carries what applies to all of them, so that blocks need no flags. `build` makes
    it from the network's own and the caller's arguments.

    Attributes:
        norm: What draws the normalisation after each convolution; None for none.
        act: What draws the activation.
        use_bias: Whether convolutions have a bias.
        dropout: Rate of the network's dropout layers, 0 to 1; 0 draws none.
        kernel_initializer: Initializer of convolutions and dense layers.
        bias_initializer: Initializer of the biases of convolutions.
        dense_bias_initializer: Initializer of the biases of dense layers.
        kernel_regularizer: Regularizer of convolutions and dense layers.
        bias_regularizer: Regularizer of the biases of convolutions.
    """

    norm: Block | None = None
    act: Block = relu
    use_bias: bool = True
    dropout: float = 0.0
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    dense_bias_initializer: Initializer = "zeros"
    kernel_regularizer: keras.Regularizer | None = None
    bias_regularizer: keras.Regularizer | None = None

    def __call__(
        self,
        x: KerasTensor,
        filters: int,
        size: int | tuple[int, int],
        *,
        name: str,
        strides: int = 1,
        padding: Padding = "same",
        groups: int = 1,
    ) -> KerasTensor:
        """Convolution, normalisation, activation: (b, h, w, c) to (b, h', w', filters).

        An integer `padding` is symmetric, as in Caffe and PyTorch; TensorFlow's "same"
        pads even sizes unevenly where the stride is 2.
        """
        x = self.linear(
            x, filters, size, name=name, strides=strides, padding=padding, groups=groups
        )
        return self.activate(x, name=name)

    def linear(
        self,
        x: KerasTensor,
        filters: int,
        size: int | tuple[int, int],
        *,
        name: str,
        strides: int = 1,
        padding: Padding = "same",
        groups: int = 1,
    ) -> KerasTensor:
        """The same without the activation."""
        if strides == 1 and isinstance(size, int) and padding == size // 2:
            padding = "same"  # the same numbers without a layer that pads
        x, padding = pad(x, padding, name=name)
        x = layers.Conv2D(
            filters,
            size,
            strides,
            padding,
            groups=groups,
            use_bias=self.use_bias,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            name=name,
        )(x)
        return self.normalise(x, name=name)

    def separable(
        self,
        x: KerasTensor,
        filters: int,
        size: int,
        *,
        name: str,
        strides: int = 1,
        depth_multiplier: int = 1,
    ) -> KerasTensor:
        """Depthwise, then pointwise convolution, padded "same", then normalisation.

        Nothing stands between the two: (b, h, w, c) to (b, h / strides, w / strides,
        filters).
        """
        x = layers.SeparableConv2D(
            filters,
            size,
            strides,
            "same",
            depth_multiplier=depth_multiplier,
            use_bias=self.use_bias,
            depthwise_initializer=fresh(self.kernel_initializer),
            pointwise_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            depthwise_regularizer=self.kernel_regularizer,
            pointwise_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            name=name,
        )(x)
        return self.normalise(x, name=name)

    def without_norm(self, *, use_bias: bool) -> "Conv":
        """The same way to draw, but with no normalisation."""
        return replace(self, norm=None, use_bias=use_bias)

    def normalise(self, x: KerasTensor, *, name: str) -> KerasTensor:
        return self.norm(x, name=f"{name}_bn") if self.norm else x

    def activate(self, x: KerasTensor, *, name: str) -> KerasTensor:
        return self.act(x, name=f"{name}_act")

    def dense(
        self, x: KerasTensor, units: int, *, name: str, activation: Activation = None
    ) -> KerasTensor:
        """A dense layer: (b, n) to (b, units); linear unless `activation` is given."""
        return layers.Dense(
            units,
            activation,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.dense_bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            name=name,
        )(x)

    def drop(self, x: KerasTensor, *, name: str) -> KerasTensor:
        return layers.Dropout(self.dropout, name=name)(x) if self.dropout else x

    def hidden(self, x: KerasTensor, units: int, *, name: str) -> KerasTensor:
        """Dense layer, activation, dropout: (b, n) to (b, units)."""
        x = self.activate(self.dense(x, units, name=name), name=name)
        return self.drop(x, name=f"{name}_dropout")


conv_relu = Conv()
conv_bn = Conv(norm=batch_norm)
conv_bn_prelu = Conv(norm=batch_norm, act=prelu)


def chain(
    x: KerasTensor,
    *steps: tuple[str, int, int | tuple[int, int]],
    conv: Conv,
    name: str,
) -> KerasTensor:
    """One convolution after another; per step, part of the name, filters and size."""
    for part, filters, size in steps:
        x = conv(x, filters, size, name=f"{name}_{part}")
    return x


def branch(x: KerasTensor, steps: Steps, *, conv: Conv, name: str) -> KerasTensor:
    """One convolution after another, named by their numbers."""
    parts = [(f"conv{i}", *step) for i, step in enumerate(steps, start=1)]
    return chain(x, *parts, conv=conv, name=name)


def concat(branches: list[KerasTensor], *, name: str) -> KerasTensor:
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")(branches)


def halve(
    x: KerasTensor, branches: Sequence[Steps], *, conv: Conv, name: str
) -> KerasTensor:
    """Branches whose last step has stride 2, and a pool, joined by channel.

    Nothing is padded there: (b, h, w, c) to (b, (h - 1) / 2, (w - 1) / 2, c').
    Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, figure 10.
    """
    ends = []
    for i, (*steps, (filters, size)) in enumerate(branches, start=1):
        part = f"{name}_branch{i}"
        end = branch(x, steps, conv=conv, name=part)
        part = f"{part}_conv{len(steps) + 1}"
        ends.append(conv(end, filters, size, strides=2, padding="valid", name=part))
    return concat([*ends, max_pool(x, 3, strides=2, name=f"{name}_pool")], name=name)


def residual(
    x: KerasTensor, branch: KerasTensor, *, conv: Conv, name: str
) -> KerasTensor:
    """The sum of a shortcut and its branch, activated."""
    return conv.activate(add(x, branch, name=name), name=name)


def add(x: KerasTensor, branch: KerasTensor, *, name: str) -> KerasTensor:
    return layers.Add(name=f"{name}_add")([x, branch])


def local_response_norm(
    x: KerasTensor, *, name: str, alpha: float = 1e-4, k: float = 1.0
) -> KerasTensor:
    """Local response normalisation over five channels; by default Caffe's constants."""
    layer = LocalResponseNormalization(alpha=alpha, k=k, axis=channel_axis(), name=name)
    return layer(x)
