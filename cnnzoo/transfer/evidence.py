"""What was measured: at the cuts of a network, and of several networks or plans.

Also the rules by which a cut is chosen, and by which one counts as good as the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from math import nan

import numpy as np

from cnnzoo.layer_names import stage_number
from cnnzoo.transfer.cut_points import Cut
from cnnzoo.transfer.features.embeddings import Pooling
from cnnzoo.transfer.features.probes import Probe

ALL_CUTS = "all-cuts"
MIN_GAIN = 0.02  # that counts as a difference if every repeat has it, and an error more
ROUNDING = 1e-9  # so that two points are two points
AS_GOOD = 2  # standard errors of a difference up to which it is not shown
SCORE = ("accuracy", "behind the best")


@dataclass(frozen=True)
class Evidence:
    """Measurements of a linear probe at one cut, or on all cuts together.

    Attributes:
        cut: The place in the network; None for the means of all cuts together.
        pooling: How maps become vectors: "avg" over the image, or None for the means of
            their quarters.
        features: Length of the embedding of an image.
        accuracies: Accuracy of each repeat of the folds, 0 to 1.
        error: Standard error of the accuracy.
        random_accuracies: Accuracies of the same probe with random weights in the
            network; empty if they were not measured.
        probe: The probe's predictions.
    """

    cut: Cut | None
    pooling: Pooling
    features: int
    accuracies: tuple[float, ...]
    error: float
    random_accuracies: tuple[float, ...]
    probe: Probe = field(repr=False, compare=False)

    @property
    def correct(self) -> np.ndarray:
        """Share of the repeats that classify each image correctly, (n,)."""
        return self.probe.correct.mean(0)

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the repeats, 0 to 1."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def random_accuracy(self) -> float:
        """Mean accuracy with random weights, 0 to 1; NaN if it was not measured."""
        accuracies = self.random_accuracies or (nan,)
        return sum(accuracies) / len(accuracies)

    @property
    def name(self) -> str:
        return self.cut.name if self.cut else ALL_CUTS

    @property
    def stage(self) -> int | str:
        """The stage of the cut; its name where there are no stages."""
        return stage_number(self.name) or self.name

    def to_dict(self) -> dict:
        """The fields and the derived values, as JSON has them, without predictions."""
        derived = ("name", "accuracy", "random_accuracy")
        record = {**asdict(self), **{name: getattr(self, name) for name in derived}}
        del record["probe"]
        return record

    def __str__(self) -> str:
        maps = self.cut is not None and len(self.cut.shape) == 3
        pooled = "mean" if self.pooling else "quarters"
        return f"{self.name}, {pooled}" if maps else self.name


def smallest_gain(accuracies: Sequence[float], others: Sequence[float]) -> float:
    """The smallest gain over others in one of the repeats, -1 to 1."""
    return min(a - b for a, b in zip(accuracies, others, strict=True)) + ROUNDING


def best_of(table: Sequence[Evidence]) -> Evidence:
    """The most accurate cut; the first of several."""
    return max(table, key=lambda row: row.accuracy)


def deepest_of(table: Sequence[Evidence]) -> Evidence:
    """The deepest cut within one standard error of the best row.

    It is all cuts together only where no single cut is that good.
    """
    best = best_of(table)
    near = [row for row in table if row.accuracy >= best.accuracy - best.error]
    return ([row for row in near if row.cut] or near)[-1]


def earlier_stages(cuts: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """The cuts of the stages before that of the last cut."""
    return tuple(row for row in cuts if row.stage != cuts[-1].stage)


def closest_rival(cuts: Sequence[Evidence]) -> tuple[Evidence, float]:
    """The earlier stage of the largest gain over the last cut, and this gain.

    A gain is the smallest of the repeats, less the standard error of the difference image
    by image, -1 to 1. The last cut itself gains nothing.
    """
    rivals, last = earlier_stages(cuts) or cuts[-1:], cuts[-1]
    gains = [
        smallest_gain(row.accuracies, last.accuracies)
        - score(last.correct, row.correct)["behind_error"]
        for row in rivals
    ]
    best = max(range(len(rivals)), key=gains.__getitem__)
    return rivals[best], gains[best]


@dataclass(frozen=True)
class Score:
    """How accurately one of several networks or plans classifies the same images.

    What it loses to the best is measured image by image, since the standard error of this
    difference is smaller than those of the two accuracies.

    Attributes:
        name: Its name.
        accuracy: Accuracy, 0 to 1.
        error: Standard error of the accuracy.
        behind: Accuracy lost to the best, 0 to 1.
        behind_error: Standard error of this difference, image by image.
    """

    name: str
    accuracy: float
    error: float
    behind: float
    behind_error: float

    @property
    def is_as_good(self) -> bool:
        """Whether it is not shown to be less accurate than the best."""
        return self.behind <= AS_GOOD * self.behind_error

    def to_dict(self) -> dict:
        """The fields that are compared, as JSON has them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}

    def row(self) -> tuple[str, str, str]:
        """The name, and texts in per cent and points under `SCORE`."""
        accuracy = f"{100 * self.accuracy:.1f} ± {100 * self.error:.1f} %"
        behind = f"{100 * self.behind:.1f} ± {100 * self.behind_error:.1f}"
        return self.name, accuracy, behind


def score(correct: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """The figures of a `Score`.

    Args:
        correct: (n,) share of the predictions of each image that are correct, 0 to 1.
        best: (n,) the same of the best one.
    """
    accuracy, lost = float(correct.mean()), best - correct
    return {
        "accuracy": accuracy,
        "error": float(np.sqrt(accuracy * (1 - accuracy) / len(correct))),
        "behind": float(lost.mean()),
        "behind_error": float(lost.std() / np.sqrt(len(lost))),
    }
