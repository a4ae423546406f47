"""Labelled images in memory, and the stratified split that all data sets share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import train_test_split

from cnnzoo.errors import DatasetError, UsageError


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one size, with their labels where these are known.

    Attributes:
        images: (n, h, w, c), uint8, 0 to 255.
        labels: (n,), int64, each an index into `class_names`; None if unlabelled.
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

    def split(self, fraction: float, seed: int) -> tuple[Images, Images]:
        """Splits off a part with the same share of every class.

        Args:
            fraction: the share of the second part, above 0 and below 1.
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
        train, validation = stratified(self.labels, self.class_names, fraction, seed)
        return self.take(train), self.take(validation)


def stratified(
    labels: np.ndarray, class_names: Sequence[str], fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the rows of a training and a validation part, class by class.

    Args:
        labels: (n,) integers.
        class_names: the name of each label, for messages.
        fraction: the share of the validation part, above 0 and below 1.
        seed: of the random choice, 0 to 2**32 - 1.

    Returns:
        Two ascending arrays of row numbers that together hold each row once.

    Raises:
        DatasetError: a class cannot be in both parts.
        UsageError: `fraction` or `seed` is out of its range.
    """
    if not 0 < fraction < 1:
        raise UsageError(
            f"cannot split with fraction {fraction}: expected a share above 0 and "
            "below 1, such as 0.1, so pass one"
        )
    if not 0 <= seed < 2**32:
        raise UsageError(
            f"cannot split with seed {seed}: expected 0 to 4294967295, so pass such a "
            "number"
        )
    present, counts = np.unique(labels, return_counts=True)
    for label, count in zip(present, counts, strict=True):
        if count < 2:
            raise DatasetError(
                f"cannot split class {class_names[label]!r}: expected at least 2 "
                f"images, found {count}, so add images or leave the class out"
            )
    try:
        parts = train_test_split(
            np.arange(len(labels)),
            test_size=fraction,
            random_state=seed,
            stratify=labels,
        )
    except ValueError as error:
        raise _too_few(labels, present, fraction) from error
    if any(len(np.unique(labels[part])) < len(present) for part in parts):
        raise _too_few(labels, present, fraction)
    train, validation = parts
    return np.sort(train), np.sort(validation)


def _too_few(labels: np.ndarray, present: np.ndarray, fraction: float) -> DatasetError:
    return DatasetError(
        f"cannot split {len(labels)} images of {len(present)} classes with fraction "
        f"{fraction}: expected every class in both parts, found one left out of a "
        "part, so add images or choose a fraction nearer to 0.5"
    )
