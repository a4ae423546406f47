"""Inception V3: modules whose large windows are factored into small ones.

Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, table 1 and figures 5, 6, 7 and 10.
Differs from table 1, as all released networks do: there the stem's fourth convolution is
3x3 (here 1x1), its fifth has stride 2 (here 1), and a sixth stands where a pool is here.

`inception_v3` is keras.applications' graph: BN without a scale, and average pools that
leave the border out. `inception_v3_torchvision` has the scale, pools that count a border
of zeros, and dropout; its weights start as Keras's (torchvision's: normal with deviation
0.1, cut at two). Both take pixels from -1 to 1 (torchvision: `transform_input`).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import (
    Block,
    Conv,
    Steps,
    batch_norm,
    branch,
    concat,
    conv_bn,
    halve,
)
from cnnzoo.layers.heads import aux_conv, pooled_head
from cnnzoo.layers.pooling import avg_pool, identity, max_pool
from cnnzoo.spec import AuxHead, Paper, Spec, Stem, with_stem

ROW, COLUMN = (1, 7), (7, 1)
FIGURE_5 = ((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))
FIGURE_7 = ((320, 1),), ((384, 1),), ((448, 1), (384, 3))
TO_17 = ((384, 3),), ((64, 1), (96, 3), (96, 3))  # 35x35 pixels to 17x17
TO_8 = ((192, 1), (320, 3)), ((192, 1), (192, ROW), (192, COLUMN), (192, 3))


def figure_6(w: int) -> tuple[Steps, ...]:
    """`w`: filters between the first and the last convolution of a branch."""
    double = ((w, 1), (w, COLUMN), (w, ROW), (w, COLUMN), (192, ROW))
    return ((192, 1),), ((w, 1), (w, ROW), (192, COLUMN)), double


POOL = partial(max_pool, size=3, strides=2)
SMALL = {"strides": 1, "pool": identity}  # of the small stem
STAGES = (  # what halves the image; then branches, filters after the pool, of the forks
    ((), tuple((FIGURE_5, width, 0) for width in (32, 64, 64))),
    (TO_17, tuple((figure_6(width), 192, 0) for width in (128, 160, 160, 192))),
    (TO_8, 2 * ((FIGURE_7, 192, 384),)),
)


def stem(x: KerasTensor, *, conv: Conv, strides: int, pool: Block) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 4, w / 4, 192)."""
    x = conv(x, 32, 3, strides=strides, padding="valid", name="stem_conv1")
    x = conv(x, 32, 3, padding="valid", name="stem_conv2")
    x = pool(conv(x, 64, 3, name="stem_conv3"), name="stem_pool1")
    x = conv(x, 80, 1, name="stem_conv4")
    return conv(x, 192, 3, padding="valid", name="stem_conv5")


def module(
    x: KerasTensor,
    branches: tuple[Steps, ...],
    projection: int,
    fork: int = 0,
    *,
    conv: Conv,
    average: Block,
    name: str,
) -> KerasTensor:
    """Branches over the same pixels and an average of them, joined by channel.

    `projection`: filters after the average; `fork`: those of a row and a column of 3 in
    which all branches but the first end, 0 for none."""
    ends = []
    for i, steps in enumerate(branches, start=1):
        part = f"{name}_branch{i}"
        end = branch(x, steps, conv=conv, name=part)
        if fork and i > 1:
            row = conv(end, fork, (1, 3), name=f"{part}_row")
            ends += [row, conv(end, fork, (3, 1), name=f"{part}_column")]
        else:
            ends += [end]
    pooled = average(x, name=f"{name}_pool")
    return concat([*ends, conv(pooled, projection, 1, name=f"{name}_proj")], name=name)


def stages(x: KerasTensor, table: tuple, *, conv: Conv, average: Block) -> KerasTensor:
    """The stages of a table such as `STAGES`, each at half the size of the one before."""
    for stage, (narrow, modules) in enumerate(table, start=1):
        if narrow:
            x = halve(x, narrow, conv=conv, name=f"stage{stage}_reduction")
        for i, row in enumerate(modules, start=1):
            x = module(x, *row, conv=conv, average=average, name=f"stage{stage}_block{i}")
    return x


def trunk(
    x: KerasTensor, *, conv: Conv, average: Block, strides: int = 2, pool: Block = POOL
) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 32, w / 32, 2048); `strides` of the stem."""
    x = pool(stem(x, conv=conv, strides=strides, pool=pool), name="stem_pool2")
    return stages(x, STAGES, conv=conv, average=average)


def options(aux_after: str, **small: object) -> Callable[..., Spec]:
    """The `configure` of a row whose auxiliary classifier sees the layer `aux_after`.

    `small`: what its trunk takes for the small stem."""
    return partial(_configure, aux_after, small)


def _configure(
    after: str, small: dict, spec: Spec, *, stem: Stem = "paper", aux_heads: bool = False
) -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels; `aux_heads`: a second classifier
    after stage 2, which needs 299 pixels, or 41 to 43 with the small stem."""
    spec = with_stem(spec, stem, **small)
    aux = (AuxHead(after, aux_conv),)
    return replace(spec, aux_heads=aux) if aux_heads else spec


INCEPTION_V3 = Spec(
    name="inception_v3",
    family="inception_v3",
    trunk=partial(trunk, average=partial(avg_pool, size=3, strides=1, padding="same")),
    head=pooled_head,
    conv=replace(conv_bn, norm=partial(batch_norm, scale=False), use_bias=False),
    input_shape=(299, 299, 3),
    classes=1000,
    preprocessing="tf",
    paper=Paper(
        "Rethinking the Inception Architecture for Computer Vision",
        2015,
        "https://arxiv.org/abs/1512.00567",
    ),
    parameters=23_851_784,
    macs=5_713_216_096,
    differences="The released stem, five convolutions and two pools for six and one; BN "
    "without a scale and no dropout, as in keras.applications.",
    min_size_floor=75,
    configure=options("stage2_block4_concat", **SMALL),
)

TORCHVISION = replace(
    INCEPTION_V3,
    name="inception_v3_torchvision",
    trunk=partial(trunk, average=partial(avg_pool, size=3, strides=1, padding=1)),
    conv=replace(INCEPTION_V3.conv, norm=partial(batch_norm, momentum=0.9), dropout=0.5),
    parameters=23_834_568,
    differences="The released stem, five convolutions and two pools for six and one; "
    "average pools count a border of zeros, as in torchvision.",
    min_size_floor=1,
)

SPECS = [INCEPTION_V3, TORCHVISION]
