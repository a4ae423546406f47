"""How the rows of a feature cache are computed, and how they are identified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from time import monotonic
from typing import Literal

import keras
import numpy as np
import PIL
from keras import ops

from cnnzoo.data.arrays import Source
from cnnzoo.data.augment import Augment
from cnnzoo.data.pipeline import fixed_shape, load_images
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.data.transforms import apply_augment
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.inference import images_per_batch
from cnnzoo.metadata import geometry_of
from cnnzoo.spec import Preprocess
from cnnzoo.train.recipe import augment_to_dict
from cnnzoo.transfer.cut_points import find_cut, front

Dtype = Literal["float16", "float32"]
SHARD = 1 << 26  # approximate bytes per file
ROWS = 50_000  # maximum rows per file
BATCH = 32  # images by default, since each batch is filled
SECONDS = 30.0  # after which finished rows are written; the most that a kill can lose
# Settings of a layer that do not change its outputs for given weights; Keras generates
# names and seeds anew in every process.
IRRELEVANT = ("name", "_initializer", "_regularizer", "_constraint", "seed", "trainable")


@dataclass
class Extractor:
    """Computes rows of a cache: the features of images, or of views of them.

    The attributes are the arguments of `FeatureCache.build`.
    """

    model: keras.Model
    source: Source
    cut: str
    preprocessing: Preprocess | None
    augment: Augment | None
    seed: int
    dtype: Dtype
    batch_size: int | None

    def __post_init__(self):
        shape = to_channels_last(self.model, self.model.input_shape[1:])
        self.source = self.source.with_geometry(geometry_of(self.model))
        if self.source.image_shape is not None:
            self.source = load_images(self.source, shape)
        self._size = self.source.image_shape or shape
        size = images_per_batch(self.batch_size, self.model, self.source)
        self._batch = size if self.batch_size else min(BATCH, size)
        self._front = front(self.model, [self.cut])
        self._first = channels_first(self.model)

    @property
    def row_bytes(self) -> int:
        """The size of a row in a file, in bytes."""
        shape = self._front.output_shape[1:]
        return int(np.prod(shape)) * np.dtype(self.dtype).itemsize

    def rows(
        self, todo: Sequence[tuple[str, int, int]]
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yields the keys and rows of one file at a time.

        Args:
            todo: Key, image and view of each row.
        """
        keys: list[str] = []
        rows: list[np.ndarray] = []
        begun = monotonic()
        for start in range(0, len(todo), self._batch):
            batch = todo[start : start + self._batch]
            keys += [key for key, _, _ in batch]
            rows.append(self._compute(batch))
            full = sum(row.nbytes for row in rows) >= SHARD or len(keys) >= ROWS
            if full or monotonic() - begun > SECONDS:
                yield keys, np.concatenate(rows)
                keys, rows, begun = [], [], monotonic()
        if keys:
            yield keys, np.concatenate(rows)

    def _compute(self, batch: Sequence[tuple[str, int, int]]) -> np.ndarray:
        images = self._pixels(batch)
        if any(view for _, _, view in batch):
            images = np.stack(
                [
                    self._view(pixels, key, view)
                    for pixels, (key, _, view) in zip(images, batch, strict=True)
                ]
            )
        if self.preprocessing is not None:
            images = preprocess_input(images, self.preprocessing)
        if self._first:
            images = np.moveaxis(images, -1, 1)
        # All batches have one size, since another size may round differently.
        full = np.resize(images, (self._batch, *images.shape[1:]))
        output = np.asarray(self._front.predict_on_batch(full))[: len(images)]
        with np.errstate(over="ignore"):
            rows = output.astype(self.dtype)
        if not np.isfinite(rows).all():
            raise UsageError(
                f"features at {self.cut!r} are up to {np.abs(output).max():.3g}, which "
                f"{self.dtype} cannot hold; pass dtype='float32', or finite weights"
            )
        return rows

    def _pixels(self, batch: Sequence[tuple[str, int, int]]) -> np.ndarray:
        rows = np.array([row for _, row, _ in batch])
        height, width, channels = fixed_shape(self._size)
        images = self.source.load(rows, (height, width), channels)
        self.source.check_unchanged(rows, [key for key, _, _ in batch])
        return images

    def _view(self, pixels: np.ndarray, key: str, view: int) -> np.ndarray:
        """A view of an image, whose changes depend on the content of the image."""
        if not view or self.augment is None:
            return pixels.astype(np.float32)
        number = int(key[:8], 16)
        return apply_augment(pixels[None], self.augment, self.seed, view, number)[0]


def augment_key(augment: Augment | None, seed: int) -> str:
    """A text that identifies the changes of images in their views."""
    settings = json.dumps([augment and augment_to_dict(augment), seed])
    return f"-{hashlib.sha256(settings.encode()).hexdigest()[:16]}-"


def folder_name(
    model: keras.Model, cut: str, preprocessing: Preprocess | None, dtype: Dtype
) -> str:
    """A name that identifies the computation: equal names mean equal rows.

    Raises:
        UsageError: There is no such cut.
    """
    find_cut(model, cut)
    part = front(model, [cut])
    order = graph_nodes(part)
    place = {id(t): i for i, node in enumerate(order) for t in node.outputs}
    graph = [
        [
            type(node.operation).__name__,
            _settings(node.operation),
            _constants(node),
            [place[id(tensor)] for tensor in node.input_tensors],
        ]
        for node in order
    ]
    rule = [
        str(model.input_shape),
        preprocessing and asdict(preprocessing),
        str(geometry_of(model)),
        dtype,
        keras.backend.backend(),
        PIL.__version__,
        version("cnnzoo"),
    ]
    hashed = hashlib.sha256(json.dumps([graph, rule]).encode())
    for weight in part.weights:
        hashed.update(ops.convert_to_numpy(weight.value).tobytes())
    return f"{cut[:40]}-{hashed.hexdigest()[:24]}"


def _constants(node) -> list[str]:
    """Arguments of an operation other than tensors, such as the 255 of `x / 255`."""
    every = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    return [
        repr(np.asarray(one).tolist())
        for one in every
        if not isinstance(one, keras.KerasTensor)
    ]


def _settings(operation: keras.Operation) -> list[str]:
    if isinstance(operation, keras.Layer):
        config = operation.get_config()
    else:
        plain = (bool, int, float, str, tuple, list, type(None))
        config = {n: v for n, v in vars(operation).items() if isinstance(v, plain)}
    return [
        f"{name}={value!r}"
        for name, value in sorted(config.items())
        if not name.endswith(IRRELEVANT)
    ]
