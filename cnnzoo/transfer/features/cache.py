"""What the front of a network makes of images, computed once and kept in a folder.

A folder for each way to compute: the weights of the front, the cut, the preprocessing,
the image size and the type of numbers are in its name. In it a row belongs to the
content of an image, so that images which are added, renamed or altered cost only
themselves.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.augment import Augment
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.spec import Preprocess
from cnnzoo.system import files
from cnnzoo.transfer.features import shards
from cnnzoo.transfer.features.extractor import (
    Dtype,
    Extractor,
    changes_of,
    way_of,
)

Progress = Callable[[int, int], None]
ON_DISK = 16 << 30  # bytes that a cache may add, unless more are asked for
IN_MEMORY = 1 << 30  # bytes; a larger cache is read from the disk row by row
ORDER = 7  # of the rows in files: mixed, since folders have them class by class


class FeatureCache:
    """The output of a cut for every image of a set, and for random views of it.

    Attributes:
        folder: of the files.
        shape: of a row.
        views: how many rows an image has: the image as it is, then random views.
        computed: how many rows were computed when this was made.
        reused: how many were there.
        rejected: files that were damaged, with reasons; their rows were computed again.
    """

    def __init__(
        self,
        folder: Path,
        keys: Sequence[Sequence[str]],
        whole: Sequence[shards.Shard],
        *,
        computed: int,
        rejected: Sequence[str],
        memory: int,
    ):
        """Use `build`.

        Args:
            keys: of each image, a key a view.
        """
        self.folder = folder
        self.views = len(keys[0])
        self.computed = computed
        self.reused = len(keys) * self.views - computed
        self.rejected = tuple(rejected)
        self._reader = shards.Reader()
        self._files = [shard.path for shard in whole]
        place = {
            key: (number, row)
            for number, shard in enumerate(whole)
            for row, key in enumerate(shard.keys)
        }
        self._places = np.array([[place[key] for key in own] for own in keys])
        first = self._read(self._places[:1, 0])
        self.shape = first.shape[1:]
        fits = first.nbytes * self._places[..., 0].size <= memory
        self._held = self._read(self._places.reshape(-1, 2)) if fits else None
        if fits:
            self._reader.close()

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, images: np.ndarray, views: np.ndarray | int = 0) -> np.ndarray:
        """(k, ...) float32: the rows of these images, (k,) numbers, each in its view."""
        if self._held is not None:
            return self._held[images * self.views + views].astype(np.float32)
        return self._read(self._places[images, views]).astype(np.float32)

    def _read(self, places: np.ndarray) -> np.ndarray:
        """Rows by (file, row), (k, 2), in this order."""
        result: np.ndarray | None = None
        for number in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == number)
            rows = self._reader.rows(self._files[number], places[mine, 1])
            if result is None:
                result = np.empty((len(places), *rows.shape[1:]), rows.dtype)
            result[mine] = rows
        assert result is not None
        return result

    @classmethod
    def build(
        cls,
        model: keras.Model,
        source: Source,
        cut: str,
        folder: str | Path,
        *,
        preprocessing: Preprocess | None = None,
        augment: Augment | None = None,
        views: int = 1,
        seed: int = 0,
        dtype: Dtype = "float32",
        batch_size: int = 32,
        memory: int = IN_MEMORY,
        disk: int = ON_DISK,
        progress: Progress | None = None,
    ) -> FeatureCache:
        """Computes what is not there yet; what a kill leaves of it is used the next time.

        Args:
            model: of which the part up to `cut` is computed, at inference.
            source: the images; labels are not asked.
            cut: a name of `cuts(model)`.
            folder: for this and other caches; made if missing.
            preprocessing: what pixels go through in front of the model.
            augment: how an image changes in the views after the first.
            views: how many versions of each image; the first is the image itself.
            seed: of the changes.
            dtype: of the numbers in files; float16 takes half the room.
            batch_size: images a step.
            memory: bytes up to which all rows are held in memory.
            disk: bytes that may be added to the folder.
            progress: is told how many rows are there, and how many there are to be.

        Raises:
            UsageError: there is no such cut, views without changes, more bytes than
                `disk` or than are free, or numbers that float16 cannot hold.
            DatasetError: there are no images, or a file has changed since the scan.
            ImageDecodeError: a file is no readable image.
            SaveError: a file cannot be written; those that are there stay.
        """
        _check_views(augment, views)
        if len(source) == 0:
            raise DatasetError("features are of images, and there are none; give some")
        place = Path(folder) / way_of(model, cut, preprocessing, dtype)
        files.make_folder(place)
        whole, rejected = shards.found(place)
        for line in rejected:
            shards.remove(place, line.partition(":")[0])
        shards.tidy(place)
        sums = source.content_keys()
        tag = changes_of(augment, seed) if views > 1 else ""
        keys = [[one, *(f"{one}{tag}{view}" for view in range(1, views))] for one in sums]
        known = {key for shard in whole for key in shard.keys}
        todo = _missing(keys, known)
        extractor = Extractor(
            model, source, cut, preprocessing, augment, seed, dtype, batch_size
        )
        _check_room(place, len(todo) * extractor.row_bytes, disk)
        total = len(keys) * views
        done = total - len(todo)
        for own, rows in extractor.rows(todo):
            whole.append(shards.write(place, own, rows))
            done += len(own)
            if progress is not None:
                progress(done, total)
        return cls(
            place,
            keys,
            whole,
            computed=len(todo),
            rejected=rejected,
            memory=memory,
        )


class CachedBatches(keras.utils.PyDataset):
    """Cached rows and their labels batch by batch, in an order of each epoch's own.

    Each image shows one of its views, drawn anew each epoch. A batch depends on the
    seed, the epoch and its number alone.
    """

    def __init__(
        self,
        cache: FeatureCache,
        labels: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        weights: dict[int, float] | None = None,
    ):
        """Args:
        cache: of the rows.
        labels: (n,) integers.
        batch_size: rows a step.
        shuffle: whether an epoch has an order of its own.
        seed: of the orders.
        weights: what each class counts in a loss that is judged; None for all alike.
        """
        super().__init__()
        self._cache, self._labels = cache, labels
        self._weights: np.ndarray | None = None
        if weights is not None:
            self._weights = np.array([weights.get(k, 1.0) for k in labels.tolist()])
        self._batch_size, self._shuffle, self._seed = batch_size, shuffle, seed
        self.begin(0)

    def __len__(self) -> int:
        return -(-len(self._cache) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        start = index * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        rows = self._cache.rows(chosen, self._views[chosen])
        if self._weights is None:
            return rows, self._labels[chosen]
        return rows, self._labels[chosen], self._weights[chosen]

    def begin(self, epoch: int, logs: dict | None = None) -> None:
        """Orders the rows for an epoch, from 0; it is a callback's `on_epoch_begin`."""
        count = len(self._cache)
        self._order, self._views = np.arange(count), np.zeros(count, int)
        if self._shuffle:
            rng = np.random.default_rng([self._seed, epoch])
            self._order = rng.permutation(count)
            self._views = rng.integers(0, self._cache.views, count)


def _missing(
    keys: Sequence[Sequence[str]], known: set[str]
) -> list[tuple[str, int, int]]:
    """Key, image and view of the rows that are not there, each key once, mixed."""
    todo = {
        key: (key, image, view)
        for image, own in enumerate(keys)
        for view, key in enumerate(own)
        if key not in known
    }
    rows = list(todo.values())
    return [rows[i] for i in np.random.default_rng(ORDER).permutation(len(rows))]


def _check_views(augment: Augment | None, views: int) -> None:
    """Raises UsageError for views that nothing makes."""
    if views < 1 or (views > 1 and (augment is None or not augment.random)):
        raise UsageError(
            f"cannot cache {views} views of each image: expected 1, or more with an "
            "augment that changes images at random, so pass one"
        )


def _check_room(place: Path, wanted: int, most: int) -> None:
    """Raises UsageError where so many bytes are too many for a folder."""
    free = shutil.disk_usage(place).free
    if wanted > min(most, free):
        raise UsageError(
            f"features would add {wanted / 1e9:.1f} GB to {place}, of which "
            f"{free / 1e9:.1f} GB are free and disk= allows {most / 1e9:.1f}; freeze up "
            "to a deeper cut, take fewer views, or give more room"
        )
