"""GoogLeNet (Inception v1): modules that look at four scales side by side.

Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, table 1, as Caffe's
`bvlc_googlenet` has it: local response normalisation, a real 5x5 branch, pools that
round up, dropout 0.4. Differs from the paper: Caffe's constants for the normalisation
(k = 1, alpha / size; the paper names none).

`inception_v1_two_dense` is a widespread Keras form of the same network: TensorFlow's
"same" padding, an L2 penalty of 5e-4 on the stem's kernels and biases, and a linear
dense layer of 1000 units before the classifier.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import keras
from keras import KerasTensor, layers

from cnnzoo.blocks import (
    Conv,
    Padding,
    ceil_max_pool,
    chain,
    concat,
    conv_relu,
    lrn,
    max_pool,
    same_max_pool,
)
from cnnzoo.heads import classify, pooled_head
from cnnzoo.spec import Activation, Paper, Preprocess, Spec

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


def stem(
    x: KerasTensor, *, conv: Conv, pool: Callable[..., KerasTensor], padding: Padding
) -> KerasTensor:
    """Images (b, h, w, c) to about (b, h / 8, w / 8, 192)."""
    x = conv(x, 64, 7, strides=2, padding=padding, name="stem_conv1")
    x = lrn(pool(x, name="stem_pool1"), name="stem_lrn1")
    x = chain(x, ("reduce", 64, 1), ("conv2", 192, 3), conv=conv, name="stem")
    return pool(lrn(x, name="stem_lrn2"), name="stem_pool2")


def module(
    x: KerasTensor, widths: tuple[int, ...], *, conv: Conv, name: str
) -> KerasTensor:
    """Four branches over the same pixels, joined by channel (figure 2b)."""
    one, reduce3, three, reduce5, five, projection = widths
    pooled = max_pool(x, 3, strides=1, padding="same", name=f"{name}_pool")
    branches = [
        chain(x, ("1x1", one, 1), conv=conv, name=name),
        chain(x, ("3x3_reduce", reduce3, 1), ("3x3", three, 3), conv=conv, name=name),
        chain(x, ("5x5_reduce", reduce5, 1), ("5x5", five, 5), conv=conv, name=name),
        chain(pooled, ("pool_proj", projection, 1), conv=conv, name=name),
    ]
    return concat(branches, name=name)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    pool: Callable[..., KerasTensor] = ceil_max_pool,
    padding: Padding = 3,
    stem_penalty: float = 0.0,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, 1024)."""
    stem_conv = conv
    if stem_penalty and conv.kernel_regularizer is None:
        penalty = keras.regularizers.L2(stem_penalty)
        stem_conv = replace(conv, kernel_regularizer=penalty, bias_regularizer=penalty)
    x = stem(x, conv=stem_conv, pool=pool, padding=padding)
    for stage, modules in enumerate(MODULES, start=1):
        for i, widths in enumerate(modules, start=1):
            x = module(x, widths, conv=conv, name=f"stage{stage}_block{i}")
        if stage < len(MODULES):
            x = pool(x, name=f"stage{stage}_pool")
    return x


def two_dense_head(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = conv.dense(conv.drop(x, name="head_dropout"), 1000, name="head_dense")
    return classify(x, units, activation, conv=conv)


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
    differences="Local response normalisation with Caffe's constants (k = 1, alpha "
    "1e-4 / 5); the two auxiliary classifiers are not drawn.",
)

TWO_DENSE = replace(
    INCEPTION_V1,
    name="inception_v1_two_dense",
    trunk=partial(trunk, pool=same_max_pool, padding="same", stem_penalty=5e-4),
    head=two_dense_head,
    parameters=7_999_552,
    macs=None,
    differences='TensorFlow\'s "same" padding, an L2 penalty of 5e-4 on the stem, and a '
    "linear dense layer of 1000 units before the classifier; no auxiliary classifiers.",
)

SPECS = [INCEPTION_V1, TWO_DENSE]
