"""The result of an assessment: the case of a data set, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cnnzoo.data.arrays import Source
from cnnzoo.evaluation import Evaluation, evaluate_probabilities
from cnnzoo.system.text import abbreviate, text_table
from cnnzoo.transfer.evidence import (
    MIN_GAIN,
    Evidence,
    best_of,
    closest_rival,
    deepest_of,
    earlier_stages,
)
from cnnzoo.transfer.features.embeddings import Pooling

SMALL = 20_000  # images, below which a data set is small
FEW_PER_CLASS = 200  # images in the median class, below which a data set is small
IMBALANCE = 3  # of the largest to the smallest class, above which classes are weighted
NAMES = {
    1: "small and similar",
    2: "large and similar",
    3: "small and different",
    4: "large and different",
}
HEADER = ("cut", "features", "MACs", "bytes/image", "accuracy", "random weights")


@dataclass(frozen=True)
class Assessment:
    """The case of a data set for a network, and the evidence for it.

    Attributes:
        case: Number of the case, 1 to 4.
        images: Number of images.
        smallest_class: Number of images in the smallest class.
        largest_class: Number of images in the largest class.
        probed: Number of images that the probes used.
        few_shots: Whether there are too few images to fine-tune; such a data set is
            small, whatever its size.
        table: Evidence of each cut, shallow to deep, and of all cuts together.
        pixels: Accuracy of the probe on the pixels alone.
        benefit: Accuracy gained by the trained weights over random weights, each at its
            best cut, -1 to 1.
        weights_help: Whether the gain is at least 2 points in every repeat.
        network: Name of the model.
        sides: Height and width of the images that the model takes, in pixels.
        own_sides: Those that the network was designed for.
        large_from: Number of images from which a data set is large.
        measured: The measured case, where the caller has chosen another; else None.
        sample: The images that the probes used, with the classes that occur; None if
            they are not known.
    """

    case: int
    images: int
    smallest_class: int
    largest_class: int
    probed: int
    few_shots: bool
    table: tuple[Evidence, ...]
    pixels: float
    benefit: float
    weights_help: bool
    network: str
    sides: tuple[int, int]
    own_sides: tuple[int, int]
    large_from: int = SMALL
    measured: int | None = None
    sample: Source | None = field(default=None, repr=False, compare=False)

    @property
    def small(self) -> bool:
        """Whether the data set is small."""
        return self.case in (1, 3)

    @property
    def similar(self) -> bool:
        """Whether no earlier stage was shown to be better than the last."""
        return self.case in (1, 2)

    @property
    def used(self) -> Evidence:
        """The row of the table on which the classifier stands.

        For a small data set, it is the deepest cut within one standard error of the best.
        A large one, and case 1 by choice, have the last cut, and case 3 by choice the
        best of the earlier ones.
        """
        if not self.small or (self.measured and self.case == 1):
            return self.cuts[-1]
        if self.measured in (1, 2) and self.case == 3:
            return best_of(self.earlier or self.cuts)
        return deepest_of(self.table)

    @property
    def cut(self) -> str | tuple[str, ...]:
        """Where the classifier stands, as `build` takes it."""
        return self.used.name if self.used.cut else tuple(row.name for row in self.cuts)

    def pooling_at(self, cut: str | tuple[str, ...] | None) -> Pooling:
        """The pooling that is better at a cut; None also where none was measured."""
        for row in self.cuts:
            if row.name == cut:
                return row.pooling
        return None

    @property
    def cuts(self) -> tuple[Evidence, ...]:
        """The rows of single cuts."""
        return tuple(row for row in self.table if row.cut)

    @property
    def earlier(self) -> tuple[Evidence, ...]:
        """The rows of the stages before the last."""
        return earlier_stages(self.cuts)

    @property
    def out_of_fold(self) -> Evaluation | None:
        """The predictions of the probe at the used cut for `sample`; None without it.

        Each image was predicted by regressions that were not fitted to it.
        """
        if self.sample is None:
            return None
        found, names = self.used.probe, self.sample.class_names
        return evaluate_probabilities(found.probabilities, found.labels, names)

    @property
    def majority(self) -> float:
        """Accuracy of always predicting the largest class, 0 to 1."""
        return self.largest_class / self.images

    @property
    def uneven(self) -> bool:
        """Whether the classes differ so much in size that a plan weights them."""
        return self.largest_class > IMBALANCE * self.smallest_class

    def taken_as(self, case: int) -> Assessment:
        """The same evidence for a case that the caller knows better."""
        measured = self.measured or self.case
        return replace(self, case=case, measured=None if case == measured else measured)

    def to_dict(self) -> dict:
        """The fields and the derived values, as JSON has them, without images."""
        derived = ("small", "similar", "cut", "majority", "uneven")
        values = {name: getattr(self, name) for name in derived}
        values |= {"table": [row.to_dict() for row in self.table], "used": self.used.name}
        fields = {name: value for name, value in vars(self).items() if name != "sample"}
        return {**fields, **values}

    def picture(self) -> bytes:
        """The accuracy at each cut, with trained and random weights, as a PNG."""
        from cnnzoo.visualization.accuracy import accuracy_by_cut

        return accuracy_by_cut(
            [row.name for row in self.cuts],
            [row.accuracy for row in self.cuts],
            [row.error for row in self.cuts],
            [row.random_accuracy for row in self.cuts],
            used=self.used.name,
            together=self.table[-1].accuracy,
            pixels=self.pixels,
            title=f"cuts of {self.network}",
        )

    def explain(self) -> str:
        """The evidence as a table, the decision, and what would change it."""
        return "\n".join([text_table(HEADER, self.rows()), *self.decision()])

    def rows(self) -> list[tuple[str, ...]]:
        """The evidence as texts, a row per cut, under `HEADER`."""
        return [
            (
                f"{row}{' (used)' if row == self.used else ''}",
                f"{row.features:,}",
                abbreviate(row.cut.macs) if row.cut else "",
                abbreviate(row.cut.bytes) if row.cut else "",
                f"{100 * row.accuracy:.1f} ± {100 * row.error:.1f} %",
                f"{100 * row.random_accuracy:.1f} %",
            )
            for row in self.table
        ]

    def decision(self) -> list[str]:
        """The case, what was measured, and what would change it, line by line."""
        name = f"case {self.case}, {NAMES[self.case]}"
        if self.measured:
            measured = f"case {self.measured}, {NAMES[self.measured]}"
            used = f"the classifier stands on {self.used}"
            return [f"{name}, by choice; measured: {measured}", used, *self._references()]
        return [
            name,
            f"{'small' if self.small else 'large'}: {self.images:,} images, "
            f"{self.smallest_class:,} to {self.largest_class:,} per class; a large data "
            f"set has at least {self.large_from:,}, and {FEW_PER_CLASS} in the median "
            "class",
            f"{'similar' if self.similar else 'different'}: {self._comparison()}",
            *self._references(),
            *self._advice(),
        ]

    def _comparison(self) -> str:
        """How the best earlier stage compares with the last."""
        last = self.cuts[-1]
        if not self.earlier:
            return f"there is no stage before {last.name} to compare it with"
        best, _ = closest_rival(self.cuts)
        gain = 100 * (best.accuracy - last.accuracy)
        return (
            f"the best earlier stage, {best.name}, classifies {abs(gain):.1f} points "
            f"{'better' if gain >= 0 else 'worse'} than the last, {last.name}; images "
            "are different from those that the network was trained on where it is at "
            f"least {100 * MIN_GAIN:.0f} points and a standard error better in each of "
            f"{len(last.accuracies)} repeats, and the last more than one below the best "
            "of all"
        )

    def _references(self) -> list[str]:
        lines = [
            f"the pixels alone give {100 * self.pixels:.1f} %, always predicting the "
            f"largest class {100 * self.majority:.1f} %, and the trained weights "
            f"{100 * self.benefit:+.1f} points over random ones"
        ]
        if not self.weights_help:
            lines.append(
                "warning: the trained weights show no clear advantage over random ones "
                "on this task"
            )
        return lines

    def _advice(self) -> list[str]:
        """What the plan makes of the case, and what would change it."""
        used, lines = self.used, []
        if self.small:
            lines.append(
                f"the classifier stands on {used}, the deepest place within one standard "
                f"error of the best; expect {100 * used.accuracy:.1f} ± "
                f"{100 * used.error:.1f} % on other images of this kind"
            )
        else:
            lines.append(f"everything is trained, with a classifier on {used}")
        if self.few_shots:
            lines.append("too few images to fine-tune: only the classifier is trained")
        elif self.images < self.large_from:
            larger = self.case + 1
            lines.append(f"with {self.large_from:,} images it would be case {larger}")
        if min(self.sides) < min(self.own_sides):
            height, width = self.own_sides
            lines.append(
                f"the model takes images of {self.sides[0]}x{self.sides[1]} pixels, and "
                f"{self.network} was designed for {height}x{width}: larger ones, if you "
                "have them, may be classified better"
            )
        return lines
