"""A plan and its phases: what is trained, how, and in which order; all can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal

from cnnzoo.data.augment import Augment
from cnnzoo.layer_names import FEATURES
from cnnzoo.train.recipe import Recipe, differing
from cnnzoo.transfer.assessment import NAMES
from cnnzoo.transfer.freezing import Norm

Init = Literal["pretrained", "random"]


@dataclass(kw_only=True)
class Phase:
    """One training of a part of the network; every field may be changed.

    Attributes:
        name: of the phase.
        until: the last layer that is frozen: a name, `FEATURES` for all but the
            classifier, a number n for the first n layers with weights, None for none.
        norm: what batch normalisation does in the part that learns; see `freeze`.
        frozen_norm: what it does in the frozen part; where that is computed once, it can
            only be "frozen".
        cached: whether what the frozen part makes of the images is computed once.
        recalibrate: whether batch normalisation's statistics in the frozen part are first
            measured anew on the images, and kept where they serve better; for a part
            that is computed once. See `statistics.py`.
        views: how many random versions of each image are cached; needs `augment`.
        warm_start: whether the classifier begins as the closed-form ridge regression.
        guarded: whether the phase counts only if it is better than the one before by
            more than a standard error of the validation accuracy; any other than the
            first counts if it is not worse.
        optimizer: a Keras name.
        learning_rate: of the last stage and the classifier; of several, for a phase on
            images, the one that does best in a tenth of the steps.
        momentum: of "sgd"; None for none.
        layer_decay: by which the rate falls a stage, towards the image; None for one
            rate.
        schedule: as in `Recipe`.
        epochs: at most.
        patience: epochs without a better validation loss; None for all epochs.
        batch_size: images a step.
        augment: how images change at random.
        mixup: as in `Recipe`; for images, not for features that are computed once.
        weight_decay: as in `Recipe`.
        start_decay: L2-SP, the penalty on what weights are away from where they began
            (Li et al. 2018, https://arxiv.org/abs/1802.01483); None for none.
        class_weights: "balanced" gives every class the same weight.
    """

    name: str
    until: str | int | None = None
    norm: Norm = "train"
    frozen_norm: Norm = "frozen"
    cached: bool = False
    adapt_batch_norm: bool = False
    views: int = 1
    ridge_init: bool = False
    guarded: bool = False
    optimizer: str = "adam"
    learning_rate: float | tuple[float, ...] = 1e-3
    momentum: float | None = None
    layer_decay: float | None = None
    schedule: Literal["plateau", "cosine"] = "cosine"
    epochs: int = 10
    patience: int | None = None
    batch_size: int = 32
    augment: Augment | None = None
    mixup: float | None = None
    weight_decay: float | None = None
    start_decay: float | None = None
    class_weights: Literal["balanced"] | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to choose from."""
        rate = self.learning_rate
        return tuple(rate) if isinstance(rate, Sequence) else (rate,)

    def recipe(self, seed: int) -> Recipe:
        """How the phase trains, for `train.Run`; at the first of several rates."""
        asked = {
            one.name: getattr(self, one.name)
            for one in fields(Recipe)
            if hasattr(self, one.name)
        }
        return Recipe(**{**asked, "learning_rate": self.rates[0], "seed": seed})

    def __str__(self) -> str:
        told = [
            self._learns(),
            f"{self.optimizer} at {self._rate()}",
            f"{self.epochs} epochs at most",
        ]
        if self.layer_decay is not None:
            told.append(f"rate times {self.layer_decay:g} a stage towards the image")
        if self.norm != "train":
            told.append(f"batch normalisation {self.norm}")
        if self.frozen_norm != "frozen":
            told.append(f"in the frozen part {self.frozen_norm}")
        if self.cached:
            views = f", {self.views} views" if self.views > 1 else ""
            told.append(f"the frozen part computed once{views}")
        if self.adapt_batch_norm:
            told.append("statistics measured anew if better")
        if self.ridge_init:
            told.append("begins as a ridge regression")
        if self.mixup is not None:
            told.append(f"mixup {self.mixup:g}")
        if self.class_weights:
            told.append("classes weigh the same")
        if self.guarded:
            told.append("kept if better by a standard error")
        return f"{self.name}: {', '.join(told)}"

    def _rate(self) -> str:
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        return rates if len(self.rates) == 1 else f"the best of {rates}"

    def _learns(self) -> str:
        if self.until is None:
            return "everything learns"
        if self.until == FEATURES:
            return "the classifier learns"
        if isinstance(self.until, int):
            return f"the first {self.until} layers are frozen"
        return f"frozen up to {self.until}"


@dataclass(kw_only=True)
class Plan:
    """How a network becomes another's classifier; every field may be changed.

    Attributes:
        case: 1 to 4; None for a plan of the caller's own.
        cut: where the network ends and the new classifier stands; None for the end of
            its last stage.
        init: whether its weights are kept or drawn anew.
        phases: what is trained, in this order.
    """

    case: int | None = None
    cut: str | None = None
    init: Init = "pretrained"
    phases: list[Phase] = field(default_factory=list)

    def to_dict(self) -> dict:
        """As JSON has it."""
        return {
            **asdict(replace(self, phases=[])),
            "phases": [
                {
                    **asdict(replace(phase, augment=None)),
                    "augment": phase.augment and differing(phase.augment),
                }
                for phase in self.phases
            ],
        }

    def __str__(self) -> str:
        case = f"case {self.case}, {NAMES[self.case]}" if self.case else "a plan"
        end = self.cut or "its last stage"
        head = f"{case}: a classifier on {end}, {self.init} weights"
        return "\n".join([head, *(f"  {phase}" for phase in self.phases)])
