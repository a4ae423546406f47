"""Embeddings: the outputs of a network's cuts, pooled to vectors in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Literal

import keras
import numpy as np

from cnnzoo.data.arrays import Images, Source
from cnnzoo.data.pipeline import load_images
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import data_format, to_channels_last
from cnnzoo.inference import input_batches
from cnnzoo.layers.heads import quarters
from cnnzoo.metadata import geometry_of
from cnnzoo.spec import Preprocess
from cnnzoo.transfer.cut_points import front

Pooling = Literal["avg"] | None  # of a map to a vector; None for its quarters
OnBatch = Callable[[int, float], None]  # called with images and seconds of each batch
PIXELS = 16  # side to which raw images are shrunk for a probe of the pixels alone


def embed(
    model: keras.Model,
    names: Sequence[str],
    source: Source,
    preprocessing: Preprocess | None,
    batch_size: int | None = None,
    on_batch: OnBatch = lambda images, seconds: None,
) -> dict[tuple[str, Pooling], np.ndarray]:
    """The (n, d) float32 embeddings by cut and pooling, in the order of the source.

    Maps are pooled as by `cnnzoo.build(..., cut=, pooling=)`: by quarters (None), and,
    where they have any, over the image ("avg"). Vectors are unchanged (None).

    Args:
        model: Functional model.
        names: Names of the cuts.
        source: Images, with or without labels.
        preprocessing: Preprocessing of the pixels before the model; None for none.
        batch_size: Number of images per batch; None as in `cnnzoo.evaluate`.
        on_batch: Called with the number of images of each batch, and the seconds of its
            forward pass.

    Raises:
        UsageError: An embedding is NaN or infinite.
    """
    layout = data_format(model)
    outputs = {}
    for name, x in zip(names, front(model, list(names)).outputs, strict=True):
        if len(x.shape) == 4:
            mean = keras.layers.GlobalAveragePooling2D(layout, name=f"{name}_mean")(x)
            x = quarters(x, name=f"{name}_quarters", data_format=layout)
            if x.shape != mean.shape:
                outputs[name, "avg"] = mean
        outputs[name, None] = x
    pooled = keras.Model(model.inputs[0], list(outputs.values()))
    batches = []
    for images in input_batches(pooled, source, preprocessing, batch_size):
        begun = perf_counter()
        batches.append(keras.tree.flatten(pooled.predict_on_batch(images)))
        on_batch(len(images), perf_counter() - begun)
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    found = {
        place: column.astype(np.float32)
        for place, column in zip(outputs, columns, strict=True)
    }
    for (name, _), values in found.items():
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


def pixels(images: np.ndarray) -> np.ndarray:
    """The means of (n, h, w, c) images over a grid of 16 x 16, (n, 256 c)."""
    rows, columns = (
        np.array_split(np.arange(side), min(PIXELS, side)) for side in images.shape[1:3]
    )
    images = images.astype(np.float32)
    bands = np.stack([images[:, row].mean(1) for row in rows], 1)
    fields = np.stack([bands[:, :, column].mean(2) for column in columns], 2)
    return fields.reshape(len(images), -1)
