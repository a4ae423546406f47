"""Protocol of the sources of labelled images, and images in memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self, TypeGuard, TypeVar

import numpy as np

from cnnzoo.data.decode import resize_images
from cnnzoo.data.splits import split_rows
from cnnzoo.errors import DatasetError, LabelError, UsageError, check_known
from cnnzoo.spec import Geometry
from cnnzoo.system.validation import is_number

Rows = np.ndarray | slice  # (k,) integers, or a slice
KEY_BYTES = 16  # of a SHA-256; two of a million images collide with probability 1e-26
AnySource = TypeVar("AnySource", bound="Source")


class Source(Protocol):
    """Images and their labels, in memory or in files.

    Training, evaluation and prediction use only these members, so that a new kind of
    source needs no change there. A subclass of this protocol names its `ROWS`, implements
    `__len__`, `load`, `fingerprint` and `content_keys`, and inherits the others.

    Attributes:
        ROWS: Names of its own attributes, arrays or tuples, with a value per image.
        labels: Integers, (n,), each an index into `class_names`; None if unlabelled.
            Training also uses probabilities, (n, classes).
        class_names: Names of the classes, in the order of the labels.
        checksums: First 16 bytes of each file's SHA-256; None if there are no files, or
            none was read as a whole.
        geometry: How `load` brings images to a size; None to stretch them.
    """

    ROWS: ClassVar[Sequence[str]]
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    checksums: tuple[bytes, ...] | None = None
    geometry: Geometry | None = None

    def __len__(self) -> int: ...

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Shape (h, w, c) of images in memory; None if `load` determines it."""
        return None

    def take(self, rows: np.ndarray) -> Self:
        """Returns the images at `rows`, (k,) integers, with the same classes."""
        names = (*self.ROWS, "labels", "checksums")
        return _changed(self, {n: _taken(getattr(self, n), rows) for n in names})

    def relabel(self, labels: np.ndarray, class_names: Sequence[str]) -> Self:
        """Returns the same images with other labels and class names."""
        return _changed(self, {"labels": labels, "class_names": tuple(class_names)})

    def with_geometry(self, geometry: Geometry | None) -> Self:
        """Returns the same images, for `load`; a range of values that they have stays."""
        if own := self.geometry and self.geometry.value_range:
            geometry = replace(geometry or Geometry(), value_range=own)
        return _changed(self, {"geometry": geometry})

    def load(self, rows: Rows, size: tuple[int, int], channels: int) -> np.ndarray:
        """Returns pixels of 0 to 255, (k, h, w, channels), resized where necessary.

        Raises:
            ImageDecodeError: A file cannot be decoded.
            UsageError: The size or the number of channels is invalid.
        """
        ...

    def names_of(self, rows: np.ndarray) -> list[str]:
        """Returns the names of the images at `rows`, for messages."""
        return [f"image {row}" for row in rows]

    def fingerprint(self) -> str:
        """Returns a hash of class names, labels and images."""
        ...

    def content_keys(self) -> list[str]:
        """Returns a string per image, which is equal for equal content.

        Raises:
            ImageDecodeError: A file cannot be read.
        """
        ...

    def check(self) -> None:
        """Raises UsageError if images in memory are not pixels of 0 to 255."""

    def check_unchanged(self, rows: np.ndarray, keys: Sequence[str]) -> None:
        """Raises DatasetError if a key does not start with the image's content key."""

    def report_lines(self) -> list[str]:
        """Returns the notes of a scan, such as files left out, one per line."""
        return []

    def groups(self, group_by: str | None = None) -> np.ndarray | None:
        """Returns group numbers, (n,), of images to be kept together; None for none.

        Args:
            group_by: Regular expression, such as r"patient\\d+"; images in whose names
                it matches the same text are one group.

        Raises:
            UsageError: The images have no names, or the regular expression is invalid.
        """
        if group_by is not None:
            raise UsageError(
                f"cannot group by {group_by!r}: expected a folder of image files, in "
                "whose names the pattern is looked for; leave it out"
            )
        return None

    def split(
        self, fraction: float | int, seed: int, group_by: str | None = None
    ) -> tuple[Self, Self]:
        """Splits the images into two parts, stratified by class.

        Args:
            fraction: Share of the second part, above 0 and below 1, or its number of
                images if it is an int.
            seed: Random seed of the split.
            group_by: As in `groups`. Copies of a file also stay in one part if a scan
                read checksums.

        Returns:
            The training part and the validation part, each in the original order.

        Raises:
            DatasetError: There are no labels, or too few images for every class to
                be in both parts.
            UsageError: An argument is out of its range.
        """
        groups = self.groups(group_by)
        if self.labels is None:
            raise DatasetError(
                f"cannot split {len(self)} unlabelled images by class: expected "
                "labels, found none, so split a labelled set"
            )
        train, validation = split_rows(
            self.labels, self.class_names, fraction, seed, groups
        )
        return self.take(train), self.take(validation)

    def only(self, class_names: Sequence[str]) -> Self:
        """Returns the images of these classes, numbered in this order.

        Raises:
            DatasetError: There are no labels.
            UsageError: There is no such class.
        """
        if self.labels is None:
            raise DatasetError(
                f"cannot choose classes of {len(self)} unlabelled images: expected "
                "labels, found none, so give a labelled set"
            )
        for name in class_names:
            check_known("class", name, self.class_names)
        numbers = [self.class_names.index(name) for name in class_names]
        rows = np.flatnonzero(np.isin(self.labels, numbers))
        labels = (self.labels[rows, None] == np.array(numbers)).argmax(1)
        return self.take(rows).relabel(labels, class_names)


def _changed(source: AnySource, values: Mapping[str, Any]) -> AnySource:
    changed = copy(source)
    for name, value in values.items():
        object.__setattr__(changed, name, value)  # most sources are frozen
    return changed


def _taken(values: Any, rows: np.ndarray) -> Any:
    """The values of some rows, of an array or a tuple; None stays None."""
    if isinstance(values, tuple):
        return tuple(values[row] for row in rows)
    return None if values is None else values[rows]


def is_source(value: object) -> TypeGuard[Source]:
    """Whether a value has the members of a source; none of its properties is read."""
    return hasattr(type(value), "content_keys")


@dataclass(frozen=True, eq=False)
class Images(Source):
    """Images of one size in memory, with their labels if known.

    Attributes:
        images: Pixels of 0 to 255, (n, h, w, c), uint8 or another type.
        labels: Integers, (n,), each an index into `class_names`; None if unlabelled.
        class_names: Names of the classes, in the order of the labels.
        ids: Row names of an unlabelled table; None if it has none.
        geometry: How images of another size are resized; None to stretch them.
    """

    ROWS = ("images", "ids")
    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    geometry: Geometry | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def load(self, rows: Rows, size: tuple[int, int], channels: int) -> np.ndarray:
        if self.image_shape == (*size, channels):
            return self.images[rows]
        check_pixels(self.images)
        return resize_images(self.images[rows], size, channels, self.geometry)

    def fingerprint(self) -> str:
        hashed = labels_hash(self)
        hashed.update(str(self.images.shape).encode())
        hashed.update(np.ascontiguousarray(self.images).tobytes())
        return hashed.hexdigest()

    def content_keys(self) -> list[str]:
        kind = repr((self.images.shape[1:], self.images.dtype.str)).encode()
        return [
            hashlib.sha256(kind + image.tobytes()).digest()[:KEY_BYTES].hex()
            for image in self.images
        ]

    def check(self) -> None:
        check_pixels(self.images)


def labels_hash(source: Source) -> Any:
    """Returns a SHA-256 of class names and labels, to be updated with the images."""
    hashed = hashlib.sha256(json.dumps(source.class_names).encode())
    hashed.update(np.ascontiguousarray(source.labels).tobytes())
    return hashed


def check_pixels(images: np.ndarray) -> None:
    """Raises UsageError if `images` is not an array of pixels of 0 to 255."""
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        found = f"the shape {getattr(images, 'shape', None)}"
    elif images.dtype == np.uint8 or images.size == 0:
        return
    elif images.dtype.kind not in "uif":
        found = f"the type {images.dtype}"
    else:
        low, high = float(images.min()), float(images.max())
        scaled = images.dtype.kind == "f" and 0 < high <= 1
        if 0 <= low <= high <= 255 and not scaled:
            return
        found = f"{images.dtype} between {low:g} and {high:g}"
    raise UsageError(
        "cannot take these images: expected an array (n, h, w, c) of pixels of 0 to 255, "
        f"found {found}, so pass them as files have them, channels last and not scaled"
    )


def check_class_names(names: Sequence[str]) -> None:
    """Raises LabelError if two classes have the same name."""
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise LabelError(
            f"two of {len(names)} classes have the name {twice!r}: expected a name for "
            "each, so rename one, or give both one label"
        )


def check_labels(labels: np.ndarray, images: int) -> None:
    """Raises LabelError if `labels` are not class numbers, one per image."""
    labels = np.asarray(labels)
    if labels.shape != (images,):
        found = f"the shape {labels.shape}"
    elif labels.size and (labels.dtype.kind not in "iu" or labels.min() < 0):
        values = labels.tolist()
        wrong = (not is_number(value) or value < 0 or value % 1 for value in values)
        row = next((i for i, is_wrong in enumerate(wrong) if is_wrong), 0)
        found = f"{values[row]!r} as label {row}"
    else:
        return
    raise LabelError(
        f"cannot take these labels: expected {images} numbers of classes, found {found}, "
        "so pass an array of integers from 0 on"
    )
