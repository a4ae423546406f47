"""A plan and its phases: what is trained, how, and in which order; all can be changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError
from cnnzoo.layer_names import FEATURES
from cnnzoo.system.validation import COUNT, Rule, check_values, is_above_zero, is_count
from cnnzoo.train.recipe import Recipe, augment_to_dict, check_recipe
from cnnzoo.transfer.assessment import NAMES
from cnnzoo.transfer.features.embeddings import Pooling
from cnnzoo.transfer.freezing import Norm

Init = Literal["pretrained", "random"]
HEAD_EPOCHS = 100  # maximum; an epoch on cached features is short
NAME = re.compile(r"\w[\w. -]*")  # name of a phase and of its folder


@dataclass(kw_only=True)
class Phase:
    """One training of a part of the network; every field may be changed.

    Attributes:
        name: Name of the phase and of its folder.
        until: Last frozen layer: a name, `FEATURES` for all but the classifier, a number
            n for the first n layers with weights, None for none.
        norm: Mode of batch normalization in the part that is trained; see `freeze`.
        frozen_norm: Mode in the frozen part; "frozen" where that is cached.
        cached: Whether the features of the frozen part are computed once.
        adapt_batch_norm: Whether the statistics of batch normalization in the frozen part
            are first measured on the images, and kept if that raises the accuracy of a
            probe; for a cached part.
        views: Number of random versions of each image to cache; needs `augment`.
        ridge_init: Whether the classifier starts as the closed-form ridge regression.
        guarded: Whether the phase is kept only if it raises the validation accuracy by
            more than a standard error; other phases after the first are kept if they do
            not lower it.
        alpha: Share of the way from the weights before the phase to those after it, above
            0 and at most 1, at which the phase is kept in any case; None for the best of
            four on the validation images, if any is. It is not for the first phase.
        optimizer: Keras name of the optimizer.
        learning_rate: Learning rate of the last stage and the classifier; of several
            rates, for a phase on images, the best one in a tenth of the steps is chosen.
        momentum: Momentum of "sgd"; None for none.
        layer_decay: Factor of the learning rate per stage, towards the image; None for
            one rate.
        schedule: Schedule of the learning rate, as in `Recipe`.
        epochs: Maximum number of epochs; 0 for the ridge regression as it is.
        patience: Number of epochs without a better validation loss; None for all epochs.
        batch_size: Number of images per batch.
        augment: Random changes of the images.
        mixup: Mixup, as in `Recipe`; for images, not for cached features.
        weight_decay: Weight decay, as in `Recipe`.
        start_decay: L2-SP, the penalty on the distance of weights from their start (Li et
            al. 2018, https://arxiv.org/abs/1802.01483); None for none.
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
    alpha: float | None = None
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
        """The phase as a recipe for `train.Run`, at the first of several rates."""
        names = {one.name for one in fields(Recipe)}
        settings = {name: value for name, value in vars(self).items() if name in names}
        return Recipe(**{**settings, "learning_rate": self.rates[0], "seed": seed})

    def __str__(self) -> str:
        views = f", {self.views} views" if self.views > 1 else ""
        decay = self.layer_decay
        details = {
            f"rate times {decay} per stage towards the image": decay is not None,
            f"batch normalization {self.norm}": self.norm != "train",
            f"{self.frozen_norm} in the frozen part": self.frozen_norm != "frozen",
            f"features computed once{views}": self.cached,
            "batch normalization adapted if better": self.adapt_batch_norm,
            "starts as a ridge regression": self.ridge_init,
            f"mixup {self.mixup}": self.mixup is not None,
            "balanced class weights": self.class_weights is not None,
            "kept if better by a standard error": self.guarded,
            f"{100 * (self.alpha or 0):.0f} % of the way kept": self.alpha is not None,
        }
        parts = [
            self._trained(),
            f"{self.optimizer} at {self._rate()}",
            f"at most {self.epochs} epochs",
            *(text for text, applies in details.items() if applies),
        ]
        return f"{self.name}: {', '.join(parts)}"

    def _rate(self) -> str:
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        return rates if len(self.rates) == 1 else f"the best of {rates}"

    def _trained(self) -> str:
        if self.until is None:
            return "everything is trained"
        if self.until == FEATURES:
            return "the classifier is trained"
        if isinstance(self.until, int):
            return f"the first {self.until} layers are frozen"
        return f"frozen up to {self.until}"


def head() -> Phase:
    """The classifier alone, on cached features."""
    return Phase(
        name="head",
        until=FEATURES,
        cached=True,
        ridge_init=True,
        learning_rate=1e-3,
        epochs=HEAD_EPOCHS,
        patience=10,
    )


def refinement(number: int, start: str) -> Phase:
    """The part after the cut `start`, in cases 1 and 3."""
    return Phase(
        name="refine",
        until=start,
        norm="frozen",
        cached=True,
        guarded=True,
        learning_rate=1e-5 if number == 1 else 3e-5,
        patience=10,
    )


@dataclass(kw_only=True)
class Plan:
    """How a network becomes a classifier of other images; every field may be changed.

    Attributes:
        case: Number of the case, 1 to 4; None for a plan of the caller's own.
        cut: Name of the cut on which the new classifier stands, or of several;
            `ALL_CUTS` for the ends of all stages, None for that of the last.
        pooling: How the map at one cut becomes a vector: "avg" over the image, or None
            for the means of its quarters.
        init: Whether the network keeps its weights or gets random ones.
        phases: Trainings, in this order.
    """

    case: int | None = None
    cut: str | tuple[str, ...] | None = None
    pooling: Pooling = None
    init: Init = "pretrained"
    phases: list[Phase] = field(default_factory=list)

    def to_dict(self) -> dict:
        """The fields as JSON has them."""
        return {
            **vars(self),
            "phases": [
                {**vars(p), "augment": p.augment and augment_to_dict(p.augment)}
                for p in self.phases
            ],
        }

    def __str__(self) -> str:
        case = f"case {self.case}, {NAMES[self.case]}" if self.case else "a plan"
        cuts = (self.cut,) if isinstance(self.cut, str) else self.cut
        end = ", ".join(cuts or ["the last stage"]) + (", mean" if self.pooling else "")
        head = f"{case}: a classifier on {end}, {self.init} weights"
        return "\n".join([head, *(f"  {phase}" for phase in self.phases)])


def check_phase(phase: Phase) -> None:
    """Checks the settings of a phase that do not depend on the network.

    Raises:
        UsageError: A value is out of range, or values do not go together.
    """
    action = f"train the phase {phase.name!r:.100}"
    check_values(action, vars(phase), RULES)
    for conflict, present in _conflicts(phase).items():
        if present:
            raise UsageError(f"cannot {action}: {conflict}")
    epochs = max(1, phase.epochs)
    for rate in phase.rates:
        check_recipe(replace(phase.recipe(seed=0), learning_rate=rate, epochs=epochs))


def _conflicts(phase: Phase) -> dict[str, bool]:
    """Conflicts of settings, with what to do, each with whether the phase has it.

    All but four are about cached features.
    """
    cached, rates, views = phase.cached, phase.rates, phase.views
    return {
        f"views={views} are of cached features; set cached=True, or views=1": (
            not cached and views != 1
        ),
        "ridge_init takes the cached inputs of the classifier; set cached=True and "
        f"until={FEATURES!r}": (
            phase.ridge_init and (not cached or phase.until != FEATURES)
        ),
        "adapt_batch_norm serves cached features; set cached=True, or "
        "adapt_batch_norm=False": phase.adapt_batch_norm and not cached,
        "epochs=0 trains nothing; set epochs to 1 or more, or ridge_init=True": (
            not phase.epochs and not phase.ridge_init
        ),
        "cached=True computes the frozen part once, and nothing is frozen; set until=, "
        "or cached=False": cached and phase.until is None,
        f"choosing from the learning rates {rates} takes images; set cached=False, or "
        "pass one rate": cached and len(rates) > 1,
        f"views={views} and augment={phase.augment and 'Augment(...)'} do not match; "
        "several cached views need an augment, and an augment several views": (
            cached and (phase.augment is None) != (views == 1)
        ),
        f"mixup={phase.mixup} blends images, not cached features; set cached=False, or "
        "mixup=None": cached and phase.mixup is not None,
        f"frozen_norm={phase.frozen_norm!r} would change cached features; set "
        "cached=False, or frozen_norm='frozen'": (
            cached and phase.frozen_norm != "frozen"
        ),
    }


NORM: Rule = (get_args(Norm).__contains__, f"one of {', '.join(get_args(Norm))}")
RULES: dict[str, Rule] = {
    "name": (
        lambda name: isinstance(name, str) and bool(NAME.fullmatch(name)),
        "a name that a folder can have, which begins with a letter or a digit",
    ),
    "norm": NORM,
    "frozen_norm": NORM,
    "until": (
        lambda until: not isinstance(until, bool),
        "the name of a layer, a number of layers, or None",
    ),
    "views": COUNT,
    "epochs": (
        lambda epochs: epochs == 0 or is_count(epochs),
        "a whole number from 0 on",
    ),
    "alpha": (
        lambda share: share is None or (is_above_zero(share) and share <= 1),
        "a number above 0 and at most 1, or None",
    ),
    "learning_rate": (
        lambda rate: not isinstance(rate, Sequence) or len(rate) > 0,
        "a number, or several numbers to choose from",
    ),
}
