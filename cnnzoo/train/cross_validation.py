"""Cross-validation: the same training several times, each without a fold of the data."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
from sklearn.model_selection import StratifiedKFold

from cnnzoo.data.arrays import Source
from cnnzoo.data.pipeline import align_labels
from cnnzoo.data.splits import first_rows
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.inference import Evaluation, class_names, evaluate, judged
from cnnzoo.system import files
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.replicates import NewModel, trained

# Of what a fold learns from, held out to choose its best epoch by: the first share that
# has every class.
CHOOSING = (0.1, 0.2, 0.35, 0.5)
FOLDS_FILE = "folds.json"
PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True)
class Folds:
    """What networks say of images that they never saw.

    Attributes:
        accuracies: of each fold, 0 to 1.
        evaluation: of all images, each judged by the network that did not learn it;
            `evaluation.probabilities` are in the order of the data.
    """

    accuracies: tuple[float, ...]
    evaluation: Evaluation

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Of the folds' accuracies, with n - 1."""
        return float(np.std(self.accuracies, ddof=1))

    def to_dict(self) -> dict:
        """The figures as JSON has them."""
        return {
            "accuracies": self.accuracies,
            "mean": self.mean,
            "deviation": self.deviation,
            "accuracy": self.evaluation.accuracy,
            "images": self.evaluation.images,
        }


def kfold(
    new_model: NewModel,
    source: Source,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    group_by: str | None = None,
    verbose: int = 0,
) -> Folds:
    """Cross-validation: each image is judged by a network that has not seen it.

    A fold serves to judge and to nothing else: the best epoch is chosen by a tenth of
    what the fold learns from, or more where that lacks a class. Every fold is a `Run`,
    so what was killed goes on.

    Args:
        new_model: builds the network anew; Keras's seed is set before, to `seed` and the
            number of the fold.
        source: labelled images.
        folder: of the runs, `fold-1` and so on, of `folds.json`, and of
            `predictions.npz`: what each image was taken for by the network that did not
            learn it (`probabilities`, `labels` and `class_names`).
        folds: at least 2, with as many images of each class.
        seed: of the folds.
        group_by: a regular expression, for a folder of files; see `Source.groups`.

    Raises:
        UsageError: fewer than 2 folds, or groups of what has no names.
        DatasetError: a class has fewer images than there are folds, or a fold would
            leave fewer than two of it.
    """

    def of_fold(number: int, parts: tuple[Source, Source]) -> keras.Model:
        return trained(
            new_model,
            parts,
            Path(folder) / f"fold-{number}",
            recipe,
            seed=seed + number,
            verbose=verbose,
        )

    result = cross_validated(of_fold, source, folds=folds, seed=seed, group_by=group_by)
    files.write_json(Path(folder) / FOLDS_FILE, result.to_dict())
    files.write_bytes(Path(folder) / PREDICTIONS_FILE, _predictions(result.evaluation))
    return result


def _predictions(evaluation: Evaluation) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        probabilities=evaluation.probabilities,
        labels=evaluation.labels,
        class_names=np.array([report.name for report in evaluation.classes]),
    )
    return buffer.getvalue()


def cross_validated(
    trained: Callable[[int, tuple[Source, Source]], keras.Model],
    source: Source,
    *,
    folds: int,
    seed: int = 0,
    group_by: str | None = None,
) -> Folds:
    """`kfold` of networks that are made in any way.

    Args:
        trained: makes the network of a fold, given its number from 1, the images to
            learn from, and those that choose its best epoch.
    """
    parts = [
        (_choosing(source.take(learned), seed, group_by), judging)
        for learned, judging in split(source, folds, seed, group_by)
    ]
    answers, names = np.zeros(0), source.class_names
    accuracies = []
    for number, (learned, judging) in enumerate(parts, start=1):
        model = trained(number, learned)
        found = evaluate(model, source.take(judging))
        if number == 1:
            answers = np.zeros((len(source), found.probabilities.shape[1]), "float32")
        answers[judging] = found.probabilities
        accuracies.append(found.accuracy)
        names = class_names(model)
    return Folds(tuple(accuracies), judged(answers, align_labels(source, names)))


def _choosing(source: Source, seed: int, group_by: str | None) -> tuple[Source, Source]:
    """What is learnt from, and what chooses the epoch: of each class one at least."""
    for share in CHOOSING:
        with suppress(DatasetError):
            return source.split(share, seed, group_by)
    raise DatasetError(
        "a fold leaves too little to learn from: expected two images of each class, one "
        f"of which chooses the epoch, among the {len(source)} others, copies and groups "
        "counted once; add images or make more folds"
    )


def split(source: Source, folds: int, seed: int, group_by: str | None = None):
    """Yields, for each fold, the rows to learn from and those to judge by.

    Each class has the same share in every fold; copies of a file, and files of a group,
    are in one.

    Raises:
        UsageError: fewer than 2 folds.
        DatasetError: a class has fewer images than there are folds.
    """
    if folds < 2:
        raise UsageError(f"cannot make {folds} folds: expected at least 2, so pass more")
    if source.labels is None:
        raise DatasetError("folds need labels and the data have none; give labelled data")
    labels = np.asarray(source.labels)
    rows = np.arange(len(labels))
    first, group = first_rows(source.groups(group_by), len(rows))
    present, counts = np.unique(labels[first], return_counts=True)
    if counts.min() < folds:
        few = source.class_names[present[counts.argmin()]]
        raise DatasetError(
            f"cannot make {folds} folds: expected as many images of each class, copies "
            f"and groups counted once, found {counts.min()} of {few!r}; add images or "
            "make fewer folds"
        )
    maker = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for _, chosen in maker.split(np.zeros(len(first)), labels[first]):
        judging = np.isin(group, chosen)
        yield rows[~judging], rows[judging]
