"""Statistics of batch normalization, measured on the images of a new data set.

A network has the statistics of the images that it was trained on. If other images differ
in light or contrast, their own means and variances work better (AdaBN, Li et al. 2016,
https://arxiv.org/abs/1603.04779); measuring them takes one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
from keras.layers import BatchNormalization

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.graph.keras_internals import flatten_layers
from cnnzoo.inference import images_per_batch, input_batches
from cnnzoo.metadata import metadata_of
from cnnzoo.spec import Preprocess
from cnnzoo.transfer.cut_points import front, side_by_side
from cnnzoo.transfer.features import probes
from cnnzoo.transfer.features.embeddings import embed, in_memory
from cnnzoo.transfer.freezing import freeze

FEWEST = 4  # images per batch, of which each layer's statistics are on the way
SAMPLED = 500  # images for measuring the statistics, and for the probe


def adapt_batch_norm(network: keras.Model, source: Source, cut: str, seed: int) -> bool:
    """Measures the statistics up to a cut again, and keeps them if they work better.

    They are compared by the ridge probe at the cut, which alone uses the labels. A
    network without batch normalization does not change.

    Args:
        network: Network to adapt, in place.
        source: Labelled images.
        cut: Name of the cut.
        seed: Random seed of the choice of images.

    Returns:
        Whether the network has the new statistics.
    """
    part = front(network, [cut])
    if not norms(part):
        return False
    sample = in_memory(network, source.take(some_rows(len(source), SAMPLED, seed)))
    mode, labels = metadata_of(network).outside, np.asarray(sample.labels)
    widths = side_by_side(network)

    def accuracy() -> float:
        embeddings = embed(network, [cut], sample, mode)[cut, None]
        return probes.probe(embeddings, labels, widths, seed).accuracy

    before, start = accuracy(), part.get_weights()
    freeze(network, cut, norm="train")  # also turns dropout off
    measure(part, training_batches(network, sample, mode))
    if accuracy() > before:
        return True
    part.set_weights(start)
    return False


def training_batches(
    model: keras.Model, source: Source, preprocessing: Preprocess | None
) -> Iterator[np.ndarray]:
    """Yields images for `measure`, which holds all their maps in memory at once."""
    size = max(FEWEST, images_per_batch(None, model, source))
    return input_batches(model, source, preprocessing, size)


def measure(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Sets the statistics of batch normalization to those of all images together.

    Each batch is normalized by its own statistics on its way. Layers that are not
    trainable keep theirs.

    Args:
        model: Model to change, in place.
        batches: (b, ...) images as the model takes them.
    """
    every = [norm for norm in norms(model) if norm.trainable]
    if not every:
        return
    momenta = [norm.momentum for norm in every]
    seen, sums = 0, [np.zeros(1)] * len(every)
    try:
        for norm in every:
            norm.momentum = 0.0  # statistics are those of the last batch
        for images in batches:
            model(images, training=True)
            seen += len(images)
            for i, norm in enumerate(every):
                mean, variance = map(_to_numpy, (norm.moving_mean, norm.moving_variance))
                sums[i] = sums[i] + len(images) * np.stack([mean, variance + mean**2])
    finally:
        for norm, momentum in zip(every, momenta, strict=True):
            norm.momentum = momentum
    for norm, total in zip(every, sums, strict=True):
        mean, square = total / seen
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(np.maximum(square - mean**2, 0))


def _to_numpy(weight: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight.value).astype(np.float64)


def norms(model: keras.Model) -> list[BatchNormalization]:
    """The batch normalization layers of a model, and of the models in it."""
    return [
        layer
        for layer in flatten_layers([model])
        if isinstance(layer, BatchNormalization)
    ]
