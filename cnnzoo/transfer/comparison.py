"""compare(): which of several networks suits some images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from statistics import median

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled
from cnnzoo.errors import UsageError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.inference import images_per_batch
from cnnzoo.metadata import metadata_of
from cnnzoo.system.text import abbreviate, text_table
from cnnzoo.system.validation import check_values
from cnnzoo.transfer.cut_points import front, stage_cuts
from cnnzoo.transfer.evidence import (
    AS_GOOD,
    SCORE,
    Evidence,
    Score,
    deepest_of,
    score,
)
from cnnzoo.transfer.features.embeddings import embed
from cnnzoo.transfer.measurement import PROBED, RULES, measure_cuts, sample
from cnnzoo.weights.fingerprint import Fingerprint, fingerprint

Sides = tuple[int | None, ...]
Models = Mapping[str, keras.Model] | Sequence[keras.Model]
Progress = Callable[[str, int, int], None]  # name, images done, all images
HEADER = (
    *("network", *SCORE, "classifier on", "input", "designed for"),
    *("parameters", "MACs", "ms/image"),
)


@dataclass(frozen=True)
class NetworkScore(Score):
    """How well a network's features suit the images, and what they cost.

    Attributes:
        used: Evidence at the cut that the classifier stands on.
        cut: This cut, or all of them, as `build` takes it.
        sides: Height and width of the model's images, in pixels; None if they are open.
        own_sides: Those that the network was designed for.
        parameters: Number of parameters up to the cut.
        macs: Multiply-adds up to the cut for one image; None if the model's image size
            is open.
        milliseconds: Duration per image of the forward pass through all stages on this
            machine: the median of the batches.
        batch_size: Number of images per batch.
        weights: Source and hash of the weights up to the last cut.
    """

    used: Evidence = field(repr=False, compare=False)
    cut: str | tuple[str, ...]
    sides: Sides
    own_sides: Sides
    parameters: int
    macs: int | None
    milliseconds: float
    batch_size: int
    weights: Fingerprint

    def to_dict(self) -> dict:
        """The fields as JSON has them, with pooling and length of the features."""
        used = {"pooling": self.used.pooling, "features": self.used.features}
        return {**super().to_dict(), **used, "weights": self.weights.to_dict()}

    def row(self) -> tuple[str, ...]:
        """The figures as texts, under `HEADER`."""
        return (
            *super().row(),
            str(self.used),
            *map(_size, (self.sides, self.own_sides)),
            f"{self.parameters:,}",
            abbreviate(self.macs),
            f"{self.milliseconds:.3g}",
        )


@dataclass(frozen=True)
class Comparison:
    """Which of several networks suits the images.

    Attributes:
        networks: Scores of the networks, the most accurate first; of equally accurate
            ones, that of the fewest multiply-adds.
        images: Number of images that the probes used.
        classes: Number of their classes.
    """

    networks: tuple[NetworkScore, ...]
    images: int
    classes: int

    @property
    def best(self) -> NetworkScore:
        """The most accurate network."""
        return self.networks[0]

    @property
    def cheapest(self) -> NetworkScore:
        """The fewest multiply-adds of those not shown to be less accurate."""
        good = [one for one in self.networks if one.is_as_good]
        return min(good, key=lambda one: inf if one.macs is None else one.macs)

    def to_dict(self) -> dict:
        """The fields as JSON has them, and the names of the best and the cheapest."""
        networks = [one.to_dict() for one in self.networks]
        names = {"best": self.best.name, "cheapest": self.cheapest.name}
        return {**vars(self), "networks": networks, **names}

    def picture(self) -> bytes:
        """The accuracy of each network over its milliseconds per image, as a PNG."""
        from cnnzoo.visualization.accuracy import Point, accuracy_by_cost

        points = [
            Point(one.name, one.milliseconds, one.accuracy, one.error, one.is_as_good)
            for one in self.networks
        ]
        title = f"{self.images:,} images of {self.classes} classes"
        return accuracy_by_cost(points, cost="milliseconds per image", title=title)

    def rows(self) -> list[tuple[str, ...]]:
        """The figures as texts, a row per network, under `HEADER`."""
        return [one.row() for one in self.networks]

    def notes(self) -> list[str]:
        """What was measured, the weights, and the conclusion, line by line."""
        return [
            f"accuracy: on {self.images:,} images of {self.classes} classes, of ridge "
            "regressions on the features of others, ± a standard error",
            "behind the best: points lost on the same images, ± their standard error",
            "parameters and MACs: up to where the classifier stands; ms/image: through "
            "all stages, the median of the batches on this machine",
            *(f"weights of {one.name}: {one.weights}" for one in self.networks),
            *([self._conclusion()] if len(self.networks) > 1 else []),
        ]

    def _conclusion(self) -> str:
        best, other = self.best, self.cheapest
        text = f"{best.name} is the most accurate"
        near = f"within {AS_GOOD} standard errors"
        if other is best:
            return f"{text}; no network of fewer multiply-adds is {near} of it"
        return (
            f"{text}; {other.name} is {near} of it, with {abbreviate(other.macs)} "
            f"multiply-adds in place of {abbreviate(best.macs)}"
        )

    def __str__(self) -> str:
        return "\n".join([text_table(HEADER, self.rows()), *self.notes()])


def compare(
    models: Models,
    source: Labelled,
    *,
    probed: int = PROBED,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measures which network's features suit the images, each by one forward pass.

    Each network is measured as by `assess`, on the same images and folds, and reads the
    images at its own size, batch by batch.

    Args:
        models: Networks from `build`, `load` or `adopt`, with trained weights; by name,
            or each by its own.
        source: Labelled images, in any form that `train.Run` takes.
        probed: Approximate number of images; at least two per class.
        seed: Random seed of the choice of images and of the folds.
        batch_size: Number of images per batch, at most half of them all; None as in
            `cnnzoo.evaluate`.
        progress: Called with the network's name, and the number of images done and of
            all, after each batch.

    Raises:
        DatasetError: There are no labels, or fewer than two classes of two images.
        LabelError: The labels are no class numbers.
        UsageError: There are no models or two of one name, a model does not come from
            cnnzoo or cannot take the images, or an argument is out of range.
    """
    check_values("compare", {"probed": probed}, {"probed": RULES["probed"]})
    named = _by_name(models)
    images, counts = sample(source, probed, seed)
    found = []
    for name, model in named.items():
        found.append(_measure(name, model, images, seed, batch_size, progress))
    found.sort(key=lambda one: (-one.accuracy, one.macs or inf, one.name))
    best = found[0].used.correct
    ranked = (replace(one, **score(one.used.correct, best)) for one in found)
    return Comparison(tuple(ranked), len(images), len(counts))


def _by_name(models: Models) -> dict[str, keras.Model]:
    """The models by name, after all that can be checked before anything is computed."""
    if isinstance(models, keras.Model | str) or not models:
        found = "none" if not models else f"one {type(models).__name__}"
        raise UsageError(
            f"cannot compare models: expected several, found {found}; pass a list or a "
            "dict of what cnnzoo.build, load or adopt returned"
        )
    if not isinstance(models, Mapping):
        names = [getattr(model, "name", str(model)) for model in models]
        if len(set(names)) < len(names):
            raise UsageError(
                f"cannot compare {', '.join(names)}: expected a name for each, found one "
                "twice, so pass the models as a dict by name"
            )
        models = dict(zip(names, models, strict=True))
    for name, model in models.items():
        if not isinstance(model, keras.Model):
            raise UsageError(
                f"cannot compare {name}: expected a Keras model, found a "
                f"{type(model).__name__}; pass what cnnzoo.build, load or adopt returned"
            )
        metadata_of(model)
        stage_cuts(model)
    return dict(models)


def _measure(
    name: str,
    model: keras.Model,
    images: Source,
    seed: int,
    batch_size: int | None,
    progress: Progress | None,
) -> NetworkScore:
    """The score of a network that is as yet the best."""
    metadata, places = metadata_of(model), stage_cuts(model)
    images = images.with_geometry(metadata.geometry)
    batches: list[tuple[int, float]] = []
    # The first batch compiles, so the second is the first to be timed.
    size = min(images_per_batch(batch_size, model, images), len(images) // 2)

    def on_batch(count: int, seconds: float) -> None:
        batches.append((count, seconds))
        if progress:
            progress(name, sum(count for count, _ in batches), len(images))

    names = [cut.name for cut in places]
    weights = fingerprint(model, front(model, names[-1:]))
    if weights.untrained:
        signs = " and ".join(weights.untrained)
        text = f"{name} has weights that nobody trained, since {signs}; pass others"
        warnings.warn(text, stacklevel=3)
    try:
        own = embed(model, names, images, metadata.outside, size, on_batch)
    except UsageError as error:
        raise UsageError(f"cannot compare {name}: {error}") from error
    labels = np.asarray(images.labels)
    used = deepest_of(measure_cuts(places, own, None, labels, seed))
    # One that is not full compiles anew.
    full = [seconds / n for n, seconds in batches[1:] if n == size]
    return NetworkScore(
        name,
        **score(used.correct, used.correct),
        used=used,
        cut=used.name if used.cut else tuple(names),
        sides=to_channels_last(model, model.input_shape[1:])[:2],
        own_sides=metadata.spec.input_shape[:2],
        parameters=front(model, [used.cut.name] if used.cut else names).count_params(),
        macs=(used.cut or places[-1]).macs,
        milliseconds=1000 * median(full),
        batch_size=size,
        weights=weights,
    )


def _size(sides: Sides) -> str:
    return "x".join(str(side or "open") for side in sides)
