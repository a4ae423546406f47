"""Inception V2 (BN-Inception): GoogLeNet with batch normalisation, and 3x3 twice for 5x5.

Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167, figure 5. Differs: the widths it
prints for 4c, 4d and 4e are not the sums of their branches, and 13.6 million parameters
fit neither. `bn_inception` (Caffe's and Cadene's) has the branches, `inception_v2`
(Caffe2's) and `inception_v2_separable` (TF-slim's) the sums. On odd sides, which Caffe's
halving modules do not take, the pool fits the convolutions. The auxiliary heads are
GoogLeNet's with BN (not verified). BN has momentum 0.9 as Cadene's and Caffe2's, and
`inception_v2_separable` Keras's 0.99 (TF-slim: 0.9997).
"""

from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import Block, Conv, batch_norm, chain, concat, conv_bn
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.pooling import (
    Padding,
    avg_pool,
    ceil_max_pool,
    max_pool,
    same_max_pool,
)
from cnnzoo.models.inception_v1 import configure
from cnnzoo.spec import Paper, Preprocess, Spec

Paddings = tuple[Padding, Padding]


def modules(late: int) -> tuple[tuple[tuple, ...], ...]:
    """By stage: 1x1, 3x3 reduce, 3x3, double reduce, double 3x3, pool, its projection."""
    return (
        (  # 28x28 at 224 pixels: the paper's 3a, 3b, 3c
            (64, 64, 64, 64, 96, "average", 32),
            (64, 64, 96, 64, 96, "average", 64),
            (0, 128, 160, 64, 96, "max", 0),  # no 1x1: halves the image
        ),
        (  # 14x14: 4a to 4e
            (224, 64, 96, 96, 128, "average", 128),
            (192, 96, 128, 96, 128, "average", 128),
            (160, 128, 160, 128, 160, "average", late),  # 96 or the paper's 128
            (96, 128, 192, 160, 192, "average", late),
            (0, 128, 192, 192, 256, "max", 0),
        ),
        (  # 7x7: 5a, 5b
            (352, 192, 320, 160, 224, "average", 128),
            (352, 192, 320, 192, 224, "max", 128),
        ),
    )


def module(
    x: KerasTensor, widths: tuple, *, conv: Conv, padding: Paddings, name: str
) -> KerasTensor:
    """Branches over the same pixels, joined by channel."""
    one, reduce3, three, reduce_double, double, pool, projection = widths
    strides = 1 if one else 2
    last = partial(conv, size=3, strides=strides, padding=padding[0])
    single = conv(x, reduce3, 1, name=f"{name}_3x3_reduce")
    doubled = (("double_3x3_reduce", reduce_double, 1), ("double_3x3_1", double, 3))
    twice = chain(x, *doubled, conv=conv, name=name)
    branches = [last(single, three, name=f"{name}_3x3")]
    branches += [last(twice, double, name=f"{name}_double_3x3_2")]
    if pool == "average":
        pooled = avg_pool(x, 3, strides=1, padding=padding[1], name=f"{name}_pool")
    else:
        pooled = max_pool(x, 3, strides=strides, padding="same", name=f"{name}_pool")
    if one:
        first = conv(x, one, 1, name=f"{name}_1x1")
        pooled = conv(pooled, projection, 1, name=f"{name}_pool_proj")
        branches = [first, *branches]
    return concat([*branches, pooled], name=name)


full = partial(Conv.linear, padding=3)
separable = partial(Conv.separable, depth_multiplier=8)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    late: int = 128,
    first: Block = full,
    stem_strides: int = 2,
    stem_pool: Block = ceil_max_pool,
    padding: Paddings = (1, 1),  # of 3x3 convolutions of stride 2, average pools
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 1024)."""
    x = first(conv, x, 64, 7, strides=stem_strides, name="stem_conv1")
    x = stem_pool(conv.activate(x, name="stem_conv1"), name="stem_pool1")
    x = chain(x, ("reduce", 64, 1), ("conv2", 192, 3), conv=conv, name="stem")
    x = stem_pool(x, name="stem_pool2")
    for stage, rows in enumerate(modules(late), start=1):
        for i, row in enumerate(rows, start=1):
            at = f"stage{stage}_block{i}"
            x = module(x, row, conv=conv, padding=padding, name=at)
    return x


BN_INCEPTION = Spec(
    name="bn_inception",
    family="inception_v2",
    trunk=trunk,
    head=pooled_head,
    conv=replace(
        conv_bn, norm=partial(batch_norm, epsilon=1e-5, momentum=0.9), use_bias=False
    ),
    input_shape=(224, 224, 3),
    classes=1000,
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 128.0)),
    paper=Paper(
        "Batch Normalization: Accelerating Deep Network Training by Reducing Internal "
        "Covariate Shift",
        2015,
        "https://arxiv.org/abs/1502.03167",
    ),
    differences="4c, 4d and 4e have 608, 608 and 1056 channels, as their branches, for "
    "576, 576 and 1024. Biases in front of BN, as in Cadene's file, go into its means.",
    configure=configure,
)

INCEPTION_V2 = replace(
    BN_INCEPTION,
    name="inception_v2",
    trunk=partial(trunk, late=96, padding=(1, "same")),
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 123.0)),
    parameters=11_194_984,
    differences="Pool projections of 96 in 4c and 4d make modules as wide as printed; "
    "average pools leave the border out, as Caffe2's. Caffe's pixels (not verified).",
)

SEPARABLE = replace(
    INCEPTION_V2,
    name="inception_v2_separable",
    trunk=partial(
        trunk, late=96, first=separable, stem_pool=same_max_pool, padding=("same", "same")
    ),
    conv=replace(conv_bn, use_bias=False, dropout=0.2),
    preprocessing="tf",
    parameters=None,
    differences="A separable first layer; pool projections of 96 in 4c and 4d. BN has "
    "scales, and is behind the first layer too, where TF-slim's file has a bias.",
)

SPECS = [INCEPTION_V2, BN_INCEPTION, SEPARABLE]
