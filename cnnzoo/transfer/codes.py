"""What the cuts of a network see of images, pooled to vectors: one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from cnnzoo.built import Built
from cnnzoo.data.batches import own_errors
from cnnzoo.data.source import Source, feed
from cnnzoo.heads import window
from cnnzoo.nodes import channels_first, rows_first
from cnnzoo.transfer.cuts import front

BATCH = 32
PIXELS = 16  # the side that raw images are shrunk to for a probe of pixels alone


def codes(
    model: keras.Model,
    names: Sequence[str],
    source: Source,
    batch_size: int = BATCH,
    noted: keras.Model | None = None,
) -> dict[str, np.ndarray]:
    """(n, d) float32 for each cut, in the order of the source.

    Args:
        noted: the model that knows how images are preprocessed; None for this one.
    """
    sight = front(model, list(names))
    inputs = inputs_of(noted or model, source, batch_size)
    rows: list[list[np.ndarray]] = []
    with own_errors(inputs):
        for images in batches(inputs, len(source), batch_size):
            outputs = sight.predict_on_batch(images)
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            rows.append([pooled(rows_last(model, output)) for output in outputs])
    columns = zip(*rows, strict=True)
    return {name: np.concatenate(c) for name, c in zip(names, columns, strict=True)}


def inputs_of(model: keras.Model, source: Source, batch_size: int = BATCH):
    """The images as the model takes them: an array, or batches."""
    built = getattr(model, "cnnzoo", None)
    inputs, _ = feed(
        source,
        rows_first(model, model.input_shape[1:]),
        batch_size,
        preprocessing=built.outside if isinstance(built, Built) else None,
        channels_first=channels_first(model),
    )
    return inputs


def batches(inputs: Any, count: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yields the images of `inputs_of`, batch by batch."""
    if isinstance(inputs, np.ndarray):
        for start in range(0, count, batch_size):
            yield inputs[start : start + batch_size]
    else:
        for index in range(len(inputs)):
            yield inputs[index][0]


def rows_last(model: keras.Model, output: np.ndarray) -> np.ndarray:
    """Maps as (b, h, w, c), whatever the model's layout; vectors as they are."""
    if output.ndim == 4 and channels_first(model):
        return np.moveaxis(output, 1, -1)
    return output


def pooled(output: np.ndarray) -> np.ndarray:
    """(b, h, w, c) maps as the means of their quarters, (b, 4 c); vectors as they are.

    It is what the head of `cnnzoo.build(..., cut=)` sees.
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
    """(n, h, w, c) images as means over a grid of 16 x 16, (n, 256 c): no network."""
    rows, columns = (
        np.array_split(np.arange(side), min(PIXELS, side)) for side in images.shape[1:3]
    )
    images = images.astype(np.float32)
    bands = np.stack([images[:, row].mean(1) for row in rows], 1)
    fields = np.stack([bands[:, :, column].mean(2) for column in columns], 2)
    return fields.reshape(len(images), -1)
