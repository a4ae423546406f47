"""Batch normalisation's statistics, measured on the images at hand.

A network's own are those of the images that it was trained on. Where others differ from
them in light or contrast, the means and variances of theirs serve better (AdaBN, Li et
al. 2016, https://arxiv.org/abs/1603.04779), and cost a forward pass.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
from keras.layers import BatchNormalization

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.graph.keras_internals import flatten_layers
from cnnzoo.inference import input_batches
from cnnzoo.metadata import metadata_of
from cnnzoo.transfer import probes
from cnnzoo.transfer.cut_points import front
from cnnzoo.transfer.embeddings import embed, in_memory
from cnnzoo.transfer.freezing import freeze

ASKED = 500  # images, on which the statistics are measured, and the probe judges
BATCH = 64  # images, whose own statistics are averaged


def adapt_batch_norm(network: keras.Model, source: Source, cut: str, seed: int) -> bool:
    """Measures the statistics up to a cut anew, and keeps them if they serve better.

    The judge is the leave-one-out ridge probe at the cut; labels have no other part in
    it. On a network without batch normalisation nothing happens.

    Args:
        source: labelled images.
        seed: of which images are asked.

    Returns:
        Whether the network has the new statistics.
    """
    embedding_model = front(network, [cut])
    moving = [
        weight
        for norm in norms(embedding_model)
        for weight in (norm.moving_mean, norm.moving_variance)
    ]
    if not moving:
        return False
    asked = in_memory(network, source.take(some_rows(len(source), ASKED, seed)))
    mode, labels = metadata_of(network).outside, np.asarray(asked.labels)

    def accuracy() -> float:
        return probes.leave_one_out(
            embed(network, [cut], asked, mode)[cut], labels
        ).accuracy

    before = accuracy()
    start = [keras.ops.convert_to_numpy(weight.value).copy() for weight in moving]
    freeze(network, cut, norm="train")  # which turns dropout off
    measure(embedding_model, input_batches(network, asked, mode, BATCH))
    if accuracy() > before:
        return True
    for weight, value in zip(moving, start, strict=True):
        weight.assign(value)
    return False


def measure(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Sets the statistics of every batch normalisation to the means over the batches.

    Args:
        batches: (b, ...) images as the model takes them.
    """
    every = norms(model)
    momenta = [norm.momentum for norm in every]
    seen = 0
    try:
        for images in batches:
            for norm in every:
                norm.momentum = seen / (seen + len(images))
            model(images, training=True)
            seen += len(images)
    finally:
        for norm, momentum in zip(every, momenta, strict=True):
            norm.momentum = momentum


def norms(model: keras.Model) -> list[BatchNormalization]:
    """The batch normalisations of a model, and of the models in it."""
    return [
        layer
        for layer in flatten_layers([model])
        if isinstance(layer, BatchNormalization)
    ]
