"""A twin of a network with random weights: what its shape alone is worth."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import layers

from cnnzoo.data.pipeline import Source
from cnnzoo.spec import Preprocess
from cnnzoo.transfer.batch_norm import measure
from cnnzoo.transfer.embeddings import images_of

CALIBRATED = 64  # images, on which the twin's statistics are measured


def calibrated_twin(
    model: keras.Model, source: Source, preprocessing: Preprocess | None, seed: int
) -> keras.Model:
    """`random_twin`, with the statistics of some images of a source."""
    spread = np.linspace(0, len(source) - 1, min(len(source), CALIBRATED)).astype(int)
    some = images_of(model, source.take(spread), preprocessing)
    return random_twin(model, np.concatenate(list(some)), seed)


def random_twin(model: keras.Model, images: np.ndarray, seed: int) -> keras.Model:
    """The same graph with weights drawn anew, and BN statistics of one batch.

    Keras's own random state is neither used nor changed.

    Args:
        images: (b, ...) as the model takes them, to measure the statistics on.
    """
    plain = keras.Model(model.inputs[0], model.outputs[0])  # of which nothing is compiled
    twin = keras.models.clone_model(plain, clone_function=_without_draws)
    rng = np.random.default_rng(seed)
    for old, new in zip(model.weights, twin.weights, strict=True):
        new.assign(_drawn(old, rng))
    measure(twin, [images])
    return twin


def _without_draws(layer: keras.Layer) -> keras.Layer:
    """A layer that draws nothing when it is made: its weights are assigned later."""
    config = layer.get_config() | {"trainable": True}  # or statistics would stay
    if isinstance(layer, layers.Dropout | layers.SpatialDropout2D):
        config |= {"rate": 0.0, "seed": 0}
    for name in config:
        if name.endswith("_initializer"):
            config[name] = "zeros"
    return type(layer).from_config(config)


def _drawn(weight: keras.Variable, rng: np.random.Generator) -> np.ndarray:
    """He's normal draw for kernels; scales and variances 1; what else there is, as it was
    when a layer is made: 0, or a quarter for the slopes of PReLU."""
    shape = tuple(weight.shape)
    if weight.name.endswith("kernel") and len(shape) > 1:
        inputs = math.prod(shape[:-1])
        return rng.normal(0, math.sqrt(2 / inputs), shape).astype(np.float32)
    start = {"gamma": 1.0, "moving_variance": 1.0, "alpha": 0.25}
    return np.full(shape, start.get(weight.name, 0.0), np.float32)
