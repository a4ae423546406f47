"""Embeddings: the outputs of a network's cuts, pooled to vectors in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from cnnzoo.data.arrays import Images, Source
from cnnzoo.data.pipeline import load_images
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import maps_channels_last, to_channels_last
from cnnzoo.inference import predict_batches
from cnnzoo.layers.heads import window
from cnnzoo.metadata import geometry_of
from cnnzoo.spec import Preprocess
from cnnzoo.transfer.cut_points import front

BATCH = 32
PIXELS = 16  # side to which raw images are shrunk for a probe of the pixels alone


def embed(
    model: keras.Model,
    names: Sequence[str],
    source: Source,
    preprocessing: Preprocess | None,
    batch_size: int = BATCH,
) -> dict[str, np.ndarray]:
    """The (n, d) float32 embeddings at each cut, in the order of the source.

    Args:
        model: Functional model.
        names: Names of the cuts.
        source: Images, with or without labels.
        preprocessing: Preprocessing of the pixels before the model; None for none.
        batch_size: Number of images per batch.

    Raises:
        UsageError: An embedding is NaN or infinite.
    """
    embedding_model = front(model, list(names))
    rows = [
        [pooled(maps_channels_last(model, output)) for output in outputs]
        for outputs in predict_batches(embedding_model, source, preprocessing, batch_size)
    ]
    columns = map(np.concatenate, zip(*rows, strict=True))
    found = dict(zip(names, columns, strict=True))
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise UsageError(
                f"model {model.name!r} gives NaN or infinity at {name}; its weights or "
                "the pixels are too large, so choose another model or cut"
            )
    return found


def in_memory(model: keras.Model, source: Source) -> Images:
    """The images at the model's size, read into memory once."""
    source = source.with_geometry(geometry_of(model))
    return load_images(source, to_channels_last(model, model.input_shape[1:]))


def pooled(output: np.ndarray) -> np.ndarray:
    """The means of the quarters of (b, h, w, c) maps, (b, 4 c); vectors are unchanged.

    The head of `cnnzoo.build(..., cut=)` has the same inputs.
    """
    output = np.asarray(output, np.float32)
    if output.ndim == 2:
        return output
    (height, down), (width, right) = map(window, output.shape[1:3])
    means = [
        output[:, top : top + height, left : left + width].mean((1, 2))
        for top in range(0, output.shape[1] - height + 1, down)
        for left in range(0, output.shape[2] - width + 1, right)
    ]
    return np.concatenate(means, 1)


def pixels(images: np.ndarray) -> np.ndarray:
    """The means of (n, h, w, c) images over a grid of 16 x 16, (n, 256 c)."""
    rows, columns = (
        np.array_split(np.arange(side), min(PIXELS, side)) for side in images.shape[1:3]
    )
    images = images.astype(np.float32)
    bands = np.stack([images[:, row].mean(1) for row in rows], 1)
    fields = np.stack([bands[:, :, column].mean(2) for column in columns], 2)
    return fields.reshape(len(images), -1)
