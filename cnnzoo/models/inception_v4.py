"""Inception V4: Inception without history, one recipe for every module of a stage.

Szegedy, Ioffe, Vanhoucke & Alemi 2016, https://arxiv.org/abs/1602.07261, figures 3 to 9.
Differs: the order of row and column convolutions is that of the released network
(TF-slim's, and timm's port of it), as the figures do not agree with it everywhere. BN has
a scale, and momentum 0.9, as timm's; TF-slim's are 1 throughout and 0.9997. Average pools
leave the border out. The auxiliary head is TF-slim's, which the paper does not show.
"""

from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import Conv, batch_norm, branch, concat, conv_bn
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.pooling import avg_pool, max_pool
from cnnzoo.models.inception_resnet import INCEPTION_RESNET_V2
from cnnzoo.models.inception_v3 import options, stages
from cnnzoo.spec import Spec

ROW, COLUMN = (1, 7), (7, 1)
SMALL_ROW, SMALL_COLUMN = (1, 3), (3, 1)

A = ((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3))
B = (
    ((384, 1),),
    ((192, 1), (224, ROW), (256, COLUMN)),
    ((192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
)
C = ((256, 1),), ((384, 1),), ((384, 1), (448, SMALL_COLUMN), (512, SMALL_ROW))
TO_17 = ((384, 3),), ((192, 1), (224, 3), (256, 3))  # 35x35 pixels to 17x17
TO_8 = ((192, 1), (192, 3)), ((256, 1), (256, ROW), (320, COLUMN), (320, 3))
# What halves the image; then branches, filters after the pool, of the forks
STAGES = (
    ((), 4 * ((A, 96, 0),)),
    (TO_17, 7 * ((B, 128, 0),)),
    (TO_8, 3 * ((C, 256, 256),)),
)


def stem(x: KerasTensor, *, conv: Conv, strides: int) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 8, w / 8, 384); figure 3."""
    pool = partial(max_pool, size=3, strides=strides)
    valid = partial(conv, size=3, padding="valid")
    x = valid(x, 32, strides=strides, name="stem_conv1")
    x = valid(x, 32, name="stem_conv2")
    x = conv(x, 64, 3, name="stem_conv3")
    wide = valid(x, 96, strides=strides, name="stem_split1_conv")
    x = concat([pool(x, name="stem_split1_pool"), wide], name="stem_split1")
    ends = []
    for i, steps in enumerate((((64, 1),), ((64, 1), (64, ROW), (64, COLUMN))), start=1):
        part = f"stem_split2_branch{i}"
        end = branch(x, steps, conv=conv, name=part)
        ends += [valid(end, 96, name=f"{part}_conv{len(steps) + 1}")]
    x = concat(ends, name="stem_split2")
    wide = valid(x, 192, strides=strides, name="stem_split3_conv")
    return concat([wide, pool(x, name="stem_split3_pool")], name="stem_split3")


def trunk(x: KerasTensor, *, conv: Conv, strides: int = 2) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 1536).

    `strides` are those of the stem.
    """
    average = partial(avg_pool, size=3, strides=1, padding="same")
    x = stem(x, conv=conv, strides=strides)
    return stages(x, STAGES, conv=conv, average=average)


SPECS = [
    Spec(
        name="inception_v4",
        family="inception_v4",
        trunk=trunk,
        head=pooled_head,
        conv=replace(
            conv_bn,
            norm=partial(batch_norm, momentum=0.9),
            use_bias=False,
            dropout=0.2,
        ),
        input_shape=(299, 299, 3),
        classes=1000,
        preprocessing="tf",
        paper=INCEPTION_RESNET_V2.paper,
        parameters=42_679_816,
        differences="The order of row and column convolutions is the released network's; "
        "BN has a scale, as timm's.",
        configure=options("stage2_block7_concat", strides=1),
    )
]
