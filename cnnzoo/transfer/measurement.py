"""assess(): which of the four cases a data set is, small or large, similar or different.

CS231n's rule (https://cs231n.github.io/transfer-learning) gives no numbers. Here a data
set is small below 20,000 images, as in BiT's hyper-rule (Kolesnikov et al. 2019,
https://arxiv.org/abs/1912.11370), and different if a linear probe is clearly more
accurate at an earlier stage of the network than at the last one: by two points and a
standard error of the difference in each repeat of stratified folds. The means of all
stages together are a candidate, too (Head2Toe, Evci et al. 2022,
https://arxiv.org/abs/2201.03529).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled, as_labelled
from cnnzoo.data.pipeline import align_labels
from cnnzoo.errors import DatasetError
from cnnzoo.metadata import find_metadata, metadata_of
from cnnzoo.spec import Preprocess, resolve
from cnnzoo.system.validation import AT_LEAST_ZERO, COUNT, check_values
from cnnzoo.transfer.assessment import FEW_PER_CLASS, SMALL, Assessment
from cnnzoo.transfer.cut_points import Cut, find_cuts, stage_cuts
from cnnzoo.transfer.evidence import (
    MIN_GAIN,
    Evidence,
    best_of,
    closest_rival,
    deepest_of,
    smallest_gain,
)
from cnnzoo.transfer.features import probes
from cnnzoo.transfer.features.embeddings import Pooling, embed, in_memory, pixels
from cnnzoo.transfer.random_baseline import build_random_baseline

FEW_IMAGES = 200  # in all classes, below which nothing is fine-tuned
FEW_SHOTS = 10  # images in the smallest class, below which nothing is fine-tuned
PROBED = 1000  # images for the probes: enough to detect a gain of a few points
Embeddings = Mapping[tuple[str, Pooling], np.ndarray]
RULES = {"probed": COUNT, "small": AT_LEAST_ZERO}


def assess(
    model: keras.Model,
    source: Labelled,
    *,
    probed: int = PROBED,
    cuts: Sequence[Cut | str] | None = None,
    preprocessing: str | Preprocess | None = None,
    small: int = SMALL,
    seed: int = 0,
    batch_size: int | None = None,
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
        batch_size: Number of images per batch; None as in `cnnzoo.evaluate`.

    Raises:
        DatasetError: There are no labels, or fewer than two classes of two images.
        LabelError: The labels are no class numbers.
        UsageError: The pixels are not in 0 to 255, an argument is out of range, the model
            has no such cut, or its preprocessing is unknown.
    """
    check_values("assess", {"probed": probed, "small": small}, RULES)
    chosen, counts = sample(source, probed, seed)
    images, labels = in_memory(model, chosen), np.asarray(chosen.labels)
    wanted = [cut if isinstance(cut, str) else cut.name for cut in cuts or ()]
    places = find_cuts(model, wanted) if wanted else stage_cuts(model)
    mode = metadata_of(model).outside if preprocessing is None else resolve(preprocessing)
    names = [cut.name for cut in places]
    random = build_random_baseline(model, images, mode, seed)
    own, baseline = (
        embed(network, names, images, mode, batch_size) for network in (model, random)
    )
    sides = images.images.shape[1:3]
    known = find_metadata(model)
    return decide(
        counts,
        measure_cuts(places, own, baseline, labels, seed),
        probed=len(labels),
        sample=chosen,
        pixels=probes.probe(pixels(images.images), labels, seed=seed).accuracy,
        network=model.name,
        sides=sides,
        own_sides=known.spec.input_shape[:2] if known else sides,
        large_from=small,
    )


def measure_cuts(
    places: Sequence[Cut],
    own: Embeddings,
    baseline: Embeddings | None,
    labels: np.ndarray,
    seed: int,
) -> tuple[Evidence, ...]:
    """The evidence at each cut, and on the means of all of them side by side.

    Args:
        places: Cuts, shallow to deep.
        own: Embeddings at these cuts.
        baseline: The same with random weights in the network; None to leave this out.
        labels: (n,) class numbers.
        seed: Random seed of the folds.
    """

    def at(found: Embeddings, name: str, pooling: Pooling) -> probes.Probe:
        return probes.probe(found[name, pooling], labels, seed=seed)

    def together(found: Embeddings) -> probes.Probe:
        means = [found.get((cut.name, "avg"), found[cut.name, None]) for cut in places]
        widths = [mean.shape[1] for mean in means]
        return probes.probe(np.concatenate(means, 1), labels, widths, seed)

    table = []
    for cut in places:
        pooling, best = None, at(own, cut.name, None)
        if (cut.name, "avg") in own:  # shorter: taken unless quarters are clearly better
            mean = at(own, cut.name, "avg")
            if best.accuracy <= mean.accuracy + mean.error:
                pooling, best = "avg", mean
        random = at(baseline, cut.name, pooling) if baseline else None
        table.append(_evidence(cut, pooling, best, random))
    if len(places) > 1:
        random = together(baseline) if baseline else None
        table.append(_evidence(None, None, together(own), random))
    return tuple(table)


def _evidence(
    cut: Cut | None, pooling: Pooling, own: probes.Probe, random: probes.Probe | None
) -> Evidence:
    return Evidence(
        cut,
        pooling,
        own.features,
        accuracies=tuple(own.accuracies.tolist()),
        error=own.error,
        random_accuracies=tuple(random.accuracies.tolist()) if random else (),
        probe=own,
    )


def decide(
    counts: np.ndarray, table: tuple[Evidence, ...], *, large_from: int, **evidence
) -> Assessment:
    """The case that follows from the images per class, (classes,), and the probes."""
    images, smallest = int(counts.sum()), int(counts.min())
    few_shots = smallest < FEW_SHOTS or images < FEW_IMAGES
    small = few_shots or images < large_from or np.median(counts) < FEW_PER_CLASS
    best, random = best_of(table), max(table, key=lambda row: row.random_accuracy)
    cuts, used = [row for row in table if row.cut], deepest_of(table)
    _, gain = closest_rival(cuts)
    different = gain >= MIN_GAIN and used.stage != cuts[-1].stage
    return Assessment(
        case=(3 if different else 1) + (0 if small else 1),
        images=images,
        smallest_class=smallest,
        largest_class=int(counts.max()),
        few_shots=few_shots,
        table=table,
        benefit=best.accuracy - random.random_accuracy,
        weights_help=smallest_gain(best.accuracies, random.random_accuracies) >= MIN_GAIN,
        large_from=large_from,
        **evidence,
    )


def sample(source: Labelled, probed: int, seed: int) -> tuple[Source, np.ndarray]:
    """Images for the probes, of every class by its share.

    Returns:
        The images, with the classes that occur, and the number of images per class of
        the whole source, (classes,).
    """
    every = _with_classes_that_occur(as_labelled(source, split="train"))
    labels = np.asarray(every.labels)
    return every.take(sample_rows(labels, probed, seed)), np.bincount(labels)


def _with_classes_that_occur(source: Source) -> Source:
    """The same images without the classes that have none."""
    if source.labels is None:
        raise DatasetError(
            "cannot measure images without labels: expected a class for each image; give "
            "class folders or a label column"
        )
    labels = align_labels(source, source.class_names).labels  # checks both
    present, labels, counts = np.unique(
        np.asarray(labels), return_inverse=True, return_counts=True
    )
    if len(present) < 2 or counts.min() < 2:
        raise DatasetError(
            "cannot measure so few images: expected at least two classes of at least two "
            f"images, found {len(present)} classes, the smallest of {counts.min()}; add "
            "images"
        )
    return source.relabel(labels, [source.class_names[number] for number in present])


def sample_rows(labels: np.ndarray, probed: int, seed: int) -> np.ndarray:
    """Random rows of every class by its share of `probed`, at least two of each."""
    if len(labels) <= probed:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == c)) for c in range(labels.max() + 1)]
    wanted = [max(2, round(probed * len(own) / len(labels))) for own in rows]
    return np.sort(np.concatenate([r[:n] for r, n in zip(rows, wanted, strict=True)]))
