"""assess(): which of the four cases a data set is, small or large, similar or different.

CS231n's rule (https://cs231n.github.io/transfer-learning) gives no numbers. Here a data
set is small below 20,000 images, as in BiT's hyper-rule (Kolesnikov et al. 2019,
https://arxiv.org/abs/1912.11370), and different if a linear probe is significantly more
accurate at an earlier cut of the network than at the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled, as_labelled
from cnnzoo.data.pipeline import align_labels
from cnnzoo.errors import DatasetError
from cnnzoo.metadata import metadata_of
from cnnzoo.spec import Preprocess, resolve
from cnnzoo.system.validation import AT_LEAST_ZERO, COUNT, check_values
from cnnzoo.transfer import probes
from cnnzoo.transfer.assessment import (
    ALPHA,
    FEW_PER_CLASS,
    MIN_GAIN,
    SMALL,
    Assessment,
    Evidence,
    best_of,
)
from cnnzoo.transfer.cut_points import Cut, find_cuts, stage_cuts
from cnnzoo.transfer.embeddings import BATCH, embed, in_memory, pixels
from cnnzoo.transfer.random_baseline import build_random_baseline

FEW_IMAGES = 200  # in all classes, below which nothing is fine-tuned
FEW_SHOTS = 10  # images in the smallest class, below which nothing is fine-tuned
PROBED = 2000  # images for the probes: enough to detect a gain of a few points
RULES = {"probed": COUNT, "batch_size": COUNT, "small": AT_LEAST_ZERO}


def assess(
    model: keras.Model,
    source: Labelled,
    *,
    probed: int = PROBED,
    cuts: Sequence[Cut | str] | None = None,
    preprocessing: str | Preprocess | None = None,
    small: int = SMALL,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Assessment:
    """Measures which of the four cases a data set is for a network.

    It takes a forward pass of the network and one of a copy with random weights. The same
    seed gives the same assessment.

    Args:
        model: Functional classifier with trained weights.
        source: Labelled images, in any form that `train.Run` takes.
        probed: Approximate number of images for the probes; at least two per class.
        cuts: Cuts or their names; None for the ends of the stages.
        preprocessing: Mode of `preprocess_input` for a model that `build` did not make;
            None for the model's own.
        small: Number of images below which a data set is small.
        seed: Random seed of the choice of images and of the random weights.
        batch_size: Number of images per batch.

    Raises:
        DatasetError: There are no labels, or fewer than two classes of two images.
        LabelError: The labels are no class numbers.
        UsageError: The pixels are not in 0 to 255, an argument is out of range, the model
            has no such cut, or its preprocessing is unknown.
    """
    values = {"probed": probed, "batch_size": batch_size, "small": small}
    check_values("assess", values, RULES)
    every = _class_numbers(source := as_labelled(source, split="train"))
    rows = _sample_rows(every, probed, seed)
    images, labels = in_memory(model, source.take(rows)), every[rows]
    wanted = [cut if isinstance(cut, str) else cut.name for cut in cuts or ()]
    places = find_cuts(model, wanted) if wanted else stage_cuts(model)
    mode = metadata_of(model).outside if preprocessing is None else resolve(preprocessing)

    def probe(network: keras.Model) -> list[probes.Ridge]:
        found = embed(network, [cut.name for cut in places], images, mode, batch_size)
        return [probes.leave_one_out(found[cut.name], labels) for cut in places]

    ridges = probe(model)
    baseline = probe(build_random_baseline(model, images, mode, seed))
    table = _table(places, ridges, baseline, labels)
    benefit, p_value = _benefit(ridges, baseline, labels)
    return _decide(
        np.unique(every, return_counts=True)[1],
        table,
        probed=len(rows),
        pixels=probes.leave_one_out(pixels(images.images), labels).accuracy,
        benefit=benefit,
        benefit_p_value=p_value,
        network=model.name,
        large_from=small,
    )


def _decide(
    counts: np.ndarray, table: tuple[Evidence, ...], *, large_from: int, **evidence
) -> Assessment:
    """The case that follows from the images per class, (classes,), and the probes."""
    images, smallest = int(counts.sum()), int(counts.min())
    best = best_of(table)
    gain = best.accuracy - table[-1].accuracy
    similar = not (gain >= MIN_GAIN and best.p_value < ALPHA)
    few_shots = smallest < FEW_SHOTS or images < FEW_IMAGES
    small = few_shots or images < large_from or np.median(counts) < FEW_PER_CLASS
    # The deepest cut within one standard error of the best; no test of significance.
    near = [row for row in table if row.accuracy >= best.accuracy - best.error]
    return Assessment(
        case=(1 if similar else 3) + (0 if small else 1),
        cut=near[-1].cut.name,
        images=images,
        smallest_class=smallest,
        largest_class=int(counts.max()),
        small=bool(small),
        similar=similar,
        few_shots=few_shots,
        table=table,
        large_from=large_from,
        **evidence,
    )


def _table(
    cuts: Sequence[Cut],
    ridges: Sequence[probes.Ridge],
    baseline: Sequence[probes.Ridge],
    labels: np.ndarray,
) -> tuple[Evidence, ...]:
    right = [ridge.predictions == labels for ridge in ridges]
    p_values = probes.holm([probes.mcnemar(one, right[-1]) for one in right[:-1]])
    return tuple(
        Evidence(
            cut=cut,
            accuracy=ridge.accuracy,
            error=math.sqrt(ridge.accuracy * (1 - ridge.accuracy) / len(labels)),
            random_baseline=random.accuracy,
            penalty=ridge.penalty,
            p_value=p_value,
        )
        for cut, ridge, random, p_value in zip(
            cuts, ridges, baseline, [*p_values, 1.0], strict=True
        )
    )


def _benefit(
    ridges: Sequence[probes.Ridge], baseline: Sequence[probes.Ridge], labels: np.ndarray
) -> tuple[float, float]:
    """The gain over random weights, each at its best cut, and its p-value."""
    ours, random = (
        max(probed, key=lambda ridge: ridge.accuracy) for probed in (ridges, baseline)
    )
    p_value = probes.mcnemar(ours.predictions == labels, random.predictions == labels)
    return ours.accuracy - random.accuracy, p_value


def _class_numbers(source: Source) -> np.ndarray:
    """The labels, (n,), with the classes that occur numbered from 0."""
    if source.labels is None:
        raise DatasetError(
            "cannot assess images without labels: expected a class for each image; give "
            "class folders or a label column"
        )
    labels = align_labels(source, source.class_names).labels  # checks both
    present, labels, counts = np.unique(
        np.asarray(labels), return_inverse=True, return_counts=True
    )
    if len(present) < 2 or counts.min() < 2:
        raise DatasetError(
            "cannot assess so few images: expected at least two classes of at least two "
            f"images, found {len(present)} classes, the smallest of {counts.min()}; add "
            "images"
        )
    return labels


def _sample_rows(labels: np.ndarray, probed: int, seed: int) -> np.ndarray:
    """Random rows of every class by its share of `probed`, at least two of each."""
    if len(labels) <= probed:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == c)) for c in range(labels.max() + 1)]
    wanted = [max(2, round(probed * len(own) / len(labels))) for own in rows]
    return np.sort(np.concatenate([r[:n] for r, n in zip(rows, wanted, strict=True)]))
