"""Which of the four cases a data set is, measured: small or large, similar or different.

CS231n's rule (https://cs231n.github.io/transfer-learning) gives no numbers. Here a data
set is small below 20,000 images, as in BiT's hyper-rule (Kolesnikov et al. 2019,
https://arxiv.org/abs/1912.11370), and different where an earlier cut of the network
serves a linear probe significantly better than its last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from cnnzoo.data.pipeline import Source, align_labels
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.metadata import metadata_of
from cnnzoo.spec import Preprocess, resolve
from cnnzoo.system.validation import is_at_least_zero, is_count
from cnnzoo.transfer import probes
from cnnzoo.transfer.assessment import ALPHA, FEW_A_CLASS, MIN_GAIN, SMALL, Assessment
from cnnzoo.transfer.cut_points import Cut, find_cuts, stage_cuts
from cnnzoo.transfer.embeddings import BATCH, codes, in_memory, pixels
from cnnzoo.transfer.evidence import Evidence, best_of
from cnnzoo.transfer.random_baseline import calibrated_twin

FEW_IMAGES = 200  # of all classes, below which nothing is fine-tuned
FEW_SHOTS = 10  # images of the rarest class, below which nothing is fine-tuned
PROBED = 2000  # images that are asked: enough to show a gain of some points


def assess(
    model: keras.Model,
    source: Source,
    *,
    probed: int = PROBED,
    cuts: Sequence[Cut | str] | None = None,
    preprocessing: str | Preprocess | None = None,
    small: int = SMALL,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Assessment:
    """Measures which of the four cases a data set is for a network.

    Two forward passes, of the network and of a twin with random weights, and a matrix
    decomposition a cut. The same seed gives the same assessment.

    Args:
        model: a functional classifier with trained weights.
        source: labelled images; all are counted, and some are asked.
        probed: how many images are asked, about; of each class at least two.
        cuts: where, or their names; None for the ends of the stages.
        preprocessing: a mode of `preprocess_input`, for a model that `build` did not
            make; None for what the model says.
        small: the number of images below which a data set is small.
        seed: of which images are asked, and of the twin.

    Raises:
        DatasetError: no labels, fewer than two classes, or a class with one image.
        LabelError: labels that are no numbers of classes.
        UsageError: the images are no pixels of 0 to 255, a number is out of its range,
            or the model has no such place to cut it, or does not tell how it wants
            images preprocessed.
    """
    _check_numbers(probed=probed, batch_size=batch_size, small=small)
    labels = _labels(source)
    counts = np.unique(labels, return_counts=True)[1]
    rows = _chosen(labels, probed, seed)
    asked, classes = in_memory(model, source.take(rows)), labels[rows]
    wanted = [cut if isinstance(cut, str) else cut.name for cut in cuts or ()]
    places = find_cuts(model, wanted) if wanted else stage_cuts(model)
    names = [cut.name for cut in places]
    mode = metadata_of(model).outside if preprocessing is None else resolve(preprocessing)
    found = codes(model, names, asked, mode, batch_size)
    seen = [_seen(found[name], classes) for name in names]
    twin = calibrated_twin(model, asked, mode, seed)
    drawn = codes(twin, names, asked, mode, batch_size)
    twins = [probes.leave_one_out(drawn[name], classes) for name in names]
    table = _table(places, seen, twins, classes)
    similar = not _is_different(table)
    place = table.index(best_of(table))
    by_size = _by_size(found[names[place]], classes, seed)
    few_shots = int(counts.min()) < FEW_SHOTS or len(labels) < FEW_IMAGES
    is_small = few_shots or len(labels) < small or np.median(counts) < FEW_A_CLASS
    benefit, p_value = _benefit([one.ridge for one in seen], twins, classes)
    return Assessment(
        case=(1 if similar else 3) + (0 if is_small else 1),
        cut=_used(table),
        images=len(labels),
        smallest_class=int(counts.min()),
        largest_class=int(counts.max()),
        probed=len(rows),
        small=bool(is_small),
        similar=similar,
        few_shots=few_shots,
        table=table,
        pixels=probes.leave_one_out(pixels(asked.images), classes).accuracy,
        by_size=(*by_size, table[place].accuracy),
        learnt=seen[place].learnt,
        benefit=benefit,
        benefit_p_value=p_value,
        network=model.name,
        large_from=small,
    )


@dataclass(frozen=True)
class _Seen:
    ridge: probes.Ridge
    learnt: float
    neighbours: float
    log_evidence: float


def _seen(found: np.ndarray, labels: np.ndarray) -> _Seen:
    """What all probes say of the codes of one cut."""
    problem = probes.Problem(probes.standardised(found), labels)
    ridge = problem.leave_one_out()
    answers = probes.nearest(found.astype(np.float64), labels)
    return _Seen(
        ridge=ridge,
        learnt=problem.fitted(ridge.penalty),
        neighbours=float(np.mean(answers == labels)),
        log_evidence=problem.log_evidence(),
    )


def _table(
    cuts: Sequence[Cut],
    seen: Sequence[_Seen],
    twins: Sequence[probes.Ridge],
    labels: np.ndarray,
) -> tuple[Evidence, ...]:
    right = [one.ridge.answers == labels for one in seen]
    p_values = probes.holm([probes.mcnemar(one, right[-1]) for one in right[:-1]])
    return tuple(
        Evidence(
            cut=cut,
            accuracy=one.ridge.accuracy,
            error=math.sqrt(one.ridge.accuracy * (1 - one.ridge.accuracy) / len(labels)),
            neighbours=one.neighbours,
            log_evidence=one.log_evidence,
            twin=twin.accuracy,
            penalty=one.ridge.penalty,
            p_value=p_value,
        )
        for cut, one, twin, p_value in zip(
            cuts, seen, twins, [*p_values, 1.0], strict=True
        )
    )


def _by_size(found: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, float]:
    """Accuracy of the probe with a quarter and with half of the images."""
    quarter, half = (
        probes.leave_one_out(found[rows], labels[rows]).accuracy
        for rows in (_chosen(labels, len(labels) // share, seed) for share in (4, 2))
    )
    return quarter, half


def _is_different(table: Sequence[Evidence]) -> bool:
    best = best_of(table)
    return best.accuracy - table[-1].accuracy >= MIN_GAIN and best.p_value < ALPHA


def _used(table: Sequence[Evidence]) -> str:
    """The deepest cut within a standard error of the best: a choice needs no proof."""
    best = best_of(table)
    near = [row for row in table if row.accuracy >= best.accuracy - best.error]
    return near[-1].cut.name


def _benefit(
    seen: Sequence[probes.Ridge], twins: Sequence[probes.Ridge], labels: np.ndarray
) -> tuple[float, float]:
    """The gain over random weights, each at its best cut, and its p-value."""
    ours, theirs = (
        max(ridges, key=lambda ridge: ridge.accuracy) for ridges in (seen, twins)
    )
    p_value = probes.mcnemar(ours.answers == labels, theirs.answers == labels)
    return ours.accuracy - theirs.accuracy, p_value


def _check_numbers(*, small: int, **counts: int) -> None:
    """Raises UsageError for numbers out of their range."""
    for name, value in counts.items():
        if not is_count(value):
            raise UsageError(
                f"cannot assess with {name}={value!r}: expected a whole number of at "
                "least 1, so pass one"
            )
    if not is_at_least_zero(small):
        raise UsageError(
            f"cannot assess with small={small!r}: expected a whole number of images, 0 "
            "where no set is small, so pass one"
        )


def _labels(source: Source) -> np.ndarray:
    """The classes that occur, numbered from 0."""
    if source.labels is None:
        raise DatasetError(
            "a case is measured on labelled images and the data have no labels; give "
            "class folders or a label column"
        )
    labels = align_labels(source, source.class_names).labels  # which checks both
    present, labels, counts = np.unique(
        np.asarray(labels), return_inverse=True, return_counts=True
    )
    if len(present) < 2 or counts.min() < 2:
        raise DatasetError(
            f"a case is measured on at least two classes of at least two images; found "
            f"{len(present)} classes, the smallest of {counts.min()}; add images"
        )
    return labels


def _chosen(labels: np.ndarray, probed: int, seed: int) -> np.ndarray:
    """Some rows of every class, at least two of each: its share of `probed`, or more."""
    if len(labels) <= probed:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == c)) for c in range(labels.max() + 1)]
    wanted = [max(2, round(probed * len(own) / len(labels))) for own in rows]
    return np.sort(np.concatenate([r[:n] for r, n in zip(rows, wanted, strict=True)]))
