"""Inception-ResNet: Inception modules that learn what to add to their input.

Szegedy, Ioffe, Vanhoucke & Alemi 2016, https://arxiv.org/abs/1602.07261, section 3.2 and
figures 10 to 19. What a block adds is scaled down by a constant (section 3.3).

Differs: `inception_resnet_v2` is the released network, as keras.applications has it: the
stem of Inception V3 and a module after it, 320, 1088 and 2080 channels (figures: 384,
1152 and 2144), a tenth block of stage 3 that is neither scaled nor activated, a last 1x1
convolution, and no dropout. `inception_resnet_v1` keeps to the figures. Both have BN
without a scale. No public weights and no public reference for ImageNet are known for V1
(not verified).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers

from cnnzoo.layers.axes import channel_axis
from cnnzoo.layers.blocks import Block, Conv, Steps, add, branch, concat, halve
from cnnzoo.layers.pooling import avg_pool
from cnnzoo.models import inception_v3 as v3
from cnnzoo.spec import Paper


class Widths(NamedTuple):
    """The filters in which the two versions differ.

    Attributes:
        block_a: Figures 10 and 16: the two 3x3 convolutions of the third branch.
        reduction_a: Figure 7 and table 1: k, with which l agrees, and m.
        block_b: Figures 11 and 17: the 1x1 of the first branch; the 1x7 and the 7x1.
        reduction_b: Figures 12 and 18: the 3x3 of the second branch, with which the
            third branch's first agrees; the third branch's last.
        block_c: Figures 13 and 19: the 1x3 and the 3x1.
    """

    block_a: tuple[int, int]
    reduction_a: tuple[int, int]
    block_b: tuple[int, int, int]
    reduction_b: tuple[int, int]
    block_c: tuple[int, int]


class Stage(NamedTuple):
    """One stage.

    Attributes:
        reduction: Branches of the module that halves the image; none in stage 1.
        block: Branches of a block.
        scale: Factor of what a block adds.
    """

    reduction: tuple[Steps, ...]
    block: tuple[Steps, ...]
    scale: float


def table(widths: Widths) -> tuple[Stage, ...]:
    """The stages of 35x35, 17x17 and 8x8 pixels, where the image has 299x299."""
    (a1, a2), (k, m), (b1, b2, b3), (r1, r2), (c1, c2) = widths
    block_a = ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (a1, 3), (a2, 3))
    reduction_a = ((384, 3),), ((k, 1), (k, 3), (m, 3))
    block_b = ((b1, 1),), ((128, 1), (b2, (1, 7)), (b3, (7, 1)))
    two, three = ((256, 1), (r1, 3)), ((256, 1), (r1, 3), (r2, 3))
    block_c = ((192, 1),), ((192, 1), (c1, (1, 3)), (c2, (3, 1)))
    return (
        Stage((), block_a, scale=0.17),
        Stage(reduction_a, block_b, scale=0.1),
        Stage((((256, 1), (384, 3)), two, three), block_c, scale=0.2),
    )


V1 = table(Widths((32, 32), (192, 256), (128, 128, 128), (256, 256), (192, 192)))
V2 = table(Widths((48, 64), (256, 384), (192, 160, 192), (288, 320), (224, 256)))


def stem_v1(x: KerasTensor, *, conv: Conv, strides: int, pool: Block) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 8, w / 8, 256); figure 14."""
    x = v3.stem(x, conv=conv, strides=strides, pool=pool)
    return conv(x, 256, 3, strides=strides, padding="valid", name="stem_conv6")


def stem_v2(x: KerasTensor, *, conv: Conv, strides: int, pool: Block) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 8, w / 8, 320)."""
    x = pool(v3.stem(x, conv=conv, strides=strides, pool=pool), name="stem_pool2")
    average = partial(avg_pool, size=3, strides=1, padding="same")
    branches = (((96, 1),), *v3.FIGURE_5[1:])
    return v3.module(x, branches, 64, conv=conv, average=average, name="stem_mixed")


def scaled(
    x: KerasTensor, branches: tuple[Steps, ...], scale: float, *, conv: Conv, name: str
) -> KerasTensor:
    """The input and `scale` times what the branches make of it; not activated."""
    ends = [
        branch(x, steps, conv=conv, name=f"{name}_branch{i}")
        for i, steps in enumerate(branches, start=1)
    ]
    joined, linear = concat(ends, name=name), conv.without_norm(use_bias=True).linear
    added = linear(joined, x.shape[channel_axis()], 1, name=f"{name}_linear")
    return add(x, layers.Rescaling(scale, name=f"{name}_scale")(added), name=name)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    stem: Callable[..., KerasTensor],
    stages: tuple[Stage, ...],
    repeats: tuple[int, ...],
    final: int = 0,
    strides: int = 2,
    pool: Block = v3.POOL,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, c').

    Args:
        repeats: Number of blocks per stage.
        final: Filters of a 1x1 convolution at the end, after one more block; 0
            for neither.
        strides: Strides of the stem's strided convolutions.
        pool: What draws the stem's pools.
    """
    x = stem(x, conv=conv, strides=strides, pool=pool)
    rows = zip(stages, repeats, strict=True)
    for number, (stage, count) in enumerate(rows, start=1):
        if stage.reduction:
            x = halve(x, stage.reduction, conv=conv, name=f"stage{number}_reduction")
        for i in range(1, count + 1):
            name = f"stage{number}_block{i}"
            x = scaled(x, stage.block, stage.scale, conv=conv, name=name)
            x = conv.activate(x, name=name)
    if final:
        name = f"stage3_block{repeats[-1] + 1}"
        x = scaled(x, stages[-1].block, 1.0, conv=conv, name=name)
        x = conv(x, final, 1, name="stage3_conv")
    return x


INCEPTION_RESNET_V2 = replace(
    v3.INCEPTION_V3,
    name="inception_resnet_v2",
    family="inception_resnet",
    trunk=partial(trunk, stem=stem_v2, stages=V2, repeats=(10, 20, 9), final=1536),
    paper=Paper(
        "Inception-v4, Inception-ResNet and the Impact of Residual Connections on "
        "Learning",
        2016,
        "https://arxiv.org/abs/1602.07261",
    ),
    parameters=55_873_736,
    macs=13_155_794_016,
    differences="The released network: Inception V3's stem, widths of 320, 1088, 2080, a "
    "last block without scale or activation, a last convolution; no dropout.",
    configure=v3.options("stage2_block20_act", **v3.SMALL),
)
INCEPTION_RESNET_V1 = replace(
    INCEPTION_RESNET_V2,
    name="inception_resnet_v1",
    trunk=partial(trunk, stem=stem_v1, stages=V1, repeats=(5, 10, 5)),
    conv=replace(v3.INCEPTION_V3.conv, dropout=0.2),
    parameters=None,
    macs=None,
    differences="BN without a scale; no public weights and no public reference for "
    "ImageNet are known.",
    min_size_floor=1,
    configure=v3.options("stage2_block10_act", **v3.SMALL),
)

SPECS = [INCEPTION_RESNET_V1, INCEPTION_RESNET_V2]
