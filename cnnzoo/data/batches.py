"""Images batch by batch, for `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.augment import Augment
from cnnzoo.data.decode import check_target
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.data.transforms import apply_augment, check_channels, mixup as apply_mixup
from cnnzoo.errors import UsageError
from cnnzoo.spec import Preprocess
from cnnzoo.system.validation import (
    ABOVE_ZERO,
    AT_LEAST_ZERO,
    COUNT,
    check_values,
    optional,
)

MEMORY = 1 << 28  # maximum bytes of decoded images that are kept in memory

RULES = {
    "batch_size": COUNT,
    "steps": optional(COUNT),
    "seed": AT_LEAST_ZERO,
    "mixup": optional(ABOVE_ZERO),
}


class Batches(keras.utils.PyDataset):
    """Prepares images in batches for `fit`, `evaluate` and `predict`.

    A batch has images (b, h, w, c), as uint8, augmented or preprocessed, and labels (b,)
    if there are any, or the results of `adapt`; the last one may be smaller. It depends
    on `seed`, `epoch` and its number alone, so training can continue at any batch. This
    requires `fit(shuffle=False)`, since Keras otherwise shuffles the batches too.

    Attributes:
        epoch: Number of the current or next pass, from 0. It increases when Keras ends a
            pass; set it to resume.
        fault: Error of the last batch that failed, such as an ImageDecodeError, since
            TensorFlow replaces it by an error of its own.
    """

    def __init__(
        self,
        source: Source,
        shape: tuple[int, int, int],
        batch_size: int,
        *,
        steps: int | None = None,
        shuffle: bool,
        seed: int,
        augment: Augment | None = None,
        preprocessing: Preprocess | None = None,
        mixup: float | None = None,
        adapt: Callable[..., tuple] | None = None,
    ) -> None:
        """Sets up the batches; no file is read yet.

        Args:
            source: Images; those in memory have the shape already.
            shape: Height, width and channels of the images; 1 or 3 channels for files.
            batch_size: Number of images per batch.
            steps: Number of batches per epoch, which continues where the last one ended;
                None for all images.
            shuffle: Whether each pass has a new order, instead of the source's.
            seed: Random seed of the orders and of `augment`, at least 0.
            augment: Random changes of the pixels.
            preprocessing: Preprocessing of the pixels after `augment`.
            mixup: Alpha of `transforms.mixup`, for labels that can be blended.
            adapt: Function from images and labels to the inputs of a model.

        Raises:
            UsageError: An argument is out of its range, or does not fit the images.
        """
        super().__init__()
        if source.image_shape is None:
            check_target(shape[:2], shape[2])
        elif source.image_shape != shape:
            raise UsageError(
                f"cannot make batches of {shape} images: expected images in memory of "
                f"this shape, found {source.image_shape}, so resize them first"
            )
        given = {"batch_size": batch_size, "steps": steps, "seed": seed, "mixup": mixup}
        check_values("make batches", given, RULES)
        if augment is not None:
            check_channels(augment, shape[2])
        self.source = source
        self.batch_size = batch_size
        self._images = steps * batch_size if steps else len(source)  # per epoch
        self.shuffle = shuffle
        self.seed = seed
        self.augment = augment
        self.preprocessing = preprocessing
        self.mixup = mixup
        self.adapt = adapt
        self.fault: Exception | None = None
        self._read = _Reader(source, shape, MEMORY)
        self._under_way = False
        self.epoch = 0

    @property
    def epoch(self) -> int:
        """Number of the current or next pass, from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        count, start = len(self.source), epoch * self._images
        first, skipped = divmod(start, count) if count else (0, 0)
        passes = math.ceil((skipped + self._images) / count) if count else 1
        orders = [self._pass(number) for number in range(first, first + passes)]
        self._order = np.concatenate(orders)[skipped : skipped + self._images]

    def _pass(self, number: int) -> np.ndarray:
        """The order of the images in a pass over all of them, from 0."""
        if not self.shuffle:
            return np.arange(len(self.source))
        return np.random.default_rng([self.seed, number]).permutation(len(self.source))

    def __len__(self) -> int:
        return math.ceil(self._images / self.batch_size)

    def __getitem__(self, index: int) -> tuple:
        """Makes batch `index` of the epoch.

        Raises:
            ImageDecodeError: A file cannot be decoded.
        """
        rows = self._rows(index)
        labels = self.source.labels
        labels = None if labels is None else labels[rows]
        try:
            images = self._read(rows)
            if self.augment is not None:
                images = apply_augment(images, self.augment, self.seed, self.epoch, index)
            if self.preprocessing is not None:
                images = preprocess_input(images, self.preprocessing)
        except Exception as error:
            self.fault = error
            raise
        if self.mixup is not None and labels is not None:
            images, labels = apply_mixup(
                images, labels, self.mixup, self.seed, self.epoch, index
            )
        if self.adapt is not None:
            images, labels = self.adapt(images, labels)
        return (images,) if labels is None else (images, labels)

    def image_names(self, index: int) -> list[str]:
        """Names of the images in batch `index` of the epoch."""
        return self.source.names_of(self._rows(index))

    def _rows(self, index: int) -> np.ndarray:
        start = index * self.batch_size
        return self._order[start : start + self.batch_size]

    def on_epoch_begin(self) -> None:
        """Records that a pass has begun; called by Keras."""
        self._under_way = True

    def on_epoch_end(self) -> None:
        """Advances to the next epoch; called by Keras."""
        # Keras also calls it before the first pass, and twice around validation.
        if self._under_way:
            self.epoch += 1
        self._under_way = False


@contextmanager
def own_errors(*inputs: object) -> Iterator[None]:
    """Raises the original error of a batch instead of the backend's error.

    Args:
        inputs: Arguments of `fit` or `predict`, of which only `Batches` are used.
    """
    fed = [batches for batches in inputs if isinstance(batches, Batches)]
    for batches in fed:
        batches.fault = None
    try:
        yield
    except Exception as error:
        for batches in fed:
            if batches.fault not in (None, error):
                raise batches.fault from error
        raise


class _Reader:
    """Loads images of a source, and keeps the first ones that fit into memory.

    A few hundred photographs fit entirely, so that each is decoded once. Images that are
    already in memory are not kept twice.
    """

    def __init__(self, source: Source, shape: tuple[int, int, int], memory: int):
        self._load = partial(source.load, size=shape[:2], channels=shape[2])
        fits = min(len(source), memory // int(np.prod(shape)))
        count = fits if source.image_shape is None else 0
        self._kept = np.empty((count, *shape), np.uint8)  # uses no memory until written
        self._is_kept = np.zeros(count, bool)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns (k, h, w, c), uint8: a new array of the images at `rows`."""
        small = rows < len(self._kept)
        known = np.zeros(len(rows), bool)
        known[small] = self._is_kept[rows[small]]
        if not known.any():
            images = self._load(rows)
        else:
            images = np.empty((len(rows), *self._kept.shape[1:]), np.uint8)
            images[known] = self._kept[rows[known]]
            images[~known] = self._load(rows[~known])
        new = small & ~known
        self._kept[rows[new]] = images[new]
        self._is_kept[rows[new]] = True  # last, since other threads may read it
        return images
