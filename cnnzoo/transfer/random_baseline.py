"""A copy of a network with random weights, to measure the value of trained weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers

from cnnzoo.data.arrays import Source
from cnnzoo.spec import Preprocess
from cnnzoo.transfer.batch_norm import measure, training_batches

CALIBRATED = 64  # images for the statistics of batch normalization


def build_random_baseline(
    model: keras.Model, source: Source, preprocessing: Preprocess | None, seed: int
) -> keras.Model:
    """A copy with random weights, and batch statistics of some images of a source."""
    spread = np.linspace(0, len(source) - 1, min(len(source), CALIBRATED)).astype(int)
    images = training_batches(model, source.take(spread), preprocessing)
    return copy_with_random_weights(model, images, seed)


def copy_with_random_weights(
    model: keras.Model, batches: Iterable[np.ndarray], seed: int
) -> keras.Model:
    """The same graph with random weights, and batch statistics of some images.

    Keras's own random state is neither used nor changed.

    Args:
        model: Functional model.
        batches: (b, ...) images as the model takes them, to measure the statistics on.
        seed: Random seed of the weights.
    """
    plain = keras.Model(model.inputs[0], model.outputs[0])  # not compiled
    copy = keras.models.clone_model(plain, clone_function=_without_draws)
    rng = np.random.default_rng(seed)
    for old, new in zip(model.weights, copy.weights, strict=True):
        new.assign(_draw(old, rng))
    measure(copy, batches)
    return copy


def _without_draws(layer: keras.Layer) -> keras.Layer:
    """A copy of a layer without random initial weights, which are assigned later."""
    # Layers that are not trainable would not update statistics.
    config = layer.get_config() | {"trainable": True}
    if isinstance(layer, layers.Dropout | layers.SpatialDropout2D):
        config |= {"rate": 0.0, "seed": 0}
    for name in config:
        if name.endswith("_initializer"):
            config[name] = "zeros"
    return type(layer).from_config(config)


def _draw(weight: keras.Variable, rng: np.random.Generator) -> np.ndarray:
    """He-normal values for kernels, 1 for scales and variances, 0.25 for the slopes of
    PReLU, 0 for the rest."""
    shape = tuple(weight.shape)
    if weight.name.endswith("kernel") and len(shape) > 1:
        inputs = math.prod(shape[:-1])
        return rng.normal(0, math.sqrt(2 / inputs), shape).astype(np.float32)
    start = {"gamma": 1.0, "moving_variance": 1.0, "alpha": 0.25}
    return np.full(shape, start.get(weight.name, 0.0), np.float32)
