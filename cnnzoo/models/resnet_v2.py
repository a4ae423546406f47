"""ResNet v2: normalisation and activation stand before each convolution.

He, Zhang, Ren & Sun 2016, https://arxiv.org/abs/1603.05027, figure 1b. Nothing but the
projections, where the number of channels changes, stands on the path of the sums.

`resnet50_v2`, `resnet101_v2` and `resnet152_v2` are keras.applications' graphs.
`resnet18_v2`, `resnet34_v2` and `resnet50_v2_timm` are timm's `resnetv2_18`, `_34` and
`_50`. Differs: the stride is in the 3x3 convolutions, and in the first 1x1 in the
authors' code; keras.applications halves the image in the last block of stages 1 to 3
rather than in the first of the next, and its convolutions have biases where no
normalisation follows; timm's 18 and 34, depths that the paper does not have, add to the
stem's raw output, which the paper is said to activate first (not verified).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.axes import channel_axis
from cnnzoo.layers.blocks import Block, Conv, add
from cnnzoo.layers.pooling import identity, max_pool, symmetric_max_pool
from cnnzoo.models import resnet
from cnnzoo.spec import Paper, Spec, Stem, with_stem


def basic(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, bare: Conv, name: str
) -> KerasTensor:
    """Two 3x3 convolutions, (b, h, w, c) to (b, h / strides, w / strides, filters).

    `bare` draws the one that no normalisation follows.
    """
    x = conv(x, filters, 3, strides=strides, padding=1, name=f"{name}_conv1")
    return bare.linear(x, filters, 3, name=f"{name}_conv2")


def bottleneck(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, bare: Conv, name: str
) -> KerasTensor:
    """1x1, 3x3 and 1x1 convolutions, of the same shapes."""
    x = conv(x, filters // 4, 1, name=f"{name}_conv1")
    x = conv(x, filters // 4, 3, strides=strides, padding=1, name=f"{name}_conv2")
    return bare.linear(x, filters, 1, name=f"{name}_conv3")


def in_first(stage: int, block: int, repeats: tuple[int, ...]) -> bool:
    """Whether a block, counted from 1, halves the image: the first of a later stage."""
    return stage > 1 and block == 1


def in_last(stage: int, block: int, repeats: tuple[int, ...]) -> bool:
    """The same where the last block of a stage does it for the next stage."""
    return stage < len(repeats) and block == repeats[stage - 1]


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    width: int = 256,
    branch: Block = bottleneck,
    halves: Callable[[int, int, tuple[int, ...]], bool] = in_first,
    repeats: tuple[int, ...] = (3, 4, 6, 3),
    stem_strides: int = 2,
    stem_pool: Block = symmetric_max_pool,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 8 * width).

    Args:
        conv: How convolutions are drawn; biases only where no normalisation follows.
        width: Channels that the first stage ends with; each stage doubles them.
        branch: What draws what a block adds to its shortcut.
        halves: Whether a block halves the image, of its stage and number.
        repeats: Number of blocks per stage.
        stem_strides: Strides of the first convolution.
        stem_pool: What draws the pool after it.
    """
    bare, conv = replace(conv, norm=None), replace(conv, use_bias=False)
    x = bare.linear(x, 64, 7, strides=stem_strides, padding=3, name="stem_conv")
    x = stem_pool(x, name="stem_pool")
    for stage, count in enumerate(repeats, start=1):
        filters = width * 2 ** (stage - 1)
        for i in range(1, count + 1):
            stride = 2 if halves(stage, i, repeats) else 1
            name = f"stage{stage}_block{i}"
            shortcut, at = f"{name}_shortcut", f"{name}_preact"
            ready = conv.activate(conv.normalise(x, name=at), name=at)
            if x.shape[channel_axis()] != filters:
                x = bare.linear(ready, filters, 1, strides=stride, name=shortcut)
            elif stride > 1:
                x = max_pool(x, 1, strides=stride, name=shortcut)
            added = branch(ready, filters, stride, conv=conv, bare=bare, name=name)
            x = add(x, added, name=name)
    last = f"stage{len(repeats)}"
    return conv.activate(conv.normalise(x, name=last), name=last)


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" is for images of 28 to 64 px; it has stride 1 and no pool."""
    return with_stem(spec, stem, stem_strides=1, stem_pool=identity)


TIMM = replace(
    resnet.PLAIN,
    family="resnet_v2",
    trunk=trunk,
    preprocessing="tf",
    paper=Paper(
        "Identity Mappings in Deep Residual Networks",
        2016,
        "https://arxiv.org/abs/1603.05027",
    ),
    differences="The stride is in the 3x3 convolutions, as in timm.",
    configure=configure,
)
BASIC = replace(TIMM, trunk=partial(trunk, width=64, branch=basic))
KERAS = replace(
    TIMM,
    trunk=partial(trunk, halves=in_last, stem_pool=resnet.POOL),
    conv=resnet.KERAS.conv,
    differences="As keras.applications: the last block of stages 1 to 3 halves the "
    "image; convolutions have biases where no normalisation follows.",
    min_size_floor=32,
)
ROWS: dict[str, resnet.Row] = {
    "resnet18_v2": (BASIC, (2, 2, 2, 2), 11_687_720, None),
    "resnet34_v2": (BASIC, (3, 4, 6, 3), 21_795_880, None),
    "resnet50_v2_timm": (TIMM, (3, 4, 6, 3), 25_549_352, None),
    "resnet50_v2": (KERAS, (3, 4, 6, 3), 25_613_800, 3_482_255_360),
    "resnet101_v2": (KERAS, (3, 4, 23, 3), 44_675_560, 7_194_476_544),
    "resnet152_v2": (KERAS, (3, 8, 36, 3), 60_380_648, 10_906_697_728),
}
SPECS = resnet.specs(ROWS)
