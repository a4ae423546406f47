"""What a trained model says: evaluation on labelled images, prediction on files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from cnnzoo.data.arrays import Images, Source, check_pixels
from cnnzoo.data.batches import own_errors
from cnnzoo.data.folders.image_files import ImageFiles
from cnnzoo.data.pipeline import align_labels, make_model_inputs
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.metadata import metadata_of

Files = Sequence[str | Path]


@dataclass(frozen=True)
class ClassReport:
    """How one class fared: precision, recall and F1 from 0 to 1, images of it."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on labelled images.

    Attributes:
        images: how many there were.
        accuracy: the fraction that got its own class, 0 to 1.
        classes: a report a class.
        confusion: (classes, classes) counts; rows are true, columns predicted classes.
        probabilities: (images, classes) float32, rows sum to 1.
        labels: (images,) the true classes.
    """

    images: int
    accuracy: float
    classes: tuple[ClassReport, ...]
    confusion: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def errors(self) -> int:
        return self.images - int(self.confusion.trace())

    @property
    def error_percent(self) -> float:
        return 100 * (1 - self.accuracy)

    @property
    def error_interval(self) -> tuple[float, float]:
        """Where the error of all such images lies with 95 %, per cent.

        E. B. Wilson, Journal of the American Statistical Association 22, 1927.
        """
        found = binomtest(self.errors, self.images).proportion_ci(method="wilson")
        return 100 * float(found.low), 100 * float(found.high)

    @property
    def accuracy_told(self) -> str:
        """The accuracy and its interval as a part of a sentence."""
        low, high = self.error_interval
        return (
            f"{100 * self.accuracy:.1f} % of {self.images:,} images, {100 - high:.1f} to "
            f"{100 - low:.1f} % with 95 % confidence"
        )

    def most_confident_errors(self, most: int) -> np.ndarray:
        """The rows of the images that were misread, the surest answers first."""
        wrong = np.flatnonzero(self.probabilities.argmax(1) != self.labels)
        return wrong[np.argsort(-self.probabilities[wrong].max(1), kind="stable")][:most]


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image, (name, probability), likeliest first."""

    path: str
    top: tuple[tuple[str, float], ...]


def class_names(model: keras.Model) -> tuple[str, ...]:
    """The names that the model was built or trained with, or the classes' numbers."""
    built = metadata_of(model)
    if built.class_names:
        return built.class_names
    return tuple(str(i) for i in range(_class_count(model)))


def probabilities(
    model: keras.Model, source: Source | np.ndarray | Files, batch_size: int = 128
) -> np.ndarray:
    """The model's probabilities, (images, classes); one sigmoid unit becomes two.

    Auxiliary classifiers are not asked.

    Args:
        source: a data set, or image files, or images (n, h, w, c) in the model's size;
            pixels of 0 to 255, which are preprocessed here where the model does not do
            it, and turned where it wants the channels first.
        batch_size: images a step.

    Raises:
        UsageError: the model has no classifier, or returns logits; files are to be read
            and its image size is open.
        ImageDecodeError: a file is no readable image.
    """
    built = metadata_of(model)
    options = built.options
    if not options["include_top"] or options["classifier_activation"] is None:
        raise UsageError(
            f"model {model.name!r} gives no probabilities: it was built without its top "
            "or with classifier_activation=None; build it with a classifier"
        )
    if isinstance(source, np.ndarray):
        check_pixels(source)
        source = Images(source, None, ())
    elif isinstance(source, Sequence):
        source = ImageFiles(tuple(map(str, source)))
    inputs, _ = make_model_inputs(
        source,
        to_channels_last(model, model.input_shape[1:]),
        batch_size,
        preprocessing=built.outside,
        channels_first=channels_first(model),
    )
    with own_errors(inputs):
        outputs = model.predict(inputs, batch_size=batch_size, verbose=0)
    if len(model.outputs) > 1:
        outputs = outputs[0]
    return np.concatenate([1 - outputs, outputs], 1) if _is_binary(model) else outputs


def evaluate(model: keras.Model, source: Source, batch_size: int = 128) -> Evaluation:
    """Holds the model's answers against the labels.

    Classes are matched by name where the model knows names, else by their number.

    Raises:
        DatasetError: the images have no labels, or a class that the model lacks.
        ImageDecodeError: a file of a folder is no readable image.
    """
    known = metadata_of(model).class_names
    if known is None and len(source.class_names) == _class_count(model):
        known = source.class_names
    source = align_labels(source, known or class_names(model))
    return judged(probabilities(model, source, batch_size), source)


def judged(answers: np.ndarray, source: Source) -> Evaluation:
    """Holds probabilities, (images, classes), against the labels of the source."""
    names, labels = source.class_names, np.asarray(source.labels)
    predicted = answers.argmax(1)
    every = np.arange(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    return Evaluation(
        images=len(labels),
        accuracy=float(np.mean(labels == predicted)),
        classes=tuple(
            ClassReport(name, float(p), float(r), float(f), int(n))
            for name, p, r, f, n in zip(
                names, precision, recall, f1, np.asarray(support), strict=True
            )
        ),
        confusion=confusion_matrix(labels, predicted, labels=every),
        probabilities=answers,
        labels=labels,
    )


def predict(model: keras.Model, paths: Files, top: int = 5) -> list[Prediction]:
    """The likeliest classes of image files, read as in training.

    Raises:
        ImageDecodeError: a file is no readable image.
        UsageError: the model's image size is open.
    """
    if not paths:
        return []
    return told(paths, probabilities(model, paths), class_names(model), top)


def told(
    paths: Files, probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[Prediction]:
    """Probabilities of files, (n, classes), as the likeliest classes of each."""
    decoded = decode_predictions(probabilities, class_names, top)
    return [
        Prediction(str(path), best) for path, best in zip(paths, decoded, strict=True)
    ]


def decode_predictions(
    probabilities: np.ndarray, class_names: Sequence[str], top: int = 5
) -> list[tuple[tuple[str, float], ...]]:
    """The `top` likeliest classes of each row of (n, classes), likeliest first.

    Raises:
        UsageError: the rows have another length than there are names.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_names):
        raise UsageError(
            f"expected probabilities of shape (n, {len(class_names)}) for "
            f"{len(class_names)} class names; got {probabilities.shape}"
        )
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top].tolist()
    return [
        tuple((str(class_names[i]), float(row[i])) for i in best)
        for row, best in zip(probabilities, order, strict=True)
    ]


def _class_count(model: keras.Model) -> int:
    return 2 if _is_binary(model) else model.outputs[0].shape[-1]


def _is_binary(model: keras.Model) -> bool:
    one_unit = model.outputs[0].shape[-1] == 1
    return one_unit and metadata_of(model).options["classes"] == 2
