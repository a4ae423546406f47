"""Xception: convolutions taken apart into one per channel and one across channels.

Chollet 2016, https://arxiv.org/abs/1610.02357, figure 5. Differs: dropout of 0.5 in front
of the classifier is left out, as in both references (`dropout=0.5` brings it back), and
the depthwise half comes first (the paper's section 3.1 names it second).

`xception` is keras.applications' graph. `xception_timm` is timm's `legacy_xception`: its
pools pad both sides alike, BN has epsilon 1e-5, and its weights start as Keras's (timm's
as He's by fan-out).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import Block, Conv, add, batch_norm, conv_bn
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.pooling import same_max_pool, symmetric_max_pool
from cnnzoo.spec import Paper, Spec, Stem, with_stem

ENTRY = (128, 256, 728)  # widths of the entry flow's blocks
MIDDLE = 8  # blocks of the middle flow


def separables(
    x: KerasTensor, widths: Sequence[int], *, conv: Conv, name: str
) -> KerasTensor:
    """3x3 separable convolutions, with an activation between them but not at the end."""
    for i, width in enumerate(widths, start=1):
        if i > 1:
            x = conv.activate(x, name=f"{name}_sepconv{i - 1}")
        x = conv.separable(x, width, 3, name=f"{name}_sepconv{i}")
    return x


def halve(
    x: KerasTensor,
    activated: KerasTensor,
    widths: Sequence[int],
    *,
    conv: Conv,
    pool: Block,
    name: str,
) -> KerasTensor:
    """A pooled branch and a projection, added: (b, h, w, c) to (b, h / 2, w / 2, c').

    Args:
        x: Input of the projection.
        activated: Input of the branch.
        widths: Filters of the branch's convolutions.
    """
    shortcut = conv.linear(x, widths[-1], 1, strides=2, name=f"{name}_shortcut")
    branch = separables(activated, widths, conv=conv, name=name)
    return add(shortcut, pool(branch, name=f"{name}_pool"), name=name)


def trunk(
    x: KerasTensor, *, conv: Conv, pool: Block, stem_strides: int = 2
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 2048)."""
    x = conv(x, 32, 3, strides=stem_strides, padding="valid", name="stem_conv1")
    x = conv(x, 64, 3, padding="valid", name="stem_conv2")
    half = partial(halve, conv=conv, pool=pool)
    activated = x  # the stem ends in an activation, blocks end in a sum
    for stage, width in enumerate(ENTRY, start=1):
        name = f"stage{stage}_block1"
        if stage > 1:
            activated = conv.activate(x, name=f"{name}_pre")
        x = half(x, activated, (width, width), name=name)
    for i in range(2, 2 + MIDDLE):
        name = f"stage3_block{i}"
        activated = conv.activate(x, name=f"{name}_pre")
        branch = separables(activated, 3 * (ENTRY[-1],), conv=conv, name=name)
        x = add(x, branch, name=name)
    activated = conv.activate(x, name="stage4_block1_pre")
    x = half(x, activated, (728, 1024), name="stage4_block1")
    x = separables(x, (1536, 2048), conv=conv, name="stage4")
    return conv.activate(x, name="stage4_sepconv2")


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels."""
    return with_stem(spec, stem, stem_strides=1)


XCEPTION = Spec(
    name="xception",
    family="xception",
    trunk=partial(trunk, pool=same_max_pool),
    head=pooled_head,
    conv=replace(conv_bn, use_bias=False),
    input_shape=(299, 299, 3),
    classes=1000,
    preprocessing="tf",
    paper=Paper(
        "Xception: Deep Learning with Depthwise Separable Convolutions",
        2016,
        "https://arxiv.org/abs/1610.02357",
    ),
    parameters=22_910_480,
    macs=8_357_403_496,
    differences="No dropout in front of the classifier, as in keras.applications.",
    min_size_floor=71,
    configure=configure,
)

TIMM = replace(
    XCEPTION,
    name="xception_timm",
    trunk=partial(trunk, pool=symmetric_max_pool),
    conv=replace(XCEPTION.conv, norm=partial(batch_norm, epsilon=1e-5, momentum=0.9)),
    parameters=22_855_952,
    differences="No dropout in front of the classifier; pools pad both sides alike, and "
    "BN has epsilon 1e-5, as in timm.",
    min_size_floor=1,
)

SPECS = [XCEPTION, TIMM]
