"""A folder's images as arrays, decoded by all cores, and kept as far as memory goes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cnnzoo.data.decode import check_target, decode
from cnnzoo.data.folders.folder import Folder
from cnnzoo.system.runtime import cores

MEMORY = 1 << 28  # bytes of images that are kept, so that memory stays constant


class Decoded:
    """The images of a folder in one size; what was decoded is kept for the next epoch.

    The first images that fit into the memory given are kept, which of a few hundred
    photographs is all.
    """

    def __init__(
        self, folder: Folder, size: tuple[int, int], channels: int, memory: int = MEMORY
    ):
        """Sets up; no file is read yet.

        Args:
            folder: the images.
            size: height and width, in pixels.
            channels: 1 or 3.
            memory: bytes of images that are kept.

        Raises:
            UsageError: `size` or `channels` is impossible.
        """
        check_target(size, channels)
        self._folder = folder
        self._shape = (*size, channels)
        fits = min(len(folder), memory // int(np.prod(self._shape)))
        self._kept = np.empty((fits, *self._shape), np.uint8)  # costs nothing until used
        self._is_kept = np.zeros(fits, bool)
        self._decoders = ThreadPoolExecutor(cores(), "decode")

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(k, h, w, c), uint8: the images at `rows`, (k,) integers.

        Raises:
            ImageDecodeError: a file cannot be decoded.
        """
        images = np.empty((len(rows), *self._shape), np.uint8)

        def fill(place: int) -> None:
            images[place] = self._image(int(rows[place]))

        list(self._decoders.map(fill, range(len(rows))))
        return images

    def _image(self, row: int) -> np.ndarray:
        keeps = row < len(self._kept)
        if keeps and self._is_kept[row]:
            return self._kept[row]
        path = self._folder.root / self._folder.names[row]
        image = decode(path, self._shape[:2], self._shape[2])
        if keeps:
            self._kept[row] = image
            self._is_kept[row] = True  # last, for a thread that asks meanwhile
        return image


def load_all(folder: Folder, size: tuple[int, int], channels: int) -> np.ndarray:
    """(n, h, w, c), uint8: all images.

    Raises:
        ImageDecodeError: a file cannot be decoded.
        UsageError: `size` or `channels` is impossible.
    """
    return Decoded(folder, size, channels, memory=0).take(range(len(folder)))
