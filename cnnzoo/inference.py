"""Evaluation of trained models on labelled images, and prediction of image files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import keras
import numpy as np

from cnnzoo.calibration import apply_temperature, fit_temperature
from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import imagenet
from cnnzoo.data.inputs.conversion import AnyImages, Labelled, as_labelled, as_source
from cnnzoo.data.pipeline import align_labels, load_images
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.errors import UsageError
from cnnzoo.evaluation import Evaluation, check_finite, evaluate_probabilities
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.metadata import metadata_of
from cnnzoo.spec import Preprocess
from cnnzoo.system.runtime import Verbose, progress_level
from cnnzoo.system.validation import COUNT, check_values

BATCH = 128  # images, at most
PIXELS = 400_000  # per batch, since the maps of larger batches take gigabytes


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image.

    Attributes:
        path: Path of the file, or "image 0" and so on of images in memory.
        top: Pairs of class name and probability, likeliest first.
    """

    path: str
    top: tuple[tuple[str, float], ...]


def class_names(model: keras.Model) -> tuple[str, ...]:
    """The class names that the model was built or trained with, or the class numbers."""
    known = metadata_of(model).class_names
    return known or tuple(str(i) for i in range(_class_count(model)))


def images_per_batch(batch_size: int | None, model: keras.Model, source: Source) -> int:
    """The batch size; for None 128, or fewer images of more than 55 x 55 pixels.

    Raises:
        UsageError: It is below 1.
    """
    if batch_size is not None:
        check_values("predict", {"batch_size": batch_size}, {"batch_size": COUNT})
        return batch_size
    sides = to_channels_last(model, model.input_shape[1:])[:2]
    if None in sides:  # files, which need a size, are refused when they are read
        sides = (source.image_shape or (1, 1))[:2]
    return min(BATCH, max(1, PIXELS // prod(sides)))


def input_batches(
    model: keras.Model,
    source: AnyImages,
    preprocessing: Preprocess | None,
    batch_size: int | None = None,
) -> Iterator[np.ndarray]:
    """Yields the images of a source as a model takes them, batch by batch.

    Args:
        model: Any Keras model of images.
        source: Any images that `as_source` takes.
        preprocessing: Preprocessing of the pixels before the model; None for none.
        batch_size: Number of images per batch; None as in `images_per_batch`.

    Raises:
        ImageDecodeError: A file is not a readable image.
        UsageError: The source is image files and the model's image size is open, or the
            batch size is below 1.
    """
    source = as_source(source)
    batch_size = images_per_batch(batch_size, model, source)
    shape = to_channels_last(model, model.input_shape[1:])
    turn = channels_first(model)  # a walk through the whole graph
    for start in range(0, len(source), batch_size):
        rows = np.arange(start, min(start + batch_size, len(source)))
        images = load_images(source.take(rows), shape).images
        if preprocessing is not None:
            images = preprocess_input(images, preprocessing)
        if turn:
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        yield images


def predict_batches(
    model: keras.Model,
    source: AnyImages,
    preprocessing: Preprocess | None,
    batch_size: int | None = None,
) -> Iterator[list[np.ndarray]]:
    """Yields a model's outputs batch by batch, as one array per output.

    Arguments and errors are those of `input_batches`.
    """
    for images in input_batches(model, source, preprocessing, batch_size):
        outputs = model.predict_on_batch(images)
        yield list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def probabilities(
    model: keras.Model,
    source: AnyImages,
    batch_size: int | None = None,
    *,
    raw: bool = False,
    verbose: Verbose = 0,
) -> np.ndarray:
    """The main classifier's probabilities, (images, classes); two of a sigmoid unit.

    Args:
        model: Model from `cnnzoo.build`, `load` or a training.
        source: Path, folder, pattern or list of image files; PIL image, bytes, or array
            (h, w, c) or (n, h, w, c) of pixels of 0 to 255; or a data set. They are
            resized by the model's geometry, and preprocessed unless the model does that.
        batch_size: Number of images per batch; None for at most 128, and fewer of large
            images, so that memory stays below about a gigabyte.
        raw: Whether to leave out the temperature of `model.cnnzoo`, which
            `keras.Model.predict` does not know.
        verbose: As in `train.Run.fit`, for the batches.

    Raises:
        UsageError: The model has no classifier, returns logits or predicts NaN; there are
            no images; or they are files, and the model's image size is open.
        ImageDecodeError: A file is not a readable image.
    """
    built = metadata_of(model)
    if not built.options["include_top"] or built.options["classifier_activation"] is None:
        raise UsageError(
            f"model {model.name!r} gives no probabilities: it was built without its top "
            "or with classifier_activation=None; build it with a classifier, or end it "
            "in a softmax"
        )
    source = as_source(source).with_geometry(built.geometry)
    if not len(source):
        raise UsageError("there are no images to predict; pass at least one")
    batch_size = images_per_batch(batch_size, model, source)
    level, outputs = progress_level(verbose), []
    bar = keras.utils.Progbar(-(-len(source) // batch_size), verbose=level)
    for main, *_ in predict_batches(model, source, built.outside, batch_size):
        outputs.append(main)
        bar.add(1)
    outputs = np.concatenate(outputs)
    if len(bad := np.flatnonzero(~np.isfinite(outputs).all(1))):
        raise UsageError(
            f"model {model.name!r} predicts NaN for {len(bad)} of {len(source)} images, "
            f"such as {source.names_of(bad[:1])[0]!r}; its weights or the pixels are too "
            "large, so train it again, or leave the images out"
        )
    if _is_binary(model):
        outputs = np.concatenate([1 - outputs, outputs], 1)
    return outputs if raw else apply_temperature(outputs, built.temperature)


def evaluate(
    model: keras.Model,
    source: Labelled,
    batch_size: int | None = None,
    *,
    verbose: Verbose = 0,
) -> Evaluation:
    """Compares the model's predictions with the labels of a source.

    Classes are matched by name, or ImageNet's by WordNet id, if the model has class
    names, else by number.

    Args:
        model: Model from `cnnzoo.build`, `load` or a training.
        source: (images, labels), a path, "mnist", or another data set of `as_labelled`.
        batch_size: Number of images per batch; None for at most 128, and fewer of large
            images, so that memory stays below about a gigabyte.
        verbose: As in `train.Run.fit`, for the batches.

    Raises:
        UsageError: The source is none of these.
        DatasetError: The images have no labels, or a class that the model lacks.
        ImageDecodeError: A file of a folder is not a readable image.
    """
    known = metadata_of(model).class_names
    source = as_labelled(source, class_names(model))
    if known is None and len(source.class_names) == _class_count(model):
        known = source.class_names
    source = align_labels(source, known or class_names(model))
    raw = probabilities(model, source, batch_size, raw=True, verbose=verbose)
    found = apply_temperature(raw, metadata_of(model).temperature)
    return evaluate_probabilities(found, source.labels, source.class_names, raw)


def is_softmax(model: keras.Model) -> bool:
    """Whether the classifier is a softmax, or a sigmoid unit for two classes."""
    options, known = metadata_of(model).options, keras.activations
    activation = known.get(options["classifier_activation"])
    expected = known.sigmoid if _is_binary(model) else known.softmax
    return bool(options["include_top"]) and activation is expected


def calibrate(model: keras.Model, source: Labelled) -> Evaluation:
    """Fits the temperature in `model.cnnzoo`; `train.Run` and `transfer.fit` call it.

    Args:
        model: Model with a softmax, or a sigmoid unit for two classes.
        source: Labelled images, as in `evaluate`, that the model was not trained on.

    Returns:
        The evaluation of these images, with the temperature and before it.

    Raises:
        UsageError: The model has another classifier.
    """
    if not is_softmax(model):
        raise UsageError(
            f"cannot calibrate {model.name!r}: expected a classifier by a softmax, or by "
            "a sigmoid unit for two classes, found "
            f"{metadata_of(model).options['classifier_activation']!r:.80}; build one"
        )
    model.cnnzoo = replace(metadata_of(model), temperature=1.0)
    before = evaluate(model, source)
    raw, labels = before.probabilities, before.labels
    temperature = fit_temperature(raw, labels)
    model.cnnzoo = replace(metadata_of(model), temperature=temperature)
    return replace(before, probabilities=apply_temperature(raw, temperature))


def predict(model: keras.Model, images: AnyImages, top: int = 5) -> list[Prediction]:
    """The likeliest classes of images, which are read as in training.

    Args:
        model: Model from `cnnzoo.build`, `load` or a training.
        images: As in `probabilities`, such as "cat.jpg", "photos/" or "photos/*.jpg".
        top: Number of classes per image.

    Raises:
        ImageDecodeError: A file is not a readable image.
        UsageError: The model's image size is open, or these are no images.
    """
    check_values("decode", {"top": top}, {"top": COUNT})
    source = as_source(images)
    if not len(source):
        return []
    names = source.names_of(np.arange(len(source)))
    return make_predictions(names, probabilities(model, source), class_names(model), top)


def make_predictions(
    paths: Sequence[str], probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[Prediction]:
    """Makes a prediction per file from the probabilities, (n, classes)."""
    decoded = decode_predictions(probabilities, class_names, top)
    return [Prediction(*pair) for pair in zip(paths, decoded, strict=True)]


def decode_predictions(
    probabilities: np.ndarray, class_names: Sequence[str] | None = None, top: int = 5
) -> list[tuple[tuple[str, float], ...]]:
    """The likeliest classes of each row of (n, classes); no names mean ImageNet's.

    Raises:
        UsageError: The number of columns is not that of the names, `top` is below 1, or
            a probability is NaN.
    """
    check_values("decode", {"top": top}, {"top": COUNT})
    class_names = imagenet.class_names() if class_names is None else class_names
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_names):
        raise UsageError(
            f"expected probabilities of shape (n, {len(class_names)}) for "
            f"{len(class_names)} class names; got {probabilities.shape}"
        )
    check_finite(probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top].tolist()
    return [
        tuple((str(class_names[i]), float(row[i])) for i in best)
        for row, best in zip(probabilities, order, strict=True)
    ]


def _class_count(model: keras.Model) -> int:
    return 2 if _is_binary(model) else model.outputs[0].shape[-1]


def _is_binary(model: keras.Model) -> bool:
    return model.outputs[0].shape[-1] == 1 and metadata_of(model).options["classes"] == 2
