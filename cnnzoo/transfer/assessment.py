"""The result of an assessment: the case of a data set, and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from cnnzoo.transfer.cut_points import Cut

SMALL = 20_000  # images, below which a data set is small
MIN_GAIN = 0.02  # of an earlier cut over the last, for a data set to be different
ALPHA = 0.05  # significance level
FEW_PER_CLASS = 200  # images in the median class, below which a data set is small
IMBALANCE = 3  # of the largest to the smallest class, above which classes are weighted
NAMES = {
    1: "small and similar",
    2: "large and similar",
    3: "small and different",
    4: "large and different",
}
HEADER = ("cut", "features", "MACs", "bytes/image", "accuracy", "random weights", "p")
TEXT_ROW = "{:32} {:>8} {:>8} {:>11} {:>13} {:>14} {:>7}"


@dataclass(frozen=True)
class Evidence:
    """Measurements of a linear probe at one cut.

    Attributes:
        cut: The place in the network.
        accuracy: Leave-one-out accuracy of the ridge probe, 0 to 1.
        error: Standard error of the accuracy.
        random_baseline: Accuracy of the same probe with random weights in the network.
        penalty: Ridge penalty of the probe.
        p_value: Exact p-value of the gain over the last cut, corrected for the number of
            cuts.
    """

    cut: Cut
    accuracy: float
    error: float
    random_baseline: float
    penalty: float
    p_value: float


def best_of(table: Sequence[Evidence]) -> Evidence:
    """The cut with the most accurate probe; the shallowest of several."""
    return max(table, key=lambda row: row.accuracy)


@dataclass(frozen=True)
class Assessment:
    """The case of a data set for a network, and the evidence for it.

    Attributes:
        case: Number of the case, 1 to 4.
        cut: Best place for the classifier of a small data set: the deepest cut within one
            standard error of the best.
        images: Number of images.
        smallest_class: Number of images in the smallest class.
        largest_class: Number of images in the largest class.
        probed: Number of images that the probes used.
        small: Whether the data set is small.
        similar: Whether no earlier cut is significantly better than the last.
        few_shots: Whether there are too few images to fine-tune; such a data set is
            small, whatever its size.
        table: Evidence of each cut, shallow to deep.
        pixels: Accuracy of the probe on the pixels alone.
        benefit: Accuracy gained by the trained weights over random weights, each at its
            best cut, -1 to 1.
        benefit_p_value: p-value of this gain.
        network: Name of the model.
        large_from: Number of images from which a data set is large.
    """

    case: int
    cut: str
    images: int
    smallest_class: int
    largest_class: int
    probed: int
    small: bool
    similar: bool
    few_shots: bool
    table: tuple[Evidence, ...]
    pixels: float
    benefit: float
    benefit_p_value: float
    network: str
    large_from: int = SMALL

    @property
    def weights_help(self) -> bool:
        """Whether the trained weights are significantly better than random ones."""
        return self.benefit > 0 and self.benefit_p_value < ALPHA

    @property
    def margin(self) -> float:
        """Gain of the best cut over the last, less the gain that counts as different."""
        return best_of(self.table).accuracy - self.table[-1].accuracy - MIN_GAIN

    @property
    def p_value(self) -> float:
        """p-value of the gain of the best cut over the last."""
        return best_of(self.table).p_value

    @property
    def majority(self) -> float:
        """Accuracy of always predicting the largest class, 0 to 1."""
        return self.largest_class / self.images

    @property
    def uneven(self) -> bool:
        """Whether the classes differ so much in size that a plan weights them."""
        return self.largest_class > IMBALANCE * self.smallest_class

    def taken_as(self, case: int) -> Assessment:
        """The same evidence for a case that the caller knows better.

        The cut is the last one for case 1, and the best of the earlier ones for case 3.
        """
        if case == self.case:
            return self
        cut, last = self.cut, self.table[-1]
        if case == 1:
            cut = last.cut.name
        if case == 3:
            earlier = self.table[:-1] or self.table
            cut = best_of(earlier).cut.name
        return replace(
            self, case=case, cut=cut, small=case in (1, 3), similar=case in (1, 2)
        )

    def to_dict(self) -> dict:
        """The fields and the derived numbers, as JSON has them."""
        derived = ("margin", "p_value", "majority")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}

    def picture(self) -> bytes:
        """The accuracy at each cut, with trained and random weights, as a PNG."""
        from cnnzoo.visualization.figures import accuracy_by_cut

        return accuracy_by_cut(
            [row.cut.name for row in self.table],
            [row.accuracy for row in self.table],
            [row.error for row in self.table],
            [row.random_baseline for row in self.table],
            used=self.cut,
            pixels=self.pixels,
            title=f"cuts of {self.network}",
        )

    def explain(self) -> str:
        """The evidence as a table, the decision, and what would change it."""
        counts = (
            f"{self.images:,} images, {self.smallest_class:,} in the smallest class and "
            f"{self.largest_class:,} in the largest: "
            f"{'small' if self.small else 'large'} (a large data set has at least "
            f"{self.large_from:,} images, and {FEW_PER_CLASS} in the median class)"
        )
        table = [TEXT_ROW.format(*row) for row in (HEADER, *self.rows())]
        return "\n".join([counts, *table, *self.decision()])

    def rows(self) -> list[tuple[str, ...]]:
        """The evidence as texts, a row per cut, under `HEADER`."""
        return [
            (
                f"{row.cut.name}{' (used)' if row.cut.name == self.cut else ''}",
                f"{row.cut.pooled:,}",
                _abbreviate(row.cut.macs),
                _abbreviate(row.cut.bytes),
                f"{100 * row.accuracy:.1f} ± {100 * row.error:.1f} %",
                f"{100 * row.random_baseline:.1f} %",
                f"{row.p_value:.2g}",
            )
            for row in self.table
        ]

    def decision(self) -> list[str]:
        """The case, the reasons, and what would change it, line by line."""
        best, last = best_of(self.table), self.table[-1]
        gain = 100 * (best.accuracy - last.accuracy)
        verdict = "not shown to be different" if self.similar else "different"
        if len(self.table) == 1:
            verdict = "there is no earlier cut to compare it with"
        lines = [
            f"from the pixels alone {100 * self.pixels:.1f} %, from always predicting "
            f"the largest class {100 * self.majority:.1f} %",
            f"{best.cut.name} gains {gain:.1f} points over {last.cut.name}, "
            f"p = {self.p_value:.2g}: {verdict}",
            f"the trained weights gain {100 * self.benefit:.1f} points over random ones, "
            f"p = {self.benefit_p_value:.2g}",
        ]
        if not self.weights_help:
            lines.append(
                "warning: the trained weights show no advantage over random ones on this "
                "task"
            )
        if self.few_shots:
            lines.append("too few images to fine-tune: only the classifier is trained")
        other = self.case + (1 if self.small else -1)
        size = "large" if self.small else "small"
        side = "above" if self.margin >= 0 else "below"
        return [
            *lines,
            f"case {self.case}, {NAMES[self.case]}: cut at {self.cut}",
            f"as a {size} data set it would be case {other}; a data set is different "
            f"where an earlier cut gains at least {100 * MIN_GAIN:.0f} points with p "
            f"below {ALPHA}; this one is {100 * abs(self.margin):.1f} points {side} that",
        ]


def _abbreviate(count: int | None) -> str:
    """A number in three digits and a letter; "open" where it is unknown."""
    if count is None:
        return "open"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
