"""One phase of a plan, carried out and evaluated."""

from __future__ import annotations

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
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.train.run import Run
from cnnzoo.transfer.batch_norm import adapt_batch_norm
from cnnzoo.transfer.cached_training import CachedResult, CachedTraining
from cnnzoo.transfer.cut_points import frozen_cut
from cnnzoo.transfer.features.cache import ON_DISK, Progress
from cnnzoo.transfer.freezing import check_frozen, freeze
from cnnzoo.transfer.plans import Init, Phase, Plan, check_phase
from cnnzoo.transfer.rate_search import choose_learning_rate
from cnnzoo.transfer.results import PhaseResult


@dataclass
class PhaseRunner:
    """Carries out the phases of a plan; the attributes are common to all phases.

    Attributes:
        network: Network to train, from `reset_classifier`.
        train: Training images, with labels as the network numbers them.
        validation: Validation images, which choose the epoch and whether to keep a phase.
        features: Folder of cached features.
        seed: Random seed of every choice.
        verbose: As in `keras.Model.fit`, for phases on images.
        progress: Function of the number of finished feature rows and of all rows.
        disk: Maximum size of the features that a phase may add, in bytes.
    """

    network: keras.Model
    train: Source
    validation: Source
    features: Path
    seed: int = 0
    verbose: int = 0
    progress: Progress | None = None
    disk: int = ON_DISK

    def run(self, phase: Phase, folder: Path, before: float | None) -> PhaseResult:
        """Carries out a phase, or resumes it after a kill.

        Args:
            phase: Phase of a checked plan.
            folder: Folder of this phase.
            before: Validation accuracy; None before the first phase.

        Raises:
            TrainingError: Frozen weights have changed, or the loss of the first phase was
                never finite; a later phase is undone then.
        """
        begun = time.monotonic()
        start = [] if before is None else self.network.get_weights()
        until = layer_of(self.network, phase.until)
        if phase.cached and until:
            result = self._on_features(phase, folder, until, before)
        else:
            result = self._on_images(phase, folder, until, before)
        kept = before is None or (
            result.failure is None and self._is_kept(phase, before, result.after)
        )
        if not kept:
            self.network.set_weights(start)
        return replace(result, kept=kept, seconds=time.monotonic() - begun)

    def accuracy(self) -> float:
        """The validation accuracy, 0 to 1."""
        predictions = probabilities(self.network, self.validation).argmax(1)
        return float(np.mean(predictions == np.asarray(self.validation.labels)))

    def _is_kept(self, phase: Phase, before: float, after: float) -> bool:
        if not phase.guarded:
            return after >= before
        error = np.sqrt(before * (1 - before) / len(self.validation))
        return bool(after - before > error)

    def _on_features(
        self, phase: Phase, folder: Path, until: str, before: float | None
    ) -> PhaseResult:
        cut = frozen_cut(self.network, until)
        recipe = phase.recipe(self.seed)
        adapted = phase.adapt_batch_norm and adapt_batch_norm(
            self.network, self.train, cut, self.seed
        )
        report = freeze(self.network, cut, behind=phase.norm)
        training = CachedTraining(
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

        result = CachedResult()
        with _failing(before) as failures:
            result = training.run(from_ridge=phase.ridge_init)
        check_frozen(report, self.network)
        return PhaseResult(
            name=phase.name,
            before=before,
            after=result.accuracy,
            learning_rate=phase.rates[0],
            trainable=report.trainable,
            frozen=len(report.hashes),
            history=result.history,
            failure="; ".join(failures) or None,
            computed=training.train.computed + training.validation.computed,
            reused=training.train.reused + training.validation.reused,
            batch_norm_adapted=adapted,
            ridge=result.ridge,
        )

    def _on_images(
        self, phase: Phase, folder: Path, until: str | None, before: float | None
    ) -> PhaseResult:
        norm = phase.frozen_norm if until else phase.norm
        report = freeze(self.network, until, norm=norm, behind=phase.norm)
        after, history, rate = 0.0, {}, phase.rates[0]
        recipe = phase.recipe(self.seed)
        images = self.train, self.validation
        with _failing(before) as failures:
            if len(phase.rates) > 1:
                rate = choose_learning_rate(
                    self.network, *images, recipe, phase.rates, folder
                )
                recipe = replace(recipe, learning_rate=rate)
            history = Run(folder).fit(self.network, *images, recipe, verbose=self.verbose)
            after = self.accuracy()
        check_frozen(report, self.network)
        return PhaseResult(
            name=phase.name,
            before=before,
            after=after,
            learning_rate=rate,
            trainable=report.trainable,
            frozen=len(report.hashes),
            history=history,
            failure="; ".join(failures) or None,
        )


@contextmanager
def _failing(before: float | None) -> Iterator[list[str]]:
    """Yields a list that gets the reason if the training in the block fails.

    A phase after the first whose loss is never finite is undone.

    Raises:
        TrainingError: The first phase fails, before which there is no accuracy.
    """
    failures: list[str] = []
    try:
        yield failures
    except TrainingError as error:
        if before is None:
            raise
        failures.append(str(error))


def check(network: keras.Model, plan: Plan) -> None:
    """Checks all phases before anything is trained.

    Raises:
        UsageError: There is no phase, or settings of a phase do not go together.
    """
    if not plan.phases:
        raise UsageError("a plan without phases trains nothing; add at least one")
    if plan.init not in get_args(Init):
        raise unknown("way to begin", plan.init, get_args(Init))
    for phase in plan.phases:
        check_phase(phase)
        until = layer_of(network, phase.until)
        inside = graph.ancestors(network, until) if until else ()
        if PREDICTIONS in inside and phase.frozen_norm == "frozen":
            raise UsageError(
                f"the phase {phase.name!r} freezes everything up to {until!r}, so that "
                "nothing is trained; freeze up to a layer before the classifier"
            )
        if phase.cached and until:
            frozen_cut(network, until)


def layer_of(network: keras.Model, until: str | int | None) -> str | None:
    """The name of the last frozen layer.

    Args:
        network: Network with a classifier.
        until: As in `Phase`.

    Raises:
        UsageError: There are fewer layers, or the last one is within a branch.
    """
    if not isinstance(until, int):
        return until
    weighted = [layer.name for layer in network.layers if layer.weights]
    possible = [
        count
        for count in range(1, len(weighted))
        if set(weighted[:count]) <= set(graph.ancestors(network, weighted[count - 1]))
    ]
    if until == 0:
        return None
    if until not in possible:
        near = sorted(possible, key=lambda count: abs(count - until))[:3]
        raise UsageError(
            f"cannot freeze the first {until} layers of {network.name!r}: expected a "
            "number that leaves no branch open and the classifier to train, such as "
            f"{', '.join(map(str, sorted(near)))}, so pass one of these"
        )
    return weighted[until - 1]
