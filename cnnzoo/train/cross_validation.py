"""Cross-validation: repeated training, each time without one fold."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled, as_training
from cnnzoo.data.pipeline import align_labels
from cnnzoo.data.sources import split_folds
from cnnzoo.errors import DatasetError
from cnnzoo.evaluation import PREDICTIONS_FILE, Evaluation, evaluate_probabilities
from cnnzoo.inference import class_names, evaluate
from cnnzoo.system import files
from cnnzoo.system.runtime import Verbose
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.replicates import NewModel, known_names, train_once

# Shares of a fold's training images by which its best epoch is chosen; the first is used
# that has an image of every class.
VALIDATION_SHARES = (0.1, 0.2, 0.35, 0.5)
FOLDS_FILE = "folds.json"
LABEL_ERRORS_FILE, LABEL_ERRORS_PICTURE = "label_errors.json", "label_errors.png"
WRITTEN = FOLDS_FILE, PREDICTIONS_FILE, LABEL_ERRORS_FILE, LABEL_ERRORS_PICTURE
FORMAT = 1  # of the JSON files


@dataclass(frozen=True)
class Folds:
    """Results of a cross-validation.

    Attributes:
        accuracies: Accuracy of each fold, from 0 to 1.
        evaluation: Evaluation of all images, each by the network that was not trained on
            it; `evaluation.probabilities` are in the order of the data. A tf.data.Dataset
            or a PyDataset is sorted by its content; `evaluation.labels` are likewise.
            Each network has its own temperature, fitted on the images that chose its
            epoch, so neither calibration error is one of images that a fit has seen.
    """

    accuracies: tuple[float, ...]
    evaluation: Evaluation

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the folds' accuracies."""
        return float(np.std(self.accuracies, ddof=1))

    def to_dict(self) -> dict:
        """The metrics as JSON can hold them."""
        return {
            "accuracies": self.accuracies,
            "mean": self.mean,
            "deviation": self.deviation,
            "accuracy": self.evaluation.accuracy,
            "images": self.evaluation.images,
            "calibration_error": self.evaluation.calibration_error,
            "raw_calibration_error": self.evaluation.raw_calibration_error,
        }


def kfold(
    new_model: NewModel,
    source: Labelled,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    group_by: str | None = None,
    verbose: Verbose = "auto",
) -> Folds:
    """Cross-validation: each image is evaluated by a network that was not trained on it.

    A fold is used for evaluation only: the best epoch is chosen by a tenth of the other
    images, or more if that lacks a class. Every fold is a `Run`, so a cross-validation
    that was interrupted continues.

    Args:
        new_model: Function that builds the network; Keras's seed is set before, to
            `seed` plus the number of the fold.
        source: Labelled images, as `train` in `Run.fit`.
        folder: Folder of the runs, `fold-1` and so on, of `folds.json`, of
            `predictions.npz` (`probabilities`, `raw_probabilities` before the
            temperatures of the networks, `labels` and `class_names`), and of
            `label_errors.json` and `.png`: the images whose labels look wrong.
        recipe: Training recipe; None for the defaults.
        folds: Number of folds, at least 2 and at most the number of images per class.
        seed: Random seed of the folds.
        group_by: Regular expression that groups files; see `Source.groups`.
        verbose: As in `Run.fit`.

    Raises:
        UsageError: There are fewer than 2 folds, or groups of images without names.
        DatasetError: A class has fewer images than there are folds, or fewer than two
            outside a fold.
    """

    def train_fold(number: int, data: tuple[Source, Source]) -> keras.Model:
        path = Path(folder) / f"fold-{number}"
        return train_once(
            path, new_model, data, recipe, seed=seed + number, verbose=verbose
        )

    source = as_training(source, known_names(new_model, source))
    result = cross_validate(train_fold, source, folds=folds, seed=seed, group_by=group_by)
    _save(result, source, Path(folder))
    return result


def _save(result: Folds, source: Source, place: Path) -> None:
    """Writes the files of `kfold` but the runs."""
    from cnnzoo.visualization import figures

    evaluation = result.evaluation
    files.write_json(place / FOLDS_FILE, {"format": FORMAT, **result.to_dict()})
    suspects = {"format": FORMAT, "label_errors": evaluation.label_errors(source)}
    files.write_json(place / LABEL_ERRORS_FILE, suspects)
    picture = figures.label_errors(source, evaluation)
    files.write_bytes(place / LABEL_ERRORS_PICTURE, picture)
    with files.replacing(place / PREDICTIONS_FILE) as temporary:
        np.savez_compressed(
            temporary,
            probabilities=evaluation.probabilities,
            raw_probabilities=evaluation.raw_probabilities,
            labels=evaluation.labels,
            class_names=np.array([report.name for report in evaluation.classes]),
        )


def cross_validate(
    train_fold: Callable[[int, tuple[Source, Source]], keras.Model],
    source: Source,
    *,
    folds: int,
    seed: int = 0,
    group_by: str | None = None,
    validation: float = VALIDATION_SHARES[0],
) -> Folds:
    """Cross-validation as in `kfold`, with any function that trains a network.

    Args:
        train_fold: Function that trains the network of a fold, given the number of the
            fold, from 1, and its training and validation images.
        source: Labelled images.
        folds: Number of folds.
        seed: Random seed of the folds.
        group_by: Regular expression that groups files.
        validation: Least share of a fold's training images that chooses the epoch.
    """
    shares = [validation, *(s for s in VALIDATION_SHARES if s > validation)]
    parts = [
        (split_validation(source.take(train), seed, group_by, shares), test)
        for train, test in split_folds(source, folds, seed, group_by)
    ]
    results, names = [], source.class_names
    for number, (data, test) in enumerate(parts, start=1):
        model = train_fold(number, data)
        results.append(evaluate(model, source.take(test)))
        names = class_names(model)
    order = np.argsort(np.concatenate([test for _, test in parts]))
    found = np.concatenate([result.probabilities for result in results])[order]
    raw = np.concatenate([result.raw_probabilities for result in results])[order]
    labels = align_labels(source, names).labels
    accuracies = tuple(result.accuracy for result in results)
    return Folds(accuracies, evaluate_probabilities(found, labels, names, raw))


def split_validation(
    source: Source,
    seed: int,
    group_by: str | None,
    shares: Sequence[float] = VALIDATION_SHARES,
) -> tuple[Source, Source]:
    """Training and validation images, with at least one of each class in both."""
    for share in shares:
        with suppress(DatasetError):
            return source.split(share, seed, group_by)
    raise DatasetError(
        "a fold leaves too few training images: expected at least two per class, one of "
        f"which chooses the epoch, among the {len(source)} others, where copies and "
        "groups count once; add images or make more folds"
    )
