"""What people hold as a source of images: one rule for every function that takes any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from cnnzoo.data.arrays import Images, Source, check_pixels, is_source
from cnnzoo.data.decode import Picture
from cnnzoo.data.downloads import CLASS_NAMES
from cnnzoo.data.folders import layout
from cnnzoo.data.folders.folder import Folder
from cnnzoo.data.folders.image_files import ImageFiles
from cnnzoo.data.inputs.labels import class_numbers
from cnnzoo.data.inputs.pictures import Pictures, image_paths
from cnnzoo.data.mnist import Split, is_mnist_folder
from cnnzoo.data.sources import check_copies, open_source, open_train_validation
from cnnzoo.errors import UsageError

AnyImages = Any
"""What `as_source` takes."""

Labelled = Any
"""What `as_labelled` takes."""

TABLES = (".csv", ".npz")
CHANNELS = 4  # maximum of a picture; a longer last axis is its width
IMAGES = (
    "the path of an image, a folder or a pattern such as 'photos/*.jpg', a PIL image, "
    "the bytes of a file, an array (h, w, c) or (n, h, w, c) of pixels of 0 to 255, a "
    "list of these, or a data set"
)
ENDLESS = -1  # tf.data's cardinality of a data set that repeats for ever
LABELLED = (
    "(images, labels), 'mnist', the path of a folder of class folders, of a .csv or of a "
    ".npz, a tf.data.Dataset or a keras.utils.PyDataset of such pairs, or a data set of "
    "cnnzoo"
)


def as_source(value: AnyImages) -> Source:
    """The images that a value stands for; labels are kept where it has them.

    Args:
        value: Path of an image file, of a folder with images at any depth, or of a .csv
            or .npz; "mnist", for the test digits; a pattern such as "photos/*.jpg"; a
            PIL image; the bytes of an image file, or the file opened for reading; an
            array (h, w, c) or (n, h, w, c) of pixels of 0 to 255; a list of these, in
            which the images of (n, h, w, c) follow each other; a
            tf.data.Dataset or a PyDataset, which are read into memory; or a `Source`.

    Raises:
        UsageError: The value is none of these.
        DatasetError: There are no images, or a data set cannot be read.
    """
    if is_source(value):
        return value
    if isinstance(value, str | Path):
        return _of_path(value)
    if is_dataset(value):
        images, labels = _read(value)
        return as_source(images) if labels is None else _label(images, labels, ())
    if isinstance(value, list | tuple | Iterator) and not hasattr(value, "read"):
        found = [picture for item in value for picture in _pictures(item)]
        batches: list[Any] = [
            one if getattr(one, "ndim", 0) == 4 else [one] for one in found
        ]
        return _of_pictures([picture for batch in batches for picture in batch])
    (picture,) = _pictures(value)
    if not isinstance(picture, np.ndarray):
        return Pictures((picture,))
    if picture.ndim < 2 and picture.dtype.kind in "OU":  # of paths
        return as_source(picture.tolist())
    one = picture.ndim == 3 and picture.shape[-1] <= CHANNELS
    picture = picture[None] if one else picture
    check_pixels(picture)
    return Images(picture, None, ())


def as_labelled(
    value: Labelled,
    names: Sequence[str] = (),
    split: Split = "test",
    **reading: Any,
) -> Source:
    """The labelled images that a value stands for.

    Args:
        value: (images, labels), with any images of `as_source` and any labels of
            `class_numbers`; what `open_source` takes; a tf.data.Dataset or a PyDataset
            of such pairs, which are read into memory; or a `Source`.
        names: Class names to which numbers refer; empty for "0", "1" and so on.
        split: Split that is opened of a path with several.
        **reading: Arguments of `scan`, for a folder.

    Raises:
        UsageError: The value is none of these.
        LabelError: The labels do not fit the images.
        DatasetError: A data set does not exist or cannot be read.
    """
    if is_source(value):
        return value
    if isinstance(value, str | Path):
        return open_source(str(Path(value).expanduser()), split, **reading)
    if isinstance(value, tuple) and len(value) == 2:
        return _label(*value, names)
    if not is_dataset(value):
        raise _refused("labelled images", LABELLED, _described(value))
    images, labels = _read(value)
    if labels is None:
        raise _refused("a data set", "pairs (images, labels)", "images without labels")
    return _label(images, labels, tuple(getattr(value, "class_names", ())) or names)


def as_training(
    value: Labelled, names: Sequence[str] = (), split: Split = "train"
) -> Source:
    """Labelled images for a training, as in `as_labelled`; files have checksums.

    A data set that is read into memory is sorted, so that a training on one that
    shuffles can be resumed.
    """
    source = as_labelled(value, names, split, checksums=True)
    if is_dataset(value):
        keys = np.asarray(source.labels), np.array(source.content_keys())
        source = source.take(np.lexsort(keys))
    return source


def as_train_validation(
    train: Labelled,
    validation: Labelled | float,
    names: Sequence[str] = (),
    seed: int = 0,
) -> tuple[Source, Source]:
    """Training and validation images, as in `as_training`.

    Args:
        train: As in `as_labelled`. Of a folder with `train/` and `val/`, these are used.
        validation: As in `as_labelled`; or a share of the training images, or their
            number if it is an int. Of a folder with `val/` and `test/`, `val/` is used.
        names: Class names to which numbers refer; empty for "0", "1" and so on. If they
            are these, numbers in `validation` refer to the class names of `train`.
        seed: Random seed of the split.

    Raises:
        DatasetError: As in `open_train_validation`.
    """
    share: Any = validation if isinstance(validation, Real) else None
    if share is not None and isinstance(train, str | Path):
        return open_train_validation(str(Path(train).expanduser()), share, seed)
    source = as_training(train, names)
    if share is not None:
        return source.split(share, seed)
    numbered = tuple(map(str, range(len(names))))
    meant = source.class_names if tuple(names) == numbered else names
    other = as_training(_validation_part(validation), meant, "test")
    by_path = isinstance(train, str | Path) and isinstance(validation, str | Path)
    if by_path and isinstance(source, Folder) and isinstance(other, Folder):
        check_copies(source, other)
    return source, other


def _validation_part(value: Labelled) -> Labelled:
    """The validation part of a folder that is split, or the value as it is."""
    if isinstance(value, str | Path) and (path := Path(value).expanduser()).is_dir():
        return layout.predefined_splits(path).get("validation", value)
    return value


def _of_path(value: str | Path) -> Source:
    path = Path(value).expanduser()
    if str(value) in CLASS_NAMES or path.suffix in TABLES or is_mnist_folder(path):
        return open_source(str(path), "test")
    return ImageFiles(tuple(image_paths(value)))


def _pictures(item: Any) -> list[Picture | np.ndarray]:
    """The pictures that one item of a list stands for."""
    if isinstance(item, str | Path):
        return list(image_paths(item))
    if isinstance(item, bytes | bytearray | memoryview):
        return [bytes(item)]
    if isinstance(item, Image.Image):
        return [item]
    if hasattr(item, "__array__") and hasattr(item, "shape"):
        with suppress(TypeError, ValueError, RuntimeError):  # symbolic
            return [np.asarray(item.detach().cpu() if hasattr(item, "detach") else item)]
    if hasattr(item, "read"):  # a file, which may be open as text
        content = getattr(item, "buffer", item).read()
        if isinstance(content, bytes):
            return [content]
    raise _refused("images", IMAGES, _described(item))


def _of_pictures(pictures: list[Picture | np.ndarray]) -> Source:
    """Arrays of one shape are kept as they are, with any number of channels."""
    arrays = [picture for picture in pictures if isinstance(picture, np.ndarray)]
    for array in arrays:
        check_pixels(array[None, ..., None] if array.ndim == 2 else array[None])
    if arrays and len(arrays) == len(pictures) and len({a.shape for a in arrays}) == 1:
        stack = np.stack(arrays)
        return Images(stack[..., None] if stack.ndim == 3 else stack, None, ())
    paths = tuple(picture for picture in pictures if isinstance(picture, str))
    return ImageFiles(paths) if len(paths) == len(pictures) else Pictures(tuple(pictures))


def _label(images: AnyImages, labels: Any, names: Sequence[str]) -> Source:
    """Images and labels together; (n, h, w) are grey images if there are n labels."""
    if getattr(images, "ndim", 0) == 3 and np.shape(labels)[:1] == images.shape[:1]:
        images = np.asarray(images)[..., None]
    source = as_source(images)
    return source.relabel(*class_numbers(labels, len(source), names))


def is_dataset(value: Any) -> bool:
    """Whether it is a tf.data.Dataset or a PyDataset; TensorFlow is not imported."""
    return hasattr(value, "as_numpy_iterator") or isinstance(value, keras.utils.PyDataset)


def _read(dataset: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """All images and labels of a data set, whose elements may be batches or not.

    Raises:
        UsageError: The data set has no end or no images, images of several sizes, or
            more parts, such as weights.
    """
    if isinstance(dataset, keras.utils.PyDataset):
        count = dataset.num_batches
        elements = (dataset[i] for i in range(count or 0))
    else:
        count = None if int(dataset.cardinality()) == ENDLESS else 0
        elements = dataset.as_numpy_iterator()
    if count is None:
        raise _refused("a data set", "an end", "one that repeats for ever")
    images, labels = [], []
    for element in elements:
        parts = element if isinstance(element, tuple | list) else (element,)
        arrays: list[Any] = [*map(np.asarray, parts), None]
        x, y = arrays[:2]
        if len(parts) > 2 or x.ndim not in (3, 4):
            expected = "pairs (images, labels) with images (h, w, c) or (n, h, w, c)"
            found = f"{len(parts)} parts, of which the first has the shape {x.shape}"
            raise _refused("a data set", expected, found)
        single = x.ndim == 3 and x.shape[-1] <= CHANNELS
        grey = x.ndim == 3 and not single  # (n, h, w)
        images.append(x[None] if single else x[..., None] if grey else x)
        labels.append(y[None] if single and y is not None else y)
    if len({x.shape[1:] for x in images}) != 1:
        raise _refused("a data set", "images of one size", "none or several sizes")
    known = labels[0] is not None
    return np.concatenate(images), np.concatenate(labels) if known else None


def _refused(what: str, expected: str, found: str) -> UsageError:
    return UsageError(
        f"cannot take {what}: expected {expected}; found {found}, so pass such a value"
    )


def _described(value: Any) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    kind = kind.removeprefix("builtins.")
    size = f" of {len(value)}" if isinstance(value, list | tuple | dict) else ""
    return f"{kind}{size}"
