"""Metrics of predictions on labelled images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cnnzoo.calibration import calibration_error
from cnnzoo.data.arrays import Source, check_labels
from cnnzoo.errors import DatasetError, LabelError, UsageError
from cnnzoo.system import files

PREDICTIONS_FILE = "predictions.npz"  # of a cross-validation
ROUNDING = 1e-6  # of probabilities, so that equal ones are equal


@dataclass(frozen=True)
class ClassReport:
    """Metrics of one class.

    Attributes:
        name: Name of the class.
        precision: Precision, 0 to 1.
        recall: Recall, 0 to 1.
        f1: F1 score, 0 to 1.
        images: Number of images of the class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions on labelled images, and their metrics.

    Attributes:
        images: Number of images.
        accuracy: Share of correctly classified images, 0 to 1.
        classes: Metrics per class.
        confusion: (classes, classes) counts; rows are true, columns predicted classes.
        probabilities: (images, classes) float32 with rows of sum 1.
        labels: (images,) true class numbers.
        raw_probabilities: (images, classes) before the temperature; the same array if
            there is none.
    """

    images: int
    accuracy: float
    classes: tuple[ClassReport, ...]
    confusion: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray
    raw_probabilities: np.ndarray

    @property
    def errors(self) -> int:
        """Number of misclassified images."""
        return self.images - int(self.confusion.trace())

    @property
    def error_percent(self) -> float:
        return 100 * (1 - self.accuracy)

    @property
    def error_interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of the error, in per cent."""
        return error_interval(self.errors, self.images)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (ECE), 0 to 1."""
        return calibration_error(self.probabilities, self.labels)

    @property
    def raw_calibration_error(self) -> float:
        """Expected calibration error before the temperature, 0 to 1."""
        return calibration_error(self.raw_probabilities, self.labels)

    @property
    def calibration(self) -> str:
        """The calibration errors as a part of a sentence."""
        text = f"expected calibration error {self.calibration_error:.3f}"
        if self.raw_calibration_error == self.calibration_error:
            return text
        return f"{text}, before the temperature {self.raw_calibration_error:.3f}"

    @property
    def summary(self) -> str:
        """Accuracy, error with its interval, and calibration, as a part of a sentence."""
        low, high = self.error_interval
        return (
            f"accuracy {100 * self.accuracy:.2f} %, error {self.error_percent:.2f} %: "
            f"{self.errors:,} of {self.images:,} images, 95 % confidence interval "
            f"{low:.2f} to {high:.2f} %; {self.calibration}"
        )

    def most_confident_errors(self, most: int | None = None) -> np.ndarray:
        """Row numbers of misclassified images, the highest probability first."""
        wrong = np.flatnonzero(self.probabilities.argmax(1) != self.labels)
        return wrong[np.argsort(-self.probabilities[wrong].max(1), kind="stable")][:most]

    def likely_label_errors(self, most: int | None = None) -> np.ndarray:
        """Row numbers of images whose labels look wrong, the most suspicious first.

        The network, or that of each fold, must not have been trained on these images.
        Outputs that are no probabilities, such as logits, tell nothing: there are none.
        """
        low, high = self.probabilities.min(initial=0), self.probabilities.max(initial=0)
        if low < 0 or high > 1 + ROUNDING:
            return np.zeros(0, int)
        return likely_label_errors(self.probabilities, self.labels)[:most]

    def misclassified(self, source: Source) -> list[dict]:
        """Facts about every error, the highest probability first, for JSON.

        Args:
            source: The images that were evaluated, in their order.
        """
        return self._facts(source, self.most_confident_errors())

    def label_errors(self, source: Source) -> list[dict]:
        """Facts about every likely label error, the most suspicious first, for JSON.

        Args:
            source: The images that were evaluated, in their order.
        """
        return self._facts(source, self.likely_label_errors())

    def _facts(self, source: Source, rows: np.ndarray) -> list[dict]:
        names = [one.name for one in self.classes]
        predicted = self.probabilities.argmax(1)
        return [
            {
                "row": int(row),
                "image": image,
                "label": names[self.labels[row]],
                "label_probability": float(self.probabilities[row, self.labels[row]]),
                "predicted": names[predicted[row]],
                "probability": float(self.probabilities[row, predicted[row]]),
            }
            for image, row in zip(source.names_of(rows), rows, strict=True)
        ]

    def to_dict(self) -> dict:
        """The metrics, for JSON; neither probabilities nor labels."""
        return {
            "images": self.images,
            "errors": self.errors,
            "accuracy": self.accuracy,
            "error_percent": self.error_percent,
            "error_interval": self.error_interval,
            "calibration_error": self.calibration_error,
            "raw_calibration_error": self.raw_calibration_error,
            "classes": [asdict(row) for row in self.classes],
            "confusion": self.confusion.tolist(),
        }


def error_interval(errors: int, images: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of an error, in per cent.

    E. B. Wilson, Journal of the American Statistical Association 22, 1927.
    """
    from scipy.stats import binomtest

    found = binomtest(errors, images).proportion_ci(method="wilson")
    return 100 * float(found.low), 100 * float(found.high)


def likely_label_errors(
    probabilities: np.ndarray, labels: np.ndarray | Sequence[int]
) -> np.ndarray:
    """Row numbers of images whose labels look wrong, the most suspicious first.

    By confident learning (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068), an
    image may show a class if the probability of the class is at least its mean over the
    images with that label. A label looks wrong if the image may show another class, and
    the likeliest class is another. The most suspicious label has the lowest probability.
    The package cleanlab finds the same images in this order with
    `filter_by="confident_learning"` and its default ranking, by self-confidence.

    Args:
        probabilities: (images, classes), each row by a network that was not trained on
            the image, such as those of `kfold`.
        labels: (images,) class numbers.

    Raises:
        UsageError: The probabilities are no such array, or not from 0 to 1.
        LabelError: The labels are not class numbers, one per image.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    in_range = (probabilities >= 0) & (probabilities <= 1 + ROUNDING)
    if probabilities.ndim != 2 or not in_range.all():
        raise UsageError(
            "cannot look for label errors: expected probabilities from 0 to 1, (images, "
            f"classes), found {probabilities.min(initial=1):g} to "
            f"{probabilities.max(initial=0):g}, {probabilities.shape}; pass the outputs "
            "of a softmax"
        )
    images, classes = probabilities.shape
    check_labels(labels, images)
    if images and labels.max() >= classes:
        raise LabelError(
            f"cannot look for label errors: expected labels below {classes}, the number "
            f"of columns, found {labels.max()}; pass the probabilities of all classes"
        )
    own = probabilities[np.arange(images), labels]
    is_label = labels[:, None] == np.arange(classes)
    sums, counts = own @ is_label, is_label.sum(0)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    may_show_another = ((probabilities >= thresholds - ROUNDING) & ~is_label).any(1)
    likelier = probabilities.max(1, initial=0) > own + ROUNDING
    rows = np.flatnonzero(may_show_another & likelier)
    return rows[np.argsort(own[rows], kind="stable")]


def check_finite(probabilities: np.ndarray) -> None:
    """Raises UsageError for NaN, which would count as the first class, and infinity."""
    if bad := int((~np.isfinite(probabilities)).any(1).sum()):
        raise UsageError(
            f"the probabilities of {bad} of {len(probabilities)} images are NaN or "
            "infinite; leave these images out, or predict them by another model"
        )


def evaluate_probabilities(
    probabilities: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    raw: np.ndarray | None = None,
) -> Evaluation:
    """Compares probabilities, (images, classes), with labels, (images,).

    Args:
        probabilities: (images, classes).
        labels: (images,) class numbers.
        class_names: One name per class.
        raw: Probabilities before a temperature was applied; None if there was none.

    Raises:
        UsageError: A probability is NaN or infinite.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    raw = probabilities if raw is None else raw
    check_finite(probabilities)
    check_finite(raw)
    labels, predicted = np.asarray(labels), probabilities.argmax(1)
    every = np.arange(len(class_names))
    columns = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    rows = zip(class_names, *(np.asarray(c).tolist() for c in columns), strict=True)
    return Evaluation(
        images=len(labels),
        accuracy=float(np.mean(labels == predicted)),
        classes=tuple(ClassReport(*row) for row in rows),
        confusion=confusion_matrix(labels, predicted, labels=every),
        probabilities=probabilities,
        labels=labels,
        raw_probabilities=raw,
    )


def read_predictions(path: str | Path) -> Evaluation:
    """The evaluation of the predictions that `kfold` wrote.

    Args:
        path: A `predictions.npz`.

    Raises:
        DatasetError: The file has no predictions, or is damaged.
    """
    error = DatasetError(
        f"cannot read predictions from {path}: expected the file {PREDICTIONS_FILE} that "
        "kfold writes, so pass such a file; to train, pass --model and --out"
    )
    with files.refusing_damage(error):
        files.check_regular(Path(path))
        with np.load(path, allow_pickle=False) as arrays:
            probabilities, labels = arrays["probabilities"], arrays["labels"]
            names = tuple(map(str, arrays["class_names"]))
            raw = arrays.get("raw_probabilities", probabilities)  # older files lack it
    if not probabilities.shape == raw.shape == (len(labels), len(names)):
        raise error
    found, raw = probabilities.astype(np.float32), raw.astype(np.float32)
    return evaluate_probabilities(found, labels, names, raw)
