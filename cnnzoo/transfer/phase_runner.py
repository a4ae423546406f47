"""One phase of a plan, carried out and judged."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np

from cnnzoo import graph
from cnnzoo.data.arrays import Source
from cnnzoo.errors import TrainingError, UsageError, unknown
from cnnzoo.inference import probabilities
from cnnzoo.layer_names import FEATURES, PREDICTIONS
from cnnzoo.system.validation import is_count
from cnnzoo.train.recipe_rules import check_recipe
from cnnzoo.train.run import History, Run
from cnnzoo.transfer import rate_search
from cnnzoo.transfer.batch_norm import adapt_batch_norm
from cnnzoo.transfer.cached_training import CachedTraining, place_behind
from cnnzoo.transfer.features.cache import ON_DISK, Progress
from cnnzoo.transfer.freezing import Norm, check_frozen, freeze
from cnnzoo.transfer.plans import Init, Phase, Plan
from cnnzoo.transfer.results import PhaseResult

NAME = re.compile(r"\w[\w. -]*")  # of a phase, and so of its folder


@dataclass
class Bench:
    """What the phases of a plan share.

    Attributes:
        network: from `reset_classifier`; it is what learns.
        train: images to learn from, labels as the network numbers them.
        validation: images that choose the epoch, and whether a guarded phase is kept.
        features: the folder of what is computed once.
        seed: of every random choice.
        verbose: as in `keras.Model.fit`, for phases on images.
        disk: bytes of features that a phase may add.
        progress: is told how far the features are.
    """

    network: keras.Model
    train: Source
    validation: Source
    features: Path
    seed: int = 0
    verbose: int = 0
    progress: Progress | None = None
    disk: int = ON_DISK

    def carry_out(self, phase: Phase, folder: Path, before: float | None) -> PhaseResult:
        """Trains as the phase says, or goes on where a kill has ended that.

        Args:
            folder: of this phase alone.
            before: the accuracy on what is held out; None before the first phase.

        Raises:
            TrainingError: what was frozen has changed, or the first phase never had a
                finite loss; a later one counts as undone then.
        """
        begun = time.monotonic()
        first = before is None
        start = [] if first else self.network.get_weights()
        until = layer_of(self.network, phase.until)
        told = (
            self._on_features(phase, folder, until, first=first)
            if phase.cached and until
            else self._on_images(phase, folder, until, first=first)
        )
        kept = before is None or (
            told["lost"] is None and self._is_kept(phase, before, told["after"])
        )
        if not kept:
            self.network.set_weights(start)
        seconds = time.monotonic() - begun
        return PhaseResult(phase.name, before, kept=kept, seconds=seconds, **told)

    def accuracy(self) -> float:
        """On what is held out, 0 to 1."""
        answers = probabilities(self.network, self.validation).argmax(1)
        return float(np.mean(answers == np.asarray(self.validation.labels)))

    def _is_kept(self, phase: Phase, before: float, after: float) -> bool:
        if not phase.guarded:
            return after >= before
        error = np.sqrt(before * (1 - before) / len(self.validation))
        return bool(after - before > error)

    def _on_features(
        self, phase: Phase, folder: Path, until: str, *, first: bool
    ) -> dict:
        cut = place_behind(self.network, until)
        recipe = phase.recipe(self.seed)
        recalibrated = phase.adapt_batch_norm and adapt_batch_norm(
            self.network, self.train, cut, self.seed
        )
        report = freeze(self.network, cut, behind=phase.norm)
        work = CachedTraining(
            self.network,
            self.train,
            self.validation,
            cut,
            folder,
            self.features,
            recipe,
            views=phase.views,
            progress=self.progress,
            disk=self.disk,
        )
        with _may_fail(first=first) as lost:
            work.train(ridge_init=phase.ridge_init)
        check_frozen(report, self.network)
        return {
            "after": work.accuracy,
            "lost": "; ".join(lost) or None,
            "learning_rate": recipe.learning_rate,
            "computed": work.learned.computed + work.held_out.computed,
            "reused": work.learned.reused + work.held_out.reused,
            "recalibrated": recalibrated,
            "ridge": work.ridge,
            "trainable": report.trainable,
            "frozen": len(report.hashes),
            "history": work.history,
        }

    def _on_images(
        self, phase: Phase, folder: Path, until: str | None, *, first: bool
    ) -> dict:
        norm = phase.frozen_norm if until else phase.norm
        report = freeze(self.network, until, norm=norm, behind=phase.norm)
        history: History = {}
        after, recipe = 0.0, phase.recipe(self.seed)
        images = self.train, self.validation
        with _may_fail(first=first) as lost:
            if len(phase.rates) > 1:
                rate = rate_search.settled(
                    self.network, *images, recipe, phase.rates, folder
                )
                recipe = replace(recipe, learning_rate=rate)
            history = Run(folder).fit(self.network, *images, recipe, verbose=self.verbose)
            after = self.accuracy()
        check_frozen(report, self.network)
        return {
            "after": after,
            "lost": "; ".join(lost) or None,
            "learning_rate": recipe.learning_rate,
            "trainable": report.trainable,
            "frozen": len(report.hashes),
            "history": history,
        }


@contextmanager
def _may_fail(*, first: bool) -> Iterator[list[str]]:
    """A phase after the first that never has a finite loss is no better than none.

    Yields what will have the reason then.
    """
    lost: list[str] = []
    try:
        yield lost
    except TrainingError as error:
        if first:
            raise
        lost.append(str(error))


def check(network: keras.Model, plan: Plan) -> None:
    """Checks all phases before anything trains.

    Raises:
        UsageError: there is none, or one asks for what does not go together.
    """
    if not plan.phases:
        raise UsageError("a plan without phases trains nothing; give it some")
    if plan.init not in get_args(Init):
        raise unknown("way to begin", plan.init, get_args(Init))
    for phase in plan.phases:
        _check(phase)
        until = layer_of(network, phase.until)
        inside = graph.ancestors(network, until) if until else ()
        if PREDICTIONS in inside and phase.frozen_norm == "frozen":
            raise UsageError(
                f"the phase {phase.name!r} freezes all up to {until!r}, so that nothing "
                "learns; freeze up to a layer in front of the classifier"
            )
        if phase.cached and until:
            place_behind(network, until)


def layer_of(network: keras.Model, until: str | int | None) -> str | None:
    """The name of the last frozen layer.

    Raises:
        UsageError: there are not so many layers, or they end within a branch.
    """
    if not isinstance(until, int):
        return until
    weighted = [layer.name for layer in network.layers if layer.weights]
    whole = [
        count
        for count in range(1, len(weighted))
        if set(weighted[:count]) <= set(graph.ancestors(network, weighted[count - 1]))
    ]
    if until == 0:
        return None
    if until not in whole:
        near = sorted(whole, key=lambda count: abs(count - until))[:3]
        raise UsageError(
            f"cannot freeze the first {until} layers of {network.name!r}: expected so "
            "many that no branch is open behind them and the classifier learns, such as "
            f"{', '.join(map(str, sorted(near)))}, so pass one of these"
        )
    return weighted[until - 1]


def _check(phase: Phase) -> None:
    """Raises UsageError for what does not go together."""
    for clash in _clashes(phase):
        raise UsageError(f"the phase {phase.name!r} {clash}")
    for rate in phase.rates:
        check_recipe(replace(phase.recipe(seed=0), learning_rate=rate))


def _clashes(phase: Phase) -> Iterator[str]:
    """Yields what a phase asks for in vain, and what to do."""
    if not (isinstance(phase.name, str) and NAME.fullmatch(phase.name)):
        yield "has a name that is no folder's; begin it with a letter, without / in it"
    for norm in (phase.norm, phase.frozen_norm):
        if norm not in get_args(Norm):
            yield f"treats norms as {norm!r}; expected one of {', '.join(get_args(Norm))}"
    if isinstance(phase.until, bool):
        yield f"is frozen until={phase.until}; give a name, a number of layers or None"
    if not is_count(phase.views):
        yield f"has views={phase.views!r} of each image; give a whole number from 1 on"
    if not phase.rates:
        yield "has no learning rate; give one, or several to try"
    if not phase.cached and phase.views != 1:
        yield (
            f"has views={phase.views} of each image, which are of features computed "
            "once; set cached=True, or views=1"
        )
    if phase.ridge_init and (not phase.cached or phase.until != FEATURES):
        yield (
            "is to begin as a ridge regression, which takes features computed once; set "
            f"cached=True and until={FEATURES!r}"
        )
    if phase.adapt_batch_norm and not phase.cached:
        yield (
            "is to measure statistics for what is computed once, and nothing is; set "
            "cached=True or recalibrate=False"
        )
    if phase.cached:
        yield from _clashes_of_features(phase)


def _clashes_of_features(phase: Phase) -> Iterator[str]:
    """The same where the frozen part is computed once."""
    if phase.until is None:
        yield (
            "is to compute once what is frozen, and nothing is; set until= or "
            "cached=False"
        )
    if len(phase.rates) > 1:
        yield (
            f"is to try the learning rates {phase.rates}, which takes images; set "
            "cached=False, or give one"
        )
    if (phase.augment is None) != (phase.views == 1):
        yield (
            f"computes features once, of views={phase.views} of each image; several need "
            "an augment that makes them, and an augment needs several, so set both or "
            "neither"
        )
    if phase.mixup is not None:
        yield (
            f"computes features once, and mixup={phase.mixup} blends images; set "
            "cached=False, or mixup=None"
        )
    if phase.frozen_norm != "frozen":
        yield (
            f"computes once what frozen_norm={phase.frozen_norm!r} would change; set "
            "cached=False, or frozen_norm='frozen'"
        )
    if phase.augment is not None and phase.augment.normalises:
        yield (
            "computes features of images that augment normalises, and what is held out "
            "is not; leave that to the preprocessing"
        )
