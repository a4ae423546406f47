"""LeNet: convolve, shrink, convolve, shrink, decide.

LeCun, Bottou, Bengio & Haffner 1998, Gradient-Based Learning Applied to Document
Recognition, figure 2. Differs from the paper: the second convolution sees all six maps
(1998: a sparse table), the output is a softmax (1998: distances to bitmaps), images are
28x28 and the first convolution pads them, ReLU and max-pooling take the place of tanh
and trainable subsampling; `activation="tanh"` and `subsampling="trainable"` bring those
back (1998's tanh is stretched: 1.7159 tanh(2x / 3)). Weights start as Keras's.

`lenet_gap` is our own design: the third convolution keeps the image, and global average
pooling takes the place of the flattening, so that one network serves images of any size.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from keras import KerasTensor, layers

from cnnzoo.errors import check_known
from cnnzoo.layers.blocks import Conv, conv_relu
from cnnzoo.layers.heads import dense_head, pooled_head
from cnnzoo.layers.pooling import max_pool
from cnnzoo.spec import Paper, Spec

Subsampling = Literal["max", "average", "trainable"]

PAPER = Paper(
    "Gradient-Based Learning Applied to Document Recognition",
    1998,
    "https://doi.org/10.1109/5.726791",
)


def max_subsampling(x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor:
    return max_pool(x, 2, name=name)


def average_subsampling(x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor:
    return layers.AveragePooling2D(2, name=name)(x)


def trainable_subsampling(x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor:
    """1998's: the mean of four pixels, times a coefficient, plus a bias, squashed.

    One coefficient and one bias per map, as a 1x1 depthwise convolution; the paper takes
    the sum of the four, which is the same with a coefficient a quarter as large.
    """
    x = average_subsampling(x, conv=conv, name=name)
    x = layers.DepthwiseConv2D(1, name=f"{name}_scale")(x)
    return conv.activate(x, name=name)


SUBSAMPLING: dict[str, Callable[..., KerasTensor]] = {
    "max": max_subsampling,
    "average": average_subsampling,
    "trainable": trainable_subsampling,
}


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    subsample: Callable[..., KerasTensor] = max_subsampling,
    final_filters: int = 0,
) -> KerasTensor:
    """Images (b, h, w, c) to features (b, h / 2, ...), a 5x5 map of 16 at 28 pixels.

    Args:
        subsample: What draws the layers that halve the image.
        final_filters: Filters of a third 5x5 convolution that keeps the image's size; 0
            draws none.
    """
    x = conv(x, 6, 5, name="stage1_conv")
    x = subsample(x, conv=conv, name="stage1_pool")
    x = conv(x, 16, 5, padding="valid", name="stage2_conv")
    x = subsample(x, conv=conv, name="stage2_pool")
    return conv(x, final_filters, 5, name="stage3_conv") if final_filters else x


def configure(spec: Spec, *, subsampling: Subsampling = "max") -> Spec:
    """`subsampling`: "max" as today, "average", or "trainable" as in 1998."""
    check_known("subsampling of lenet5", subsampling, SUBSAMPLING)
    return spec.with_trunk(subsample=SUBSAMPLING[subsampling])


LENET5 = Spec(
    name="lenet5",
    family="lenet",
    trunk=trunk,
    head=partial(dense_head, hidden=(120, 84)),
    conv=conv_relu,
    input_shape=(28, 28, 1),
    classes=10,
    preprocessing="unit",
    paper=PAPER,
    differences="Full second convolution, softmax output, 28x28 images, ReLU and "
    "max-pooling, so 61,706 parameters for 60,000; tanh and trainable subsampling are "
    "arguments.",
    configure=configure,
)

LENET_GAP = replace(
    LENET5,
    name="lenet_gap",
    trunk=partial(trunk, final_filters=120),
    head=partial(pooled_head, hidden=(84,)),
    differences="Our own design: LeNet-5 with global average pooling.",
    configure=None,
)

SPECS = [LENET5, LENET_GAP]
