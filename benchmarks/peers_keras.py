"""The networks as Keras users write them, with stock layers only.

`NETWORKS` has a function per catalog name, which builds the network for an image shape.
"""

from collections.abc import Sequence
from functools import partial

import keras
from keras import KerasTensor, layers

from benchmarks.tables import GOOGLENET

Shape = tuple[int, int, int]


def vgg(
    shape: Shape, classes: int, *, filters: Sequence[int], hidden: Sequence[int]
) -> keras.Model:
    """Four stages of convolution, BN and ReLU."""
    images = x = keras.Input(shape)
    for width, repeats in zip(filters, (2, 2, 3, 3), strict=True):
        for _ in range(repeats):
            x = layers.Conv2D(width, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for units in hidden:
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x))


def small_resnet(shape: Shape, classes: int) -> keras.Model:
    """Three stages of bottlenecks with PReLU and one slope per pixel."""
    images = keras.Input(shape)
    x = layers.ZeroPadding2D(3)(images)
    x = bn_prelu(layers.Conv2D(64, 7, 2)(x))
    x = layers.MaxPooling2D(3, 2)(x)
    for width, repeats, strides in ((64, 3, 1), (128, 4, 2), (256, 6, 2)):
        x = bottleneck(x, width, strides, project=True)
        for _ in range(repeats - 1):
            x = bottleneck(x, width, 1, project=False)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x))


def bn_prelu(x: KerasTensor) -> KerasTensor:
    return layers.PReLU()(layers.BatchNormalization()(x))


def bottleneck(x: KerasTensor, width: int, strides: int, *, project: bool) -> KerasTensor:
    """(b, h, w, c) to (b, h / strides, w / strides, 4 * width)."""
    added = bn_prelu(layers.Conv2D(width, 1, strides)(x))
    added = bn_prelu(layers.Conv2D(width, 3, padding="same")(added))
    added = layers.BatchNormalization()(layers.Conv2D(4 * width, 1)(added))
    if project:
        x = layers.BatchNormalization()(layers.Conv2D(4 * width, 1, strides)(x))
    else:
        added = layers.PReLU()(added)
    return layers.PReLU()(layers.Add()([x, added]))


def googlenet(shape: Shape, classes: int) -> keras.Model:
    """GoogLeNet with TensorFlow's LRN and Caffe's constants."""
    images = keras.Input(shape)
    x = layers.ZeroPadding2D(3)(images)
    x = layers.Conv2D(64, 7, 2, activation="relu")(x)
    x = lrn(layers.MaxPooling2D(3, 2, "same")(x))
    x = layers.Conv2D(64, 1, activation="relu")(x)
    x = layers.Conv2D(192, 3, padding="same", activation="relu")(x)
    x = lrn(x)
    for stage in GOOGLENET:
        x = layers.MaxPooling2D(3, 2, "same")(x)
        for widths in stage:
            x = inception(x, *widths)
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x))


def lrn(x: KerasTensor) -> KerasTensor:
    import tensorflow as tf

    return layers.Lambda(
        partial(
            tf.nn.local_response_normalization,
            depth_radius=2,
            bias=1.0,
            alpha=1e-4 / 5,
            beta=0.75,
        )
    )(x)


def inception(
    x: KerasTensor,
    one: int,
    reduce3: int,
    three: int,
    reduce5: int,
    five: int,
    projection: int,
) -> KerasTensor:
    conv = partial(layers.Conv2D, padding="same", activation="relu")
    pooled = layers.MaxPooling2D(3, 1, "same")(x)
    branches = [
        conv(one, 1)(x),
        conv(three, 3)(conv(reduce3, 1)(x)),
        conv(five, 5)(conv(reduce5, 1)(x)),
        conv(projection, 1)(pooled),
    ]
    return layers.Concatenate()(branches)


def resnet50(shape: Shape, classes: int) -> keras.Model:
    return keras.applications.ResNet50(weights=None, input_shape=shape, classes=classes)


NETWORKS = {
    "small_vgg": partial(vgg, filters=(64, 128, 256, 512), hidden=(512,)),
    "very_small_vgg": partial(vgg, filters=(32, 64, 128, 256), hidden=(512, 512)),
    "small_resnet": small_resnet,
    "resnet50": resnet50,
    "inception_v1": googlenet,
}
