"""VGG: stages of 3x3 convolutions, each halved by max-pooling.

Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556: table 1, columns A, B, D and
E. The forms with batch normalisation are torchvision's: convolution with bias, BN with
epsilon 1e-5, ReLU; weights start as Glorot's in all (torchvision's as He's by fan-out).

`small_vgg` and `very_small_vgg` are the MNIST networks `vgg16.py` and `vgg5.py` of
https://github.com/kkweon/mnist-competition: the same shape, with BN, at 28x28 pixels.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import Conv, batch_norm, conv_bn, conv_relu
from cnnzoo.layers.heads import dense_head
from cnnzoo.layers.pooling import max_pool
from cnnzoo.spec import Paper, Spec, Stem, with_stem

FILTERS = (64, 128, 256, 512, 512)  # by stage

REPEATS = {  # convolutions in each stage, and the published parameters and MACs
    "vgg11": ((1, 1, 2, 2, 2), 132_863_336, None),
    "vgg13": ((2, 2, 2, 2, 2), 133_047_848, None),
    "vgg16": ((2, 2, 3, 3, 3), 138_357_544, 15_470_264_320),
    "vgg19": ((2, 2, 4, 4, 4), 143_667_240, 19_632_062_464),
}

SMALL = {  # filters and convolutions by stage, dense layers, parameters
    "small_vgg": ((64, 128, 256, 512), (2, 2, 3, 3), (512,), 7_912_650),
    "very_small_vgg": ((32, 64, 128, 256), (2, 2, 3, 3), (512, 512), 2_314_090),
}

PAPER = Paper(
    "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    2014,
    "https://arxiv.org/abs/1409.1556",
)
COMPETITION = Paper(
    "mnist-competition (software)", 2017, "https://github.com/kkweon/mnist-competition"
)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    filters: Sequence[int],
    repeats: Sequence[int],
    pools: int = 5,
) -> KerasTensor:
    """Images (b, h, w, c) to features (b, h // 2^stages, w // 2^stages, filters[-1]).

    Args:
        filters: Channels of each stage.
        repeats: Number of convolutions per stage.
        pools: Number of stages, from the first, that end in a pool.
    """
    for stage, (width, count) in enumerate(zip(filters, repeats, strict=True), start=1):
        for i in range(1, count + 1):
            x = conv(x, width, 3, name=f"stage{stage}_conv{i}")
        if stage <= pools:
            x = max_pool(x, 2, name=f"stage{stage}_pool")
    return x


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels, without the last two pools."""
    return with_stem(spec, stem, pools=3)


IMAGENET = [
    Spec(
        name=name,
        family="vgg",
        trunk=partial(trunk, filters=FILTERS, repeats=repeats),
        head=partial(dense_head, hidden=(4096, 4096)),
        conv=replace(conv_relu, dropout=0.5),
        input_shape=(224, 224, 3),
        classes=1000,
        preprocessing="caffe",
        paper=PAPER,
        parameters=parameters,
        macs=macs,
        min_size_floor=32,
        configure=configure,
    )
    for name, (repeats, parameters, macs) in REPEATS.items()
]

WITH_BN = [
    replace(
        spec,
        name=f"{spec.name}_bn",
        conv=replace(spec.conv, norm=partial(batch_norm, epsilon=1e-5, momentum=0.9)),
        preprocessing="torch",
        parameters=parameters,
        differences="Batch normalisation behind every convolution, as in torchvision; "
        "the paper has none.",
    )
    for spec, parameters in zip(
        IMAGENET, (132_868_840, 133_053_736, 138_365_992, 143_678_248), strict=True
    )
]

MNIST = [
    Spec(
        name=name,
        family="vgg",
        trunk=partial(trunk, filters=filters, repeats=repeats),
        head=partial(dense_head, hidden=hidden),
        conv=conv_bn,
        input_shape=(28, 28, 1),
        classes=10,
        preprocessing="samplewise",
        paper=COMPETITION,
        parameters=parameters,
    )
    for name, (filters, repeats, hidden, parameters) in SMALL.items()
]

SPECS = [*IMAGENET, *WITH_BN, *MNIST]
