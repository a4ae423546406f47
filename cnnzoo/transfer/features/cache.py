"""Features of images at a cut, computed once and kept in a folder.

The name of a folder identifies the computation: weights, cut, preprocessing, geometry,
image size and data type. The key of a row depends on the content of the image, so that
only images that were added or changed are computed again, and renamed ones are not.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.augment import Augment
from cnnzoo.data.inputs.conversion import AnyImages, as_source
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.spec import Preprocess
from cnnzoo.system import files
from cnnzoo.transfer.features import shards
from cnnzoo.transfer.features.extractor import (
    Dtype,
    Extractor,
    augment_key,
    folder_name,
)

Progress = Callable[[int, int], None]
ON_DISK = 16 << 30  # bytes that a cache may add by default
IN_MEMORY = 1 << 30  # bytes; a larger cache is read from the disk row by row
ORDER = 7  # seed of the order of rows in files, since folders are sorted by class


class FeatureCache:
    """The output of a cut for every image of a set, and for random views of it.

    Attributes:
        folder: Folder of the files.
        shape: Shape of a row.
        views: Number of rows per image: the image as it is, then random views.
        computed: Number of rows that were computed by `build`.
        reused: Number of rows that were read from files.
        rejected: Damaged files with reasons; their rows were computed again.
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
            folder: Folder of the files.
            keys: Keys of each image, one per view.
            whole: Undamaged files with the rows.
            computed: Number of rows that were computed.
            rejected: Damaged files with reasons.
            memory: Bytes up to which all rows are held in memory.
        """
        self.folder = folder
        self.views = len(keys[0])
        self.computed = computed
        self.reused = len(keys) * self.views - computed
        self.rejected = tuple(rejected)
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

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, images: np.ndarray, views: np.ndarray | int = 0) -> np.ndarray:
        """The (k, ...) float32 rows of images by their (k,) numbers and views."""
        if self._held is not None:
            return self._held[images * self.views + views].astype(np.float32)
        return self._read(self._places[images, views]).astype(np.float32)

    def _read(self, places: np.ndarray) -> np.ndarray:
        """The rows at `places`, (k, 2) pairs of file and row, in this order."""
        result: np.ndarray | None = None
        for number in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == number)
            rows = shards.read(self._files[number], places[mine, 1])
            if result is None:
                result = np.empty((len(places), *rows.shape[1:]), rows.dtype)
            result[mine] = rows
        assert result is not None
        return result

    @classmethod
    def build(
        cls,
        model: keras.Model,
        source: AnyImages,
        cut: str,
        folder: str | Path,
        *,
        preprocessing: Preprocess | None = None,
        augment: Augment | None = None,
        views: int = 1,
        seed: int = 0,
        dtype: Dtype = "float32",
        batch_size: int | None = None,
        memory: int = IN_MEMORY,
        disk: int = ON_DISK,
        progress: Progress | None = None,
    ) -> FeatureCache:
        """Computes the missing rows; resumes after a kill.

        Args:
            model: Model whose part up to `cut` is computed, at inference.
            source: Images in any form that `cnnzoo.predict` takes.
            cut: Name of one of `cuts(model)`.
            folder: Folder for this and other caches; made if missing.
            preprocessing: Preprocessing of the pixels before the model.
            augment: Random changes of an image in the views after the first.
            views: Number of versions of each image; the first is the image itself.
            seed: Random seed of the changes.
            dtype: Data type in files; float16 takes half the space.
            batch_size: Number of images per batch; None for 32, or fewer large ones.
            memory: Bytes up to which all rows are held in memory.
            disk: Maximum number of bytes to add to the folder.
            progress: Function of the number of finished rows and of all rows.

        Raises:
            UsageError: There is no such cut, there are views without changes, too many
                bytes, or values out of the range of float16.
            DatasetError: There are no images, or a file has changed since the scan.
            ImageDecodeError: A file is not a readable image.
            SaveError: A file cannot be written; existing files are kept.
        """
        _check_views(augment, views)
        if len(source := as_source(source)) == 0:
            raise DatasetError("cannot compute features of no images; add some")
        place = Path(folder) / folder_name(model, cut, preprocessing, dtype)
        whole, rejected = _open(place)
        tag = augment_key(augment, seed) if views > 1 else ""
        keys = [_row_keys(key, tag, views) for key in source.content_keys()]
        todo = _missing(keys, {key for shard in whole for key in shard.keys})
        computing = Extractor(
            model, source, cut, preprocessing, augment, seed, dtype, batch_size
        )
        _check_room(place, len(todo) * computing.row_bytes, disk)
        done, count = len(keys) * views - len(todo), len(todo)
        for own, rows in computing.rows(todo):
            whole.append(shards.write(place, own, rows))
            done += len(own)
            if progress is not None:
                progress(done, len(keys) * views)
        return cls(place, keys, whole, computed=count, rejected=rejected, memory=memory)


def _row_keys(key: str, tag: str, views: int) -> list[str]:
    """The keys of an image's rows: of the image itself, then of its views."""
    return [key, *(f"{key}{tag}{view}" for view in range(1, views))]


def _open(place: Path) -> tuple[list[shards.Shard], list[str]]:
    """The undamaged files of a folder, made if missing, and why others were removed."""
    files.make_folder(place)
    whole, rejected = shards.find(place)
    for line in rejected:
        shards.remove(place, line.partition(":")[0])
    shards.tidy(place)
    return whole, rejected


class CachedBatches(keras.utils.PyDataset):
    """Cached rows and their labels in batches, in a new order each epoch.

    Each epoch uses one random view of each image. A batch depends on the seed, the epoch
    and its number alone.
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
        """Orders the rows for the first epoch.

        Args:
            cache: Cache of the rows.
            labels: (n,) class numbers.
            batch_size: Number of rows per batch.
            shuffle: Whether to shuffle the rows each epoch.
            seed: Random seed of the orders.
            weights: Weight of each class in a validation loss; None for equal ones.
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
        """Orders the rows for an epoch, from 0; serves as `on_epoch_begin`."""
        count = len(self._cache)
        self._order, self._views = np.arange(count), np.zeros(count, int)
        if self._shuffle:
            rng = np.random.default_rng([self._seed, epoch])
            self._order = rng.permutation(count)
            self._views = rng.integers(0, self._cache.views, count)


def _missing(
    keys: Sequence[Sequence[str]], known: set[str]
) -> list[tuple[str, int, int]]:
    """Key, image and view of the missing rows, each key once, shuffled."""
    todo = {
        key: (key, image, view)
        for image, own in enumerate(keys)
        for view, key in enumerate(own)
        if key not in known
    }
    rows = list(todo.values())
    return [rows[i] for i in np.random.default_rng(ORDER).permutation(len(rows))]


def _check_views(augment: Augment | None, views: int) -> None:
    """Raises UsageError for views without random changes."""
    if views < 1 or (views > 1 and (augment is None or not augment.random)):
        raise UsageError(
            f"cannot cache {views} views of each image: expected 1, or more with an "
            "augment that changes images at random, so pass one"
        )


def _check_room(place: Path, wanted: int, most: int) -> None:
    """Raises UsageError for more bytes than a folder may or can take."""
    free = shutil.disk_usage(place).free
    if wanted > min(most, free):
        raise UsageError(
            f"features would add {wanted / 1e9:.1f} GB to {place}, of which "
            f"{free / 1e9:.1f} GB are free and disk= allows {most / 1e9:.1f}; freeze up "
            "to a deeper cut, take fewer views, or give more room"
        )
