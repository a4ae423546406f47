"""Inception-ResNet: Inception modules that learn what to add to their input.

Szegedy, Ioffe, Vanhoucke & Alemi 2016, https://arxiv.org/abs/1602.07261, section 3.2 and
figures 10 to 19. What a block adds is scaled down by a constant (section 3.3).

Differs: `inception_resnet_v2` is the released network, as keras.applications has it: the
stem of Inception V3 and a module behind it, 320, 1088 and 2080 channels (figures: 384,
1152 and 2144), a tenth block of stage 3 that is neither scaled nor activated, a last 1x1
convolution, and no dropout. `inception_resnet_v1` keeps to the figures. Both have BN
without a scale. No public weights and no public reference for ImageNet are known for V1
(not verified).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keras import KerasTensor, layers

from cnnzoo.graph.data_format import channel_axis
from cnnzoo.layers.blocks import Block, Conv, Steps, add, branch, concat, halve
from cnnzoo.layers.pooling import avg_pool
from cnnzoo.models import inception_v3 as v3
from cnnzoo.spec import Paper

SCALES = (0.17, 0.1, 0.2)  # of what a block adds, by stage


def stages(a, to_17, b, to_8, c) -> tuple:
    """By stage: branches that halve the image, branches of a block; from their widths."""
    k, m = to_17
    n, p = to_8
    return (
        ((), (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (a[0], 3), (a[1], 3)))),
        (
            (((384, 3),), ((k, 1), (k, 3), (m, 3))),
            (((b[0], 1),), ((128, 1), (b[1], (1, 7)), (b[2], (7, 1)))),
        ),
        (
            (((256, 1), (384, 3)), ((256, 1), (n, 3)), ((256, 1), (n, 3), (p, 3))),
            (((192, 1),), ((192, 1), (c[0], (1, 3)), (c[1], (3, 1)))),
        ),
    )


V1 = stages((32, 32), (192, 256), (128, 128, 128), (256, 256), (192, 192))
V2 = stages((48, 64), (256, 384), (192, 160, 192), (288, 320), (224, 256))


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
    stages: tuple,
    repeats: tuple[int, ...],
    last: int = 0,
    strides: int = 2,
    pool: Block = v3.POOL,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, c').

    Args:
        repeats: the blocks of each stage.
        last: filters of a 1x1 convolution at the end, behind one more block; 0 for none.
        strides: of the stem's strided convolutions.
        pool: draws the stem's pools.
    """
    x = stem(x, conv=conv, strides=strides, pool=pool)
    rows = zip(stages, repeats, SCALES, strict=True)
    for stage, ((narrow, branches), count, scale) in enumerate(rows, start=1):
        if narrow:
            x = halve(x, narrow, conv=conv, name=f"stage{stage}_reduction")
        for i in range(1, count + 1):
            name = f"stage{stage}_block{i}"
            x = conv.activate(scaled(x, branches, scale, conv=conv, name=name), name=name)
    if last:
        name = f"stage3_block{repeats[-1] + 1}"
        x = scaled(x, stages[-1][1], 1.0, conv=conv, name=name)
        x = conv(x, last, 1, name="stage3_conv")
    return x


INCEPTION_RESNET_V2 = replace(
    v3.INCEPTION_V3,
    name="inception_resnet_v2",
    family="inception_resnet",
    trunk=partial(trunk, stem=stem_v2, stages=V2, repeats=(10, 20, 9), last=1536),
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
    parameters=22_769_848,
    macs=None,
    differences="BN without a scale; no public weights and no public reference for "
    "ImageNet are known.",
    min_size_floor=1,
    configure=v3.options("stage2_block10_act", **v3.SMALL),
)

SPECS = [INCEPTION_RESNET_V1, INCEPTION_RESNET_V2]
