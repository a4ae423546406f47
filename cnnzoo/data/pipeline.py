"""DATA, as the command line takes it: what a name or path holds, and how it is fed.

`mnist`, a folder of class folders, a folder of MNIST's four files, a `.npz`, a `.csv`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cnnzoo.data.arrays import Images, check, check_pixels
from cnnzoo.data.augment import Augment
from cnnzoo.data.batches import Batches
from cnnzoo.data.folders import layout
from cnnzoo.data.folders.folder import Folder, scan
from cnnzoo.data.mnist import is_mnist_folder, load_mnist
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.data.table import read_csv
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.spec import Preprocess

Source = Images | Folder
Split = Literal["train", "test"]
PILLOW_MODES = {1: "L", 3: "RGB"}  # by channels


def open_source(
    data: str, split: Split = "train", *, download: bool = False, **reading: Any
) -> Source:
    """Opens what `data` names; of MNIST's forms, the given split.

    Of a folder that is split into `train`, `val` and `test` already, it is that part;
    "test" takes `val` where there is no `test`.

    Args:
        download: allows Keras to fetch MNIST's training digits.
        **reading: what `scan` takes, for a folder of images.

    Raises:
        DatasetError: there is nothing of that name, or nothing that can be read.
    """
    if data == "mnist":
        return load_mnist(split, download=download)
    path = Path(data)
    if path.suffix == ".npz" or is_mnist_folder(path):
        return load_mnist(split, path)
    if path.suffix == ".csv":
        return read_csv(path, complete=split == "train")
    if path.is_dir():
        parts = layout.predefined_splits(path)
        part = parts.get(split) or parts.get("validation") or path
        return scan(part, complete=split == "train", **reading)
    raise DatasetError(
        f"{data} is no data set: expected mnist, a folder of class folders, a folder of "
        "MNIST's four files, a .npz or a .csv"
    )


def resize_images(source: Images, shape: tuple[int | None, ...]) -> Images:
    """Images in another size, and as grey or RGB, as a network wants them.

    Args:
        shape: height, width and channels; 1 and 3 channels become each other, and None
            leaves a side as it is.

    Returns:
        The set itself where it has the shape already, else a resized copy (bilinear,
        with antialiasing), uint8.

    Raises:
        DatasetError: the channels are neither equal nor 1 and 3.
        UsageError: the images are no pixels of 0 to 255.
    """
    own = source.images.shape[1:]
    height, width, channels = (
        here if side is None else side for side, here in zip(shape, own, strict=True)
    )
    if own == (height, width, channels):
        return source
    check_pixels(source.images)
    found = source.images.shape[-1]
    if not {found, channels} <= PILLOW_MODES.keys():
        raise DatasetError(
            f"cannot turn images of {found} channels into {channels}: expected 1 or 3, "
            "so build the network for the channels of the data"
        )
    resized = np.empty((len(source), height, width, channels), np.uint8)
    for i, pixels in enumerate(source.images):
        if pixels.dtype != np.uint8:  # of which Pillow knows no RGB
            pixels = np.rint(pixels).astype(np.uint8)
        image = Image.fromarray(pixels[..., 0] if found == 1 else pixels)
        image = image.convert(PILLOW_MODES[channels])
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        resized[i] = np.asarray(image).reshape(height, width, channels)
    return replace(source, images=resized)


def closed(shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    """The size at which files are read for a model.

    Raises:
        UsageError: the model's image size is open.
    """
    height, width, channels = shape
    if height is None or width is None or channels is None:
        raise UsageError(
            "image files are read in one size, and the model's is open; build it with a "
            "height and a width in input_shape"
        )
    return height, width, channels


def align_labels(source: Source, names: Sequence[str]) -> Source:
    """The same images with labels in another order of class names.

    Raises:
        DatasetError: there are no labels, or classes beyond these names.
    """
    if source.labels is None or len(source) == 0:
        raise DatasetError(
            "labelled images are needed and the data have none; give a folder of class "
            "folders or a .csv with a label column"
        )
    if isinstance(source, Images):
        check(source)
    strange = [name for name in source.class_names if name not in names]
    if strange:
        raise DatasetError(
            f"the data have {len(strange)} classes that the model was not trained on, "
            f"such as {strange[0]!r}; it knows {', '.join(names[:10])}"
        )
    last = int(np.max(source.labels))
    if last >= len(source.class_names):
        raise DatasetError(
            f"the data have the label {last} and {len(source.class_names)} class names; "
            "give a name for every label"
        )
    places = np.array([names.index(name) for name in source.class_names])
    return replace(source, labels=places[source.labels], class_names=tuple(names))


def make_model_inputs(
    source: Source,
    shape: tuple[int | None, ...],
    batch_size: int,
    *,
    augment: Augment | None = None,
    preprocessing: Preprocess | None = None,
    mixup: float | None = None,
    channels_first: bool = False,
    outputs: int = 1,
    shuffle: bool = False,
    seed: int = 0,
):
    """What `fit` and `predict` take: (images, labels), or (batches, None).

    Batches come from a folder, and from images in memory that are to be augmented or
    shuffled.

    Args:
        shape: the model's height, width and channels, in this order.
        augment: what happens to the images, before `preprocessing`; None for nothing.
        preprocessing: what pixels go through before the model; None for one that takes
            them as they are.
        mixup: as `Batches` takes it.
        channels_first: whether the model takes (b, c, h, w). Sources have the channels
            last.
        outputs: how many classifiers the model has; each gets the same labels.
        shuffle: whether batches come in a new order each epoch.
        seed: of these orders and of `augment`.

    Raises:
        UsageError: files are to be read for a model of open size, or `augment` lacks
            statistics.
        DatasetError: images in memory have other channels than the model takes.
    """
    adapt = partial(_adapted, channels_first=channels_first, outputs=outputs)
    if isinstance(source, Images):
        source = resize_images(source, shape)
        augment = None if augment is None or augment.idle else augment
        shape = source.images.shape[1:]
        if augment is None and not shuffle:
            images = source.images
            if preprocessing is not None:
                images = preprocess_input(images, preprocessing)
            return adapt(images, source.labels)
    height, width, channels = closed(shape)
    batches = Batches(
        source,
        (height, width),
        channels,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        augment=augment,
        preprocessing=preprocessing,
        mixup=mixup,
        adapt=adapt,
    )
    return batches, None


def _adapted(
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    channels_first: bool,
    outputs: int,
) -> tuple:
    if channels_first:
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    if labels is not None and outputs > 1:
        return images, (labels,) * outputs
    return images, labels
