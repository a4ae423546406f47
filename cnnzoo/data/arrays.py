"""Labelled images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnzoo.data.splits import split_rows
from cnnzoo.errors import DatasetError, LabelError, UsageError, unknown


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one size, with their labels where these are known.

    Attributes:
        images: (n, h, w, c), uint8, or another type with pixels of 0 to 255.
        labels: (n,) integers, each an index into `class_names`; None if unlabelled.
        class_names: one name for each class, in the order of the labels.
        ids: the row names of an unlabelled table; None where it had none.
    """

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    ids: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Images:
        """Returns the images at `rows`, (k,) integers, of the same classes."""
        return replace(
            self,
            images=self.images[rows],
            labels=None if self.labels is None else self.labels[rows],
            ids=None if self.ids is None else tuple(self.ids[row] for row in rows),
        )

    def only(self, class_names: Sequence[str]) -> Images:
        """Returns the images of these classes, numbered in this order.

        Raises:
            DatasetError: there are no labels.
            UsageError: there is no such class.
        """
        if self.labels is None:
            raise DatasetError(
                f"cannot choose classes of {len(self)} unlabelled images: expected "
                "labels, found none, so give a labelled set"
            )
        for name in class_names:
            if name not in self.class_names:
                raise unknown("class", name, self.class_names)
        numbers = [self.class_names.index(name) for name in class_names]
        rows = np.flatnonzero(np.isin(self.labels, numbers))
        labels = (self.labels[rows, None] == np.array(numbers)).argmax(1)
        return replace(self.take(rows), labels=labels, class_names=tuple(class_names))

    def split(self, fraction: float | int, seed: int) -> tuple[Images, Images]:
        """Splits off a part with the same share of every class.

        Args:
            fraction: the share of the second part, above 0 and below 1, or, an int, its
                number of images.
            seed: of the random choice; the same seed gives the same parts.

        Returns:
            The training part and the validation part, each in the original order.

        Raises:
            DatasetError: there are no labels, or too few images for every class to
                be in both parts.
            UsageError: `fraction` or `seed` is out of its range.
        """
        if self.labels is None:
            raise DatasetError(
                f"cannot split {len(self)} unlabelled images by class: expected "
                "labels, found none, so split a labelled set"
            )
        train, validation = split_rows(self.labels, self.class_names, fraction, seed)
        return self.take(train), self.take(validation)


def check(data: Images) -> None:
    """Checks what the caller gives, before anything is computed with it.

    Raises:
        UsageError: the images are no array of pixels of 0 to 255.
        LabelError: the labels are no numbers of classes, or not as many as images.
    """
    check_pixels(data.images)
    if data.labels is not None:
        _check_labels(data.labels, len(data.images))


def check_pixels(images: np.ndarray) -> None:
    """Raises UsageError for what is no array of images with pixels of 0 to 255."""
    expected = "an array (n, h, w, c) of pixels of 0 to 255"
    dtype = getattr(images, "dtype", None)
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        found = f"the shape {getattr(images, 'shape', None)}"
    elif dtype == np.uint8 or images.size == 0:
        return
    elif not np.issubdtype(dtype, np.integer) and not np.issubdtype(dtype, np.floating):
        found = f"the type {dtype}"
    else:
        low, high = float(images.min()), float(images.max())
        scaled = np.issubdtype(dtype, np.floating) and 0 < high <= 1
        if 0 <= low <= high <= 255 and not scaled:
            return
        found = f"{dtype} between {low:g} and {high:g}"
    raise UsageError(
        f"cannot take these images: expected {expected}, found {found}, so pass them as "
        "files have them, without scaling"
    )


def _check_labels(labels: np.ndarray, images: int) -> None:
    """Raises LabelError for what is no list of so many classes' numbers."""
    expected = f"{images} numbers of classes"
    labels = np.asarray(labels)
    if labels.shape != (images,):
        found = f"the shape {labels.shape}"
    elif not np.issubdtype(labels.dtype, np.integer):
        values = labels.tolist()
        row = next((i for i, value in enumerate(values) if not _is_whole(value)), 0)
        found = f"{values[row]!r} as label {row}"
    elif labels.size and labels.min() < 0:
        row = int(labels.argmin())
        found = f"{labels[row]} as label {row}"
    else:
        return
    raise LabelError(
        f"cannot take these labels: expected {expected}, found {found}, so pass an array "
        "of integers from 0 on"
    )


def _is_whole(label: object) -> bool:
    return isinstance(label, int) or (isinstance(label, float) and label.is_integer())
