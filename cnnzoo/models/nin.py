"""Network in Network: 1x1 convolutions after every other, and no dense layer at all.

Lin, Chen & Yan 2013, https://arxiv.org/abs/1312.4400. A convolution and two of 1x1 make
one "mlpconv"; the last one has one map per class, whose mean, after its ReLU, goes into
the softmax. That last convolution depends on the classes, so it stands in the head here,
as `head_conv`.

The paper's figure 2 has no widths. They are those of the authors' files: `nin_cifar10`
and `nin_mnist` of those for cuda-convnet (max-pooling twice; a file for Caffe has an
average in the second place), `nin` of the ImageNet network in Caffe's model zoo. Not
verified: where `nin_mnist` has dropout and what it is fed, and that all weights of `nin`
start with the deviation of the others.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor, layers

from cnnzoo.layers.blocks import Activation, Block, Conv, chain, conv_relu
from cnnzoo.layers.heads import is_sigmoid
from cnnzoo.layers.initializers import normal
from cnnzoo.layers.pooling import Padding, ceil_max_pool, identity
from cnnzoo.spec import Paper, Preprocess, Spec, Stem, with_stem

# size of each mlpconv's first convolution, and the filters of all; the last lacks classes
CIFAR10 = ((5, (192, 160, 96)), (5, (192, 192, 192)), (3, (192, 192)))
MNIST = ((5, (96, 64, 48)), (5, (128, 96, 48)), (5, (128, 96)))
IMAGENET = (
    (11, (96, 96, 96)),
    (5, (256, 256, 256)),
    (3, (384, 384, 384)),
    (3, (1024, 1024)),
)


def trunk(
    x: KerasTensor,
    *,
    conv: Conv,
    mlpconvs: Sequence[tuple[int, tuple[int, ...]]],
    strides: int = 1,
    padding: Padding = "same",
    first_pool: Block = ceil_max_pool,
    dropped: Sequence[int] = (1, 2),
) -> KerasTensor:
    """Images (b, h, w, c) to features, halved after each mlpconv but the last.

    Args:
        mlpconvs: Size of each one's first convolution, and the filters of all.
        strides: Strides of the first convolution.
        padding: Padding of the first convolution.
        first_pool: What draws the pool after the first mlpconv.
        dropped: Stages that end in dropout.
    """
    for stage, (size, (first, *others)) in enumerate(mlpconvs, start=1):
        x = conv(
            x, first, size, strides=strides, padding=padding, name=f"stage{stage}_conv1"
        )
        strides, padding = 1, "same"  # of all that follow
        ones = [(f"conv{i}", width, 1) for i, width in enumerate(others, start=2)]
        x = chain(x, *ones, conv=conv, name=f"stage{stage}")
        if stage < len(mlpconvs):
            pool = first_pool if stage == 1 else ceil_max_pool
            x = pool(x, name=f"stage{stage}_pool")
        if stage in dropped:
            x = conv.drop(x, name=f"stage{stage}_dropout")
    return x


def map_head(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    """One map per class and its mean, (b, h, w, c) to (b, units).

    The ReLU of the maps is left out before a sigmoid, which could not fall below one
    half after it.
    """
    draw = conv.linear if is_sigmoid(activation) else conv
    x = draw(x, units, 1, name="head_conv")
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    return layers.Activation(activation, name="predictions")(x)


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels, whose first convolution has stride 1
    and the first mlpconv no pool after it."""
    return with_stem(spec, stem, strides=1, first_pool=identity)


NIN = Spec(
    name="nin",
    family="nin",
    trunk=partial(trunk, mlpconvs=IMAGENET, strides=4, padding="valid", dropped=(3,)),
    head=map_head,
    conv=replace(conv_relu, dropout=0.5, kernel_initializer=normal(0.05)),
    input_shape=(224, 224, 3),
    classes=1000,
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 123.0)),
    paper=Paper("Network In Network", 2013, "https://arxiv.org/abs/1312.4400"),
    parameters=7_595_176,
    differences="As in Caffe's model zoo, since the paper has no network for ImageNet; "
    "the mean colour in place of Caffe's mean image.",
    configure=configure,
)

NIN_CIFAR10 = replace(
    NIN,
    name="nin_cifar10",
    trunk=partial(trunk, mlpconvs=CIFAR10),
    input_shape=(32, 32, 3),
    classes=10,
    preprocessing="samplewise",
    parameters=966_986,
    differences="Contrast is normalised image by image, as in the paper, but pixels are "
    "not whitened.",
    configure=None,
)

NIN_MNIST = replace(
    NIN_CIFAR10,
    name="nin_mnist",
    trunk=partial(trunk, mlpconvs=MNIST),
    input_shape=(28, 28, 1),
    preprocessing="unit",
    parameters=349_674,
    differences="The places of dropout and the preprocessing are not verified.",
)

SPECS = [NIN, NIN_CIFAR10, NIN_MNIST]
