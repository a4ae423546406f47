"""The ResNets for CIFAR-10, whose shortcuts have no parameters.

He, Zhang, Ren & Sun 2015, https://arxiv.org/abs/1512.03385, section 4.2: three stages of
n blocks with 16, 32 and 64 filters, 6n + 2 layers. Where a block changes the shape, the
shortcut takes every other pixel and adds channels of zeros (option A).

Differs: the paper does not say where the new channels go; here half of them stand before
the old ones and half behind, as in https://github.com/akamaster/pytorch_resnet_cifar10,
whose trained files are public. The preprocessing is also that of these files; the paper
subtracts the mean of each pixel.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

from keras import KerasTensor, layers

from cnnzoo.errors import check_known
from cnnzoo.layers.axes import channel_axis
from cnnzoo.layers.blocks import Conv
from cnnzoo.layers.pooling import identity, max_pool
from cnnzoo.models import resnet
from cnnzoo.spec import Spec

Shortcut = Literal["A", "B"]


def zero_channels(
    conv: Conv, x: KerasTensor, filters: int, size: int, *, strides: int, name: str
) -> KerasTensor:
    """Option A: (b, h, w, c) to (b, h / strides, w / strides, filters), no parameters.

    The layer that pads takes the other data format, in which the channels are a side of
    the image.
    """
    x = max_pool(x, size, strides=strides, name=name)
    axis = channel_axis()
    new = filters - x.shape[axis]
    both = (new // 2, new - new // 2)
    sides = (both, (0, 0)) if axis == 1 else ((0, 0), both)
    other = "channels_last" if axis == 1 else "channels_first"
    return layers.ZeroPadding2D(sides, data_format=other, name=f"{name}_pad")(x)


SHORTCUTS = {"A": zero_channels, "B": Conv.linear}


def configure(spec: Spec, *, shortcut: Shortcut = "A") -> Spec:
    """`shortcut`: of blocks that change the shape, "B" for a 1x1 convolution and BN."""
    check_known("shortcut", shortcut, SHORTCUTS)
    parameters = spec.parameters if shortcut == "A" else None
    return replace(spec.with_trunk(project=SHORTCUTS[shortcut]), parameters=parameters)


# name: blocks of each stage, parameters
ROWS = {
    "resnet20": (3, 269_722),
    "resnet32": (5, 464_154),
    "resnet44": (7, 658_586),
    "resnet56": (9, 853_018),
    "resnet110": (18, 1_727_962),
}
SPECS = [
    replace(
        resnet.PLAIN,
        name=name,
        family="cifar_resnet",
        trunk=partial(
            resnet.trunk,
            width=16,
            branch=resnet.basic,
            repeats=(blocks,) * 3,
            project=zero_channels,
            stem_conv=(16, 3, 1),
            stem_pool=identity,
        ),
        input_shape=(32, 32, 3),
        classes=10,
        parameters=parameters,
        differences="Zero channels stand before and behind the old ones (the paper does "
        "not say where); channel means instead of the mean of each pixel.",
        configure=configure,
    )
    for name, (blocks, parameters) in ROWS.items()
]
