"""What a transfer came to: the network, and what each phase did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite

import keras

from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.plans import Plan


@dataclass(frozen=True)
class PhaseResult:
    """A phase that is over.

    Attributes:
        name: the phase's.
        before: accuracy on what is held out, 0 to 1, when it began; None where the
            classifier had learnt nothing yet.
        after: the same when it was over.
        kept: whether its weights are the network's; a phase that is worse than the one
            before is undone, a guarded one also where it is hardly better.
        seconds: that the process which ended it took, with what was computed once.
        computed: rows of features that were computed for it.
        reused: rows that were there.
        recalibrated: whether batch normalisation has the statistics of these images.
        ridge: exact leave-one-out accuracy of the regression that it began as; None
            where it did not.
        learning_rate: of the last stage and the classifier.
        trainable: how many numbers learnt.
        frozen: how many arrays of weights were proven to have stayed, byte by byte.
        history: the figures of every epoch, as Keras names them.
        lost: why it never came to an accuracy; None where it did.
    """

    name: str
    before: float | None
    after: float
    kept: bool
    seconds: float
    learning_rate: float
    trainable: int
    frozen: int
    history: Mapping[str, list[float]]
    lost: str | None = None
    computed: int = 0
    reused: int = 0
    recalibrated: bool = False
    ridge: float | None = None

    def to_dict(self) -> dict:
        """As JSON has it, which has no NaN."""
        finite = {
            name: [value if isfinite(value) else None for value in values]
            for name, values in self.history.items()
        }
        return {**asdict(self), "history": finite}

    def __str__(self) -> str:
        if self.lost:
            return f"{self.name}: undone, since {self.lost}"
        before = "" if self.before is None else f"{100 * self.before:.1f} to "
        anew = ", statistics measured anew" if self.recalibrated else ""
        kept = "" if self.kept else "; undone"
        return (
            f"{self.name}: {before}{100 * self.after:.1f} % of what is held out, "
            f"{self.seconds:.0f} s, {self.trainable:,} numbers learnt, {self.frozen} "
            f"arrays proven frozen{anew}{kept}"
        )


@dataclass(frozen=True)
class Result:
    """A network for the classes of a data set.

    Attributes:
        model: flat, compiled with stock Keras objects, ready for `cnnzoo.save`.
        plan: what was done.
        assessment: why; None where the plan was the caller's.
        phases: what each did.
    """

    model: keras.Model
    plan: Plan
    assessment: Assessment | None
    phases: tuple[PhaseResult, ...]

    @property
    def accuracy(self) -> float:
        """On what is held out, 0 to 1; that chose epochs, so it is a little too good."""
        return next(done.after for done in reversed(self.phases) if done.kept)

    def __str__(self) -> str:
        return "\n".join([str(self.plan), *map(str, self.phases)])
