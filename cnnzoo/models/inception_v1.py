"""GoogLeNet (Inception v1): modules that look at four scales side by side.

Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, table 1, as Caffe's
`bvlc_googlenet` has it: local response normalisation, a real 5x5 branch, pools that
round up, dropout 0.4. Differs from the paper: Caffe's constants for the normalisation
(k = 1, alpha / size; the paper names none). Weights start as Caffe's, and biases of
convolutions at 0.2; those of hidden dense layers in auxiliary heads at 0 (Caffe: 0.2).

`inception_v1_two_dense` is a widespread Keras form: TensorFlow's "same" padding, an L2
penalty of 5e-4 on the stem, and a linear dense layer of 1000 units before the classifier.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import keras
from keras import KerasTensor, layers

from cnnzoo.layers.blocks import (
    Activation,
    Block,
    Conv,
    chain,
    concat,
    conv_relu,
    local_response_norm,
)
from cnnzoo.layers.heads import aux_dense, classify, pooled_head
from cnnzoo.layers.pooling import (
    Padding,
    ceil_max_pool,
    identity,
    max_pool,
    same_max_pool,
)
from cnnzoo.spec import AuxHead, Paper, Preprocess, Spec, Stem, with_stem

MODULES = (  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; by stage
    (  # 28x28 at 224 pixels: the paper's 3a, 3b
        (64, 96, 128, 16, 32, 32),
        (128, 128, 192, 32, 96, 64),
    ),
    (  # 14x14: 4a to 4e
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    (  # 7x7: 5a, 5b
        (256, 160, 320, 32, 128, 128),
        (384, 192, 384, 48, 128, 128),
    ),
)
AUX_HEADS = tuple(AuxHead(f"stage2_block{i}_concat", aux_dense) for i in (1, 4))  # 4a, 4d


def module(
    x: KerasTensor, widths: tuple[int, ...], *, conv: Conv, size: int, name: str
) -> KerasTensor:
    """Four branches over the same pixels, joined by channel (figure 2b)."""
    one, reduce3, three, reduce5, five, projection = widths
    pooled = max_pool(x, 3, strides=1, padding="same", name=f"{name}_pool")
    branches = [
        chain(x, ("1x1", one, 1), conv=conv, name=name),
        chain(x, ("3x3_reduce", reduce3, 1), ("3x3", three, 3), conv=conv, name=name),
        chain(x, ("5x5_reduce", reduce5, 1), ("5x5", five, size), conv=conv, name=name),
        chain(pooled, ("pool_proj", projection, 1), conv=conv, name=name),
    ]
    return concat(branches, name=name)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    stem_strides: int = 2,
    stem_pool: Block = ceil_max_pool,
    stem_penalty: float = 0.0,
    normalise: Block = local_response_norm,
    padding: Padding = 3,
    size: int = 5,  # of the paper's 5x5
    pools: Sequence[Block] = (ceil_max_pool, ceil_max_pool),  # of stages 1 and 2
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 1024)."""
    stem = conv
    if stem_penalty and conv.kernel_regularizer is None:
        penalty = keras.regularizers.L2(stem_penalty)
        stem = replace(conv, kernel_regularizer=penalty, bias_regularizer=penalty)
    x = stem(x, 64, 7, strides=stem_strides, padding=padding, name="stem_conv1")
    x = normalise(stem_pool(x, name="stem_pool1"), name="stem_lrn1")
    x = chain(x, ("reduce", 64, 1), ("conv2", 192, 3), conv=stem, name="stem")
    x = stem_pool(normalise(x, name="stem_lrn2"), name="stem_pool2")
    after = (*pools, identity)
    for stage, (modules, pool) in enumerate(zip(MODULES, after, strict=True), start=1):
        for i, widths in enumerate(modules, start=1):
            name = f"stage{stage}_block{i}"
            x = module(x, widths, conv=conv, size=size, name=name)
        x = pool(x, name=f"stage{stage}_pool")
    return x


def two_dense_head(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = conv.dense(conv.drop(x, name="head_dropout"), 1000, name="head_dense")
    return classify(x, units, activation, conv=conv)


def configure(spec: Spec, *, stem: Stem = "paper", aux_heads: bool = False) -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels has no stride and no pools.
    `aux_heads`: also draws the two auxiliary classifiers."""
    spec = with_stem(spec, stem, stem_strides=1, stem_pool=identity)
    return replace(spec, aux_heads=AUX_HEADS) if aux_heads else spec


INCEPTION_V1 = Spec(
    name="inception_v1",
    family="inception_v1",
    trunk=trunk,
    head=pooled_head,
    conv=replace(
        conv_relu,
        dropout=0.4,
        kernel_initializer="lecun_uniform",  # what Caffe calls xavier
        bias_initializer=keras.initializers.Constant(0.2),
    ),
    input_shape=(224, 224, 3),
    classes=1000,
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 123.0)),
    paper=Paper(
        "Going Deeper with Convolutions", 2014, "https://arxiv.org/abs/1409.4842"
    ),
    parameters=6_998_552,
    macs=1_582_671_872,
    differences="Caffe's constants for the normalisation (k = 1, alpha 1e-4 / 5).",
    configure=configure,
)

SAME = partial(trunk, stem_pool=same_max_pool, padding="same", pools=(same_max_pool,) * 2)
TWO_DENSE = replace(
    INCEPTION_V1,
    name="inception_v1_two_dense",
    trunk=partial(SAME, stem_penalty=5e-4),
    head=two_dense_head,
    parameters=None,
    macs=None,
    differences='TensorFlow\'s "same" padding, an L2 penalty of 5e-4 on the stem, and a '
    "linear dense layer of 1000 units before the classifier.",
)

SPECS = [INCEPTION_V1, TWO_DENSE]
