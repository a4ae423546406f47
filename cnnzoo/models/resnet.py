"""ResNet v1: blocks that learn what to add to their input.

He, Zhang, Ren & Sun 2015, https://arxiv.org/abs/1512.03385, table 1. The first block of
stages 2 to 4 halves the image, and shortcuts are projected where the shape changes
(option B). `resnet18`, `resnet34` and `resnet{50,101,152}_paper` are the paper's.

Differs: `resnet{50,101,152}_v1_5` have the stride in the 3x3 convolution and not in the
1x1 before it, as torchvision and its weights. `resnet50`, `resnet101` and `resnet152`
are keras.applications' graphs: biases on every convolution, BN epsilon 1.001e-5.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

from keras import KerasTensor

from cnnzoo.layers.blocks import Block, Conv, batch_norm, conv_bn, residual
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.pooling import identity, max_pool
from cnnzoo.spec import Paper, Spec, Stem, with_stem


def basic(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, name: str
) -> KerasTensor:
    """Two 3x3 convolutions, (b, h, w, c) to (b, h / strides, w / strides, filters)."""
    x = conv(x, filters, 3, strides=strides, padding=1, name=f"{name}_conv1")
    return conv.linear(x, filters, 3, name=f"{name}_conv2")


def bottleneck(
    x: KerasTensor,
    filters: int,
    strides: int,
    *,
    conv: Conv,
    name: str,
    stride_in: Literal["1x1", "3x3"] = "1x1",
    final_conv: Conv | None = None,
) -> KerasTensor:
    """1x1, 3x3 and 1x1 convolutions, of which one has the stride.

    Args:
        stride_in: The convolution with the stride: the first 1x1 or the 3x3.
        final_conv: What draws the last convolution; None for `conv`.
    """
    first, second = (strides, 1) if stride_in == "1x1" else (1, strides)
    x = conv(x, filters // 4, 1, strides=first, name=f"{name}_conv1")
    x = conv(x, filters // 4, 3, strides=second, padding=1, name=f"{name}_conv2")
    return (final_conv or conv).linear(x, filters, 1, name=f"{name}_conv3")


POOL = partial(max_pool, size=3, strides=2, padding=1)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    width: int,
    branch: Block,
    repeats: tuple[int, ...] = (3, 4, 6, 3),
    project: Block = Conv.linear,
    stem_conv: tuple[int, int, int] = (64, 7, 2),
    stem_pool: Block = POOL,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 8 * width).

    Args:
        width: Channels that the first stage ends with; each stage doubles them.
        branch: What draws what a block adds to its shortcut.
        repeats: Number of blocks per stage.
        project: What draws the shortcut of a block that changes the shape.
        stem_conv: Filters, size and stride of the first convolution.
        stem_pool: What draws the pool after it.
    """
    filters, size, strides = stem_conv
    x = conv(x, filters, size, strides=strides, padding=size // 2, name="stem_conv")
    x = stem_pool(x, name="stem_pool")
    for stage, count in enumerate(repeats, start=1):
        filters = width * 2 ** (stage - 1)
        for i in range(1, count + 1):
            stride = 2 if i == 1 and stage > 1 else 1
            name = f"stage{stage}_block{i}"
            added = branch(x, filters, stride, conv=conv, name=name)
            if added.shape != x.shape:
                x = project(conv, x, filters, 1, strides=stride, name=f"{name}_shortcut")
            x = residual(x, added, conv=conv, name=name)
    return x


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" is for images of 28 to 64 px; it has stride 1 and no pool."""
    return with_stem(spec, stem, stem_conv=(64, 7, 1), stem_pool=identity)


PLAIN = Spec(
    name="",
    family="resnet",
    trunk=partial(trunk, width=64, branch=basic),
    head=pooled_head,
    conv=replace(
        conv_bn,
        norm=partial(batch_norm, epsilon=1e-5, momentum=0.9),
        use_bias=False,
        kernel_initializer="he_normal",
    ),
    input_shape=(224, 224, 3),
    classes=1000,
    preprocessing="torch",
    paper=Paper(
        "Deep Residual Learning for Image Recognition",
        2015,
        "https://arxiv.org/abs/1512.03385",
    ),
    differences="Projections where the shape changes (option B), as in torchvision; the "
    "paper's main table has zero channels there (option A).",
    configure=configure,
)
V1_5 = replace(
    PLAIN,
    trunk=partial(trunk, width=256, branch=partial(bottleneck, stride_in="3x3")),
    differences="The stride is in the 3x3 convolutions, as in torchvision.",
)
V1 = replace(
    PLAIN,
    trunk=partial(trunk, width=256, branch=bottleneck),
    preprocessing="caffe",
    differences="",
)
KERAS = replace(
    V1,
    conv=replace(conv_bn, norm=partial(batch_norm, epsilon=1.001e-5)),
    min_size_floor=32,
    differences="Convolutions have biases; BN epsilon 1.001e-5, as keras.applications.",
)
Row = tuple[Spec, tuple[int, ...], int, int | None]


def specs(rows: dict[str, Row]) -> list[Spec]:
    """By name: what it is like, blocks by stage, published parameters, MACs."""
    return [
        replace(
            like.with_trunk(repeats=repeats), name=name, parameters=parameters, macs=macs
        )
        for name, (like, repeats, parameters, macs) in rows.items()
    ]


ROWS: dict[str, Row] = {
    "resnet18": (PLAIN, (2, 2, 2, 2), 11_689_512, None),
    "resnet34": (PLAIN, (3, 4, 6, 3), 21_797_672, None),
    "resnet50_paper": (V1, (3, 4, 6, 3), 25_557_032, None),
    "resnet101_paper": (V1, (3, 4, 23, 3), 44_549_160, None),
    "resnet152_paper": (V1, (3, 8, 36, 3), 60_192_808, None),
    "resnet50_v1_5": (V1_5, (3, 4, 6, 3), 25_557_032, None),
    "resnet101_v1_5": (V1_5, (3, 4, 23, 3), 44_549_160, None),
    "resnet152_v1_5": (V1_5, (3, 8, 36, 3), 60_192_808, None),
    "resnet50": (KERAS, (3, 4, 6, 3), 25_636_712, 3_857_973_248),
    "resnet101": (KERAS, (3, 4, 23, 3), 44_707_176, 7_570_194_432),
    "resnet152": (KERAS, (3, 8, 36, 3), 60_419_944, 11_282_415_616),
}
SPECS = specs(ROWS)
