"""ResNet v1: blocks that learn what to add to their input.

He, Zhang, Ren & Sun 2015, https://arxiv.org/abs/1512.03385, table 1. The first block of
stages 2 to 4 halves the image with its first convolution, and shortcuts are projected
where the shape changes (option B).

`resnet18`, `resnet34` and `resnet{50,101,152}_paper` have no convolution biases and BN
epsilon 1e-5. `resnet50`, `resnet101` and `resnet152` are keras.applications' graphs:
biases on every convolution, epsilon 1.001e-5.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.blocks import (
    Conv,
    Padding,
    batch_norm,
    channel_axis,
    conv_bn,
    max_pool,
    residual,
)
from cnnzoo.heads import pooled_head
from cnnzoo.spec import Paper, Spec

PAPER = Paper(
    "Deep Residual Learning for Image Recognition",
    2015,
    "https://arxiv.org/abs/1512.03385",
)

# How one branch is drawn: (x, filters, strides, conv=, name=) -> tensor
Branch = Callable[..., KerasTensor]


def basic(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, name: str
) -> KerasTensor:
    """Two 3x3 convolutions, (b, h, w, c) to (b, h / strides, w / strides, filters)."""
    x = conv(x, filters, 3, strides=strides, padding=1, name=f"{name}_conv1")
    return conv.linear(x, filters, 3, name=f"{name}_conv2")


def bottleneck(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, name: str
) -> KerasTensor:
    """1x1, 3x3 and 1x1 convolutions; the stride stands in the first, as in the paper."""
    x = conv(x, filters // 4, 1, strides=strides, name=f"{name}_conv1")
    x = conv(x, filters // 4, 3, name=f"{name}_conv2")
    return conv.linear(x, filters, 1, name=f"{name}_conv3")


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    filters: Sequence[int],
    repeats: Sequence[int],
    branch: Branch,
    identity_branch: Branch | None = None,
    stem_pool_padding: Padding = 1,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, filters[-1]).

    Args:
        filters: the channels that each stage ends with.
        repeats: the blocks of each stage.
        branch: draws what a block adds to its shortcut.
        identity_branch: the same for blocks that do not change the shape, where these
            differ.
        stem_pool_padding: zero pixels on each side of the stem's pool.
    """
    x = conv(x, 64, 7, strides=2, padding=3, name="stem_conv")
    x = max_pool(x, 3, strides=2, padding=stem_pool_padding, name="stem_pool")
    for stage, (width, count) in enumerate(zip(filters, repeats, strict=True), start=1):
        for i in range(1, count + 1):
            strides = 2 if i == 1 and stage > 1 else 1
            name = f"stage{stage}_block{i}"
            shortcut, draw = x, identity_branch or branch
            if strides > 1 or x.shape[channel_axis()] != width:
                shortcut = conv.linear(
                    x, width, 1, strides=strides, name=f"{name}_shortcut"
                )
                draw = branch
            added = draw(x, width, strides, conv=conv, name=name)
            x = residual(shortcut, added, conv=conv, name=name)
    return x


NARROW, WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)

# name: blocks by stage, published parameters, MACs
BASIC = {
    "resnet18": ((2, 2, 2, 2), 11_689_512, None),
    "resnet34": ((3, 4, 6, 3), 21_797_672, None),
}
BOTTLENECK = {
    "resnet50_paper": ((3, 4, 6, 3), 25_557_032, None),
    "resnet101_paper": ((3, 4, 23, 3), 44_549_160, None),
    "resnet152_paper": ((3, 8, 36, 3), 60_192_808, None),
}
KERAS = {
    "resnet50": ((3, 4, 6, 3), 25_636_712, 3_857_973_248),
    "resnet101": ((3, 4, 23, 3), 44_707_176, 7_570_194_432),
    "resnet152": ((3, 8, 36, 3), 60_419_944, 11_282_415_616),
}

PLAIN = replace(
    conv_bn,
    norm=partial(batch_norm, epsilon=1e-5, momentum=0.9),
    use_bias=False,
    kernel_initializer="he_normal",
)
KERAS_CONV = replace(conv_bn, norm=partial(batch_norm, epsilon=1.001e-5))


def imagenet(
    rows: dict, filters: Sequence[int], branch: Branch, conv: Conv, **facts
) -> list[Spec]:
    """The specs of one table; `facts` are further fields of `Spec`."""
    return [
        Spec(
            name=name,
            family="resnet",
            trunk=partial(trunk, filters=filters, repeats=repeats, branch=branch),
            head=pooled_head,
            conv=conv,
            input_shape=(224, 224, 3),
            classes=1000,
            paper=PAPER,
            parameters=parameters,
            macs=macs,
            **facts,
        )
        for name, (repeats, parameters, macs) in rows.items()
    ]


SPECS = [
    *imagenet(BASIC, NARROW, basic, PLAIN, preprocessing="torch"),
    *imagenet(BOTTLENECK, WIDE, bottleneck, PLAIN, preprocessing="caffe"),
    *imagenet(
        KERAS,
        WIDE,
        bottleneck,
        KERAS_CONV,
        preprocessing="caffe",
        floor=32,
        differences="Biases on every convolution and BN epsilon 1.001e-5, as in "
        "keras.applications.",
    ),
]
