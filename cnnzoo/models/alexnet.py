"""AlexNet: the network that won ImageNet 2012, in Caffe's and torchvision's forms.

Krizhevsky, Sutskever & Hinton 2012, section 3. Five convolutions, three of them in two
groups (one per GPU), normalisation across maps, overlapping pools, wide dense layers.

`alexnet` is Caffe's `bvlc_alexnet`: 227 pixels, since 224 do not make the paper's 55x55
maps; normalisation with k = 1 and alpha / 5, where the paper has k = 2 and alpha; pools
that round up. Weights start as in the paper, normal with deviation 0.01, and biases of
convolutions at 0.1 (the paper: 1 in the second, fourth and fifth and in the hidden dense
layers, else 0). In Caffe the first and third convolution begin with 0, and the
hidden dense layers: deviation 0.005, biases 0.1. `caffenet` pools before it normalises,
and its biases are 1 in place of 0.1, in Caffe as here.

`alexnet_torchvision` is the network of https://arxiv.org/abs/1404.5997 as torchvision has
it: 224 pixels padded by 2, narrower, neither groups nor normalisation, dropout before
both hidden layers; its weights start as Keras's. Its adaptive pool to 6x6 does nothing at
224 pixels and is not drawn.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor, initializers

from cnnzoo.layers.blocks import Activation, Block, Conv, conv_relu, local_response_norm
from cnnzoo.layers.heads import classify, dense_head, flatten
from cnnzoo.layers.initializers import normal
from cnnzoo.layers.pooling import Padding, ceil_max_pool, identity, max_pool
from cnnzoo.spec import Paper, Preprocess, Spec, Stem, with_stem

floor_pool = partial(max_pool, size=3, strides=2)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    filters: Sequence[int] = (96, 256, 384, 384, 256),
    groups: Sequence[int] = (1, 2, 1, 2, 2),
    sizes: tuple[int, int] = (11, 5),
    strides: tuple[int, int] = (4, 1),
    padding: tuple[Padding, Padding] = ("valid", "same"),
    after_conv: Sequence[str] = ("lrn", "pool"),
    norm: Block = local_response_norm,
    pool: Block = ceil_max_pool,
    stem_pool: Block | None = None,
    final_pool: Block | None = None,
) -> KerasTensor:
    """Images (b, h, w, c) to features of about (b, h / 32, w / 32, filters[-1]).

    Args:
        filters, groups: Those of the five convolutions.
        sizes, strides, padding: Those of the first two; the others are 3x3.
        after_conv: What follows each of these two, in order: "lrn", "pool".
        norm, pool: What draws these.
        stem_pool, final_pool: What draws the pools after the first and the last
            convolution; None for `pool`.
    """
    pools = (stem_pool or pool, pool)
    for i, stage in enumerate(("stem", "stage1")):
        x = conv(
            x,
            filters[i],
            sizes[i],
            strides=strides[i],
            padding=padding[i],
            groups=groups[i],
            name=f"{stage}_conv",
        )
        for part in after_conv:
            draw = norm if part == "lrn" else pools[i]
            x = draw(x, name=f"{stage}_{part}")
    for i in (2, 3, 4):
        x = conv(x, filters[i], 3, groups=groups[i], name=f"stage2_conv{i - 1}")
    return (final_pool or pool)(x, name="stage2_pool")


def dropout_first_head(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    """Dropout stands before each hidden dense layer, none before the classifier."""
    x = flatten(x, name="head_flatten")
    for i in (1, 2):
        x = conv.drop(x, name=f"head_dropout{i}")
        x = replace(conv, dropout=0.0).hidden(x, 4096, name=f"head_dense{i}")
    return classify(x, units, activation, conv=conv)


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels, whose first convolution has stride 1
    and no pool after it."""
    return with_stem(spec, stem, strides=(1, 1), stem_pool=identity)


ALEXNET = Spec(
    name="alexnet",
    family="alexnet",
    trunk=trunk,
    head=partial(dense_head, hidden=(4096, 4096)),
    conv=replace(
        conv_relu,
        dropout=0.5,
        kernel_initializer=normal(0.01),
        bias_initializer=initializers.Constant(0.1),
    ),
    input_shape=(227, 227, 3),
    classes=1000,
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 123.0)),
    paper=Paper(
        "ImageNet Classification with Deep Convolutional Neural Networks",
        2012,
        "https://doi.org/10.1145/3065386",
    ),
    parameters=60_965_224,
    macs=724_406_816,
    differences="As Caffe's bvlc_alexnet: 227 pixels, normalisation with k = 1 and alpha "
    "1e-4 / 5; the mean colour in place of Caffe's mean image.",
    configure=configure,
)

CAFFENET = replace(
    ALEXNET,
    name="caffenet",
    trunk=partial(trunk, after_conv=("pool", "lrn")),
    conv=replace(ALEXNET.conv, bias_initializer="ones"),
    differences="As Caffe's bvlc_reference_caffenet: AlexNet with each normalisation "
    "behind its pool; the mean colour in place of Caffe's mean image.",
)

TORCH = replace(
    ALEXNET,
    name="alexnet_torchvision",
    trunk=partial(
        trunk,
        filters=(64, 192, 384, 256, 256),
        groups=(1, 1, 1, 1, 1),
        padding=(2, "same"),
        after_conv=("pool",),
        pool=floor_pool,
    ),
    head=dropout_first_head,
    conv=replace(conv_relu, dropout=0.5),
    input_shape=(224, 224, 3),
    preprocessing="torch",
    paper=Paper(
        "One weird trick for parallelizing convolutional neural networks",
        2014,
        "https://arxiv.org/abs/1404.5997",
    ),
    parameters=61_100_840,
    macs=714_188_480,
    differences="256 maps in the fourth convolution, where the paper has 384; no "
    "adaptive pool, which does nothing at 224 pixels.",
)

SPECS = [ALEXNET, CAFFENET, TORCH]
