"""Preparation of a source of images for a model: labels, sizes and batches."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from cnnzoo.data.arrays import Images, Source, check_class_names, check_labels
from cnnzoo.data.augment import Augment
from cnnzoo.data.batches import Batches
from cnnzoo.data.folders import imagenet
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.spec import Preprocess


def load_images(source: Source, shape: tuple[int | None, ...]) -> Images:
    """Reads a whole source into memory, in the size and with the channels of a network.

    Args:
        shape: Height, width and channels; None keeps those of images in memory.

    Raises:
        ImageDecodeError: A file cannot be decoded.
        DatasetError: Images in memory cannot be converted to these channels.
        UsageError: A size is not known, or the images are not pixels of 0 to 255.
    """
    own = source.image_shape or (None, None, None)
    pairs = zip(shape, own, strict=True)
    height, width, channels = fixed_shape([b if a is None else a for a, b in pairs])
    pixels = source.load(slice(None), (height, width), channels)
    return Images(pixels, source.labels, source.class_names)


def fixed_shape(shape: Sequence[int | None]) -> tuple[int, int, int]:
    """Height, width and channels of the images that are read for a model.

    Raises:
        UsageError: The image size of the model is not fixed.
    """
    height, width, channels = shape
    if height is None or width is None or channels is None:
        raise UsageError(
            "the model has no fixed input size, and image files are resized to one; "
            "build it with a height and a width in input_shape"
        )
    return height, width, channels


def align_labels(source: Source, names: Sequence[str]) -> Source:
    """The same images with labels in another order of class names.

    Folders of ImageNet may be named by WordNet ids, such as n01440764.

    Raises:
        DatasetError: There are no labels, or classes that are not among the names.
        LabelError: Two classes have the same name, or labels are no class numbers.
    """
    if source.labels is None or len(source) == 0:
        none = "none" if len(source) else "no images"
        raise DatasetError(
            f"labelled images are needed and the data have {none}; give a folder of "
            "class folders or a .csv with a label column"
        )
    source.check()
    check_labels(source.labels, len(source))
    check_class_names(source.class_names)
    found = source.class_names
    if not set(found) <= set(names):
        found = imagenet.names_of(found)
    strange = [name for name in found if name not in names]
    if strange:
        raise DatasetError(
            f"the data have {len(strange)} classes that the model was not trained on, "
            f"such as {strange[0]!r}; it knows {', '.join(names[:10])}"
        )
    last = int(np.max(source.labels))
    if last >= len(found):
        raise DatasetError(
            f"the data have the label {last} and {len(found)} class names; "
            "give a name for every label"
        )
    places = np.array([names.index(name) for name in found])
    return source.relabel(places[source.labels], names)


def make_model_inputs(
    source: Source,
    shape: tuple[int | None, ...],
    batch_size: int,
    *,
    steps: int | None = None,
    augment: Augment | None = None,
    preprocessing: Preprocess | None = None,
    mixup: float | None = None,
    channels_first: bool = False,
    outputs: int = 1,
    shuffle: bool = False,
    seed: int = 0,
):
    """Inputs of `fit` and `predict`: (images, labels), or (batches, None).

    Batches are made of files, and of images in memory that are augmented or shuffled.

    Args:
        shape: Height, width and channels of the model's input, in this order.
        steps: As in `Batches`.
        augment: Random changes of the images, before `preprocessing`; None for none.
        preprocessing: Preprocessing of the pixels before the model; None if the model
            takes them as they are.
        mixup: As in `Batches`.
        channels_first: Whether the model takes (b, c, h, w); sources have the channels
            last.
        outputs: Number of classifiers of the model, which all get the same labels.
        shuffle: Whether batches are in a new order in each epoch.
        seed: Random seed of these orders and of `augment`.

    Raises:
        UsageError: Files are read, and the image size of the model is not fixed.
        DatasetError: Images in memory cannot be converted to the model's channels.
    """
    adapt = partial(_to_model_format, channels_first=channels_first, outputs=outputs)
    if source.image_shape is not None:
        source = load_images(source, shape)
        shape = source.image_shape
        augment = None if augment is None or not augment.random else augment
        if augment is None and not shuffle:
            images = source.images
            if preprocessing is not None:
                images = preprocess_input(images, preprocessing)
            return adapt(images, source.labels)
    batches = Batches(
        source,
        fixed_shape(shape),
        batch_size,
        steps=steps,
        shuffle=shuffle,
        seed=seed,
        augment=augment,
        preprocessing=preprocessing,
        mixup=mixup,
        adapt=adapt,
    )
    return batches, None


def _to_model_format(
    images: np.ndarray, labels: np.ndarray | None, *, channels_first: bool, outputs: int
) -> tuple:
    """Images with the model's axes, and labels for each of its classifiers."""
    if channels_first:
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    if labels is not None and outputs > 1:
        return images, (labels,) * outputs
    return images, labels
