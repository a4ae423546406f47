"""The images of a folder as arrays: batch by batch, or all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np

from cnnzoo.data.arrays import Images
from cnnzoo.data.decode import check_target, decode
from cnnzoo.data.images import Folder
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.errors import ImageDecodeError, UsageError
from cnnzoo.spec import Preprocess


class Batches(keras.utils.PyDataset):
    """Decodes a folder batch by batch, for `fit`, `evaluate` and `predict`.

    A batch is (b, h, w, c) images, uint8 or preprocessed, and (b,) labels, or what
    `adapt` makes of these; the last one may be smaller. The order depends on `seed` and
    `epoch` alone if `fit` is told `shuffle=False`; without it Keras also shuffles the
    order of the batches.

    Attributes:
        epoch: the number of the pass to come or under way, from 0. It grows by one when
            Keras ends a pass; set it to resume.
        fault: the error of the last file that could not be decoded, since TensorFlow
            turns it into one of its own.
    """

    def __init__(
        self,
        folder: Folder,
        size: tuple[int, int],
        channels: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        preprocessing: Preprocess | None = None,
        adapt: Callable[..., tuple] | None = None,
    ) -> None:
        """Sets up the batches; no file is read yet.

        Args:
            folder: the images.
            size: height and width, in pixels.
            channels: 1 or 3.
            batch_size: images a batch, at least 1.
            shuffle: a new order each epoch; otherwise the folder's order.
            seed: of the orders, at least 0.
            preprocessing: what the pixels go through; None leaves them uint8.
            adapt: takes the images and labels of a batch and returns what a model
                takes.

        Raises:
            UsageError: an argument is out of its range.
        """
        super().__init__()
        check_target(size, channels)
        if batch_size < 1 or seed < 0:
            raise UsageError(
                f"cannot make batches of {batch_size} images with seed {seed}: "
                "expected at least 1 image and a seed of at least 0, so pass such "
                "numbers"
            )
        self.folder = folder
        self.size = size
        self.channels = channels
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.preprocessing = preprocessing
        self.adapt = adapt
        self.fault: ImageDecodeError | None = None
        self._under_way = False
        self.epoch = 0

    @property
    def epoch(self) -> int:
        """The number of the pass to come or under way, from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        count = len(self.folder)
        rng = np.random.default_rng([self.seed, epoch])
        self._order = rng.permutation(count) if self.shuffle else np.arange(count)

    def __len__(self) -> int:
        return math.ceil(len(self.folder) / self.batch_size)

    def __getitem__(self, index: int) -> tuple:
        """Decodes batch `index` of the epoch.

        Raises:
            ImageDecodeError: a file cannot be decoded.
        """
        start = index * self.batch_size
        batch = self.folder.take(self._order[start : start + self.batch_size])
        try:
            images = _decode_all(batch, self.size, self.channels)
        except ImageDecodeError as error:
            self.fault = error
            raise
        if self.preprocessing is not None:
            images = preprocess_input(images, self.preprocessing)
        if self.adapt is not None:
            return self.adapt(images, batch.labels)
        return images, batch.labels

    def on_epoch_begin(self) -> None:
        """Notes that a pass is under way; Keras calls it."""
        self._under_way = True

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch; Keras calls it."""
        # Keras also calls it before the first pass, and twice around validation.
        if self._under_way:
            self.epoch += 1
        self._under_way = False


@contextmanager
def own_errors(*inputs: object) -> Iterator[None]:
    """Lets the error of a bad file through as it was, whatever the backend made of it.

    Args:
        inputs: what `fit` or `predict` is given; those that are `Batches` count.
    """
    try:
        yield
    except Exception as error:
        for batches in inputs:
            if isinstance(batches, Batches) and batches.fault is not None:
                raise batches.fault from error
        raise


def load(folder: Folder, size: tuple[int, int], channels: int) -> Images:
    """Decodes a whole folder into memory.

    Args:
        folder: the images.
        size: height and width, in pixels.
        channels: 1 or 3.

    Raises:
        ImageDecodeError: a file cannot be decoded.
        UsageError: `size` or `channels` is impossible.
    """
    check_target(size, channels)
    images = _decode_all(folder, size, channels)
    return Images(images, folder.labels, folder.class_names)


def _decode_all(folder: Folder, size: tuple[int, int], channels: int) -> np.ndarray:
    images = np.empty((len(folder), *size, channels), np.uint8)
    for row, path in enumerate(folder.paths):
        images[row] = decode(path, size, channels)
    return images
