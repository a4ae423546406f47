"""What an assessment has found: the case, and the evidence for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from cnnzoo.transfer.evidence import Evidence, best_of

SMALL = 20_000  # images, below which a data set is small
MIN_GAIN = 0.02  # that an earlier cut must gain for a data set to be different
ALPHA = 0.05
FEW_A_CLASS = 200  # the median class of a large one has at least as many
UNEVEN = 3  # times the rarest class, from which the largest is weighed down
NAMES = {
    1: "small and similar",
    2: "large and similar",
    3: "small and different",
    4: "large and different",
}


@dataclass(frozen=True)
class Assessment:
    """The case of a data set for a network, and why.

    Attributes:
        case: 1 to 4.
        cut: where a small data set's classifier is best put: the deepest cut within one
            standard error of the best.
        images: how many there are.
        smallest_class: how many the rarest class has.
        largest_class: how many the commonest class has.
        probed: how many images were asked.
        small: whether the data set is.
        similar: whether no earlier cut is significantly better than the last.
        few_shots: whether there is too little to fine-tune anything; such a set is
            small, however many images it has.
        table: a row a cut, shallow to deep.
        pixels: accuracy of the probe on the images alone.
        by_size: accuracy of the probe at the best cut with a quarter, half and all of the
            images asked, for whether more images would help.
        learnt: its accuracy on the images that it has learnt, all of them.
        benefit: what the weights gain over random ones at their best cuts, -1 to 1.
        benefit_p_value: that this is by chance.
        network: the model's name.
        large_from: the number of images from which a data set is large.
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
    by_size: tuple[float, float, float]
    learnt: float
    benefit: float
    benefit_p_value: float
    network: str
    large_from: int = SMALL

    @property
    def weights_help(self) -> bool:
        """Whether the weights are significantly better than random ones."""
        return self.benefit > 0 and self.benefit_p_value < ALPHA

    @property
    def margin(self) -> float:
        """What the best cut gains over the last one beyond what makes it different."""
        return best_of(self.table).accuracy - self.table[-1].accuracy - MIN_GAIN

    @property
    def p_value(self) -> float:
        """That the best cut's gain over the last one is by chance."""
        return best_of(self.table).p_value

    @property
    def majority(self) -> float:
        """The accuracy of who always answers with the commonest class, 0 to 1."""
        return self.largest_class / self.images

    @property
    def uneven(self) -> bool:
        """Whether the classes differ so much that they are to count alike."""
        return self.largest_class > UNEVEN * self.smallest_class

    def taken_as(self, case: int) -> Assessment:
        """The same evidence for a case that the caller knows better.

        Its cut is the last one for case 1, and the best of the earlier ones for case 3.
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
        """As JSON has it."""
        found = {"margin": self.margin, "p_value": self.p_value}
        return {**asdict(self), **found, "majority": self.majority}

    def picture(self) -> bytes:
        """What each cut is worth, with weights and without, as a PNG."""
        from cnnzoo.transfer.depth import depth_profile

        return depth_profile(
            self.table, used=self.cut, pixels=self.pixels, network=self.network
        )

    def explain(self) -> str:
        """The evidence as a table, the decision, and what would change it."""
        lines = [
            f"{self.images:,} images, {self.smallest_class:,} of the rarest class and "
            f"{self.largest_class:,} of the commonest: "
            f"{'small' if self.small else 'large'} (large is {self.large_from:,} and "
            f"more, and {FEW_A_CLASS} and more of the median class)",
            f"{'cut':24} {'numbers':>8} {'MACs':>9} {'bytes':>9} {'accuracy':>13} "
            f"{'5-NN':>7} {'LogME':>6} {'random':>7} {'p':>6}",
        ]
        lines += [
            f"{row.cut.name:24} {row.cut.pooled:8,} "
            f"{short(row.cut.macs):>9} {short(row.cut.bytes):>9} "
            f"{100 * row.accuracy:6.1f} ±{100 * row.error:4.1f} % "
            f"{100 * row.neighbours:5.1f} % {row.log_evidence:6.2f} "
            f"{100 * row.twin:5.1f} % {row.p_value:6.2g}"
            f"{'  <- used' if row.cut.name == self.cut else ''}"
            for row in self.table
        ]
        return "\n".join([*lines, *self.decision()])

    def decision(self) -> list[str]:
        """The case, why it is that one, and what would change it, line by line."""
        best, last = best_of(self.table), self.table[-1]
        gain = 100 * (best.accuracy - last.accuracy)
        verdict = "not shown to be different" if self.similar else "different"
        if len(self.table) == 1:
            verdict = "there is no earlier cut to compare it with"
        lines = [
            f"pixels alone {100 * self.pixels:.1f} %, the commonest class alone "
            f"{100 * self.majority:.1f} %",
            f"{best.cut.name} gains {gain:.1f} points over {last.cut.name}, "
            f"p = {self.p_value:.2g}: {verdict}",
            "at {}, a quarter of the images asked gives {:.1f} %, half {:.1f} %, all "
            "{:.1f} %, and {:.1f} % of what was learnt is right".format(
                best.cut.name,
                *(100 * share for share in (*self.by_size, self.learnt)),
            ),
            f"the weights gain {100 * self.benefit:.1f} points over random ones, "
            f"p = {self.benefit_p_value:.2g}",
        ]
        if not self.weights_help:
            lines.append(
                "warning: these weights show no advantage over random ones on this task"
            )
        other = self.case + (1 if self.small else -1)
        bound = "as a large set" if self.small else "as a small set"
        if self.few_shots:
            lines.append("there is too little to fine-tune anything: a classifier alone")
        side = "above" if self.margin >= 0 else "below"
        lines.append(f"case {self.case}, {NAMES[self.case]}: cut at {self.cut}")
        lines.append(
            f"{bound} it would be case {other}; different is where an earlier cut gains "
            f"{100 * MIN_GAIN:.0f} points or more with p below {ALPHA}; this is "
            f"{100 * abs(self.margin):.1f} points {side}"
        )
        return lines


def short(count: int | None) -> str:
    """A number in three digits and a letter."""
    if count is None:
        return "open"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
