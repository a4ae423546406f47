"""One phase of a plan, carried out and evaluated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np

from cnnzoo import graph
from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import TrainingError, UsageError, unknown
from cnnzoo.inference import probabilities
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import metadata_of
from cnnzoo.system.runtime import Verbose
from cnnzoo.train.run import Run
from cnnzoo.transfer.batch_norm import (
    SAMPLED,
    adapt_batch_norm,
    measure,
    training_batches,
)
from cnnzoo.transfer.cut_points import frozen_cut
from cnnzoo.transfer.features.cache import ON_DISK, FeatureCache, Progress
from cnnzoo.transfer.features.cached_training import train_on_features
from cnnzoo.transfer.freezing import check_frozen, freeze
from cnnzoo.transfer.plans import Init, Phase, Plan, check_phase
from cnnzoo.transfer.rate_search import choose_learning_rate
from cnnzoo.transfer.results import PhaseResult

# Shares of the way from the weights before a phase to those after it (WiSE-FT, Wortsman
# et al. 2021, https://arxiv.org/abs/2109.01903).
ALPHAS = (1.0, 0.75, 0.5, 0.25)


@dataclass
class PhaseRunner:
    """Carries out the phases of a plan; the attributes are common to all phases.

    Attributes:
        network: Network to train, from `reset_classifier`.
        train: Training images, with labels as the network numbers them.
        validation: Validation images, which choose the epoch and whether to keep a phase.
        features: Folder of cached features.
        seed: Random seed of every choice.
        verbose: As in `train.Run.fit`, for phases on images.
        progress: Function of the number of finished feature rows and of all rows.
        disk: Maximum size of the features that a phase may add, in bytes.
    """

    network: keras.Model
    train: Source
    validation: Source
    features: Path
    seed: int = 0
    verbose: Verbose = "auto"
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
        cut = frozen_cut(self.network, until) if phase.cached and until else None
        adapted = False
        if cut and phase.adapt_batch_norm:
            adapted = adapt_batch_norm(self.network, self.train, cut, self.seed)
        norm = phase.frozen_norm if until else phase.norm
        report = freeze(self.network, cut or until, norm=norm, norm_after=phase.norm)
        caches = self._features(phase, cut) if cut else []
        result = PhaseResult(
            name=phase.name,
            before=before,
            after=0.0,
            learning_rate=phase.rates[0],
            trainable=report.trainable,
            frozen=len(report.hashes),
            history={},
            computed=sum(cache.computed for cache in caches),
            reused=sum(cache.reused for cache in caches),
            batch_norm_adapted=adapted,
        )
        result = self._train(phase, cut, caches, folder, result)
        if before is not None:
            result = self._interpolate(phase, before, start, result)
        check_frozen(report, self.network)
        return replace(result, seconds=time.monotonic() - begun)

    def accuracy(self) -> float:
        """The validation accuracy, 0 to 1, rounded as that on cached features is."""
        predictions = probabilities(self.network, self.validation).argmax(1)
        return round(float(np.mean(predictions == np.asarray(self.validation.labels))), 6)

    def _interpolate(
        self, phase: Phase, before: float, start: list[np.ndarray], result: PhaseResult
    ) -> PhaseResult:
        """Sets the most accurate weights on the way from before a phase to after it.

        Of equal validation accuracies, the one nearest to the end of the phase counts. If
        none is as good as before, or, for a guarded phase, better by a standard error,
        the weights are those before; not so if the phase tells the share of the way.
        """
        end, best, chosen, weights = self.network.get_weights(), -1.0, 0.0, start
        alphas = ALPHAS if phase.alpha is None else (phase.alpha,)
        for alpha in () if result.failure else alphas:
            accuracy = self._accuracy_between(phase, start, end, alpha, result.after)
            if accuracy > best:
                best, chosen, weights = accuracy, alpha, self.network.get_weights()
        error = np.sqrt(before * (1 - before) / len(self.validation))
        worse = best < before or (phase.guarded and best - before <= error)
        if phase.alpha is None and worse:
            chosen, weights = 0.0, start
        self.network.set_weights(weights)
        return replace(result, after=max(best, 0.0), alpha=chosen)

    def _accuracy_between(
        self,
        phase: Phase,
        start: list[np.ndarray],
        end: list[np.ndarray],
        alpha: float,
        after: float,
    ) -> float:
        """Sets the weights at a share of the way; returns the validation accuracy.

        Statistics that the phase trained are measured anew, on the way.
        """
        if alpha == 1:
            return after
        # In this form, weights that did not change stay the same, bit by bit.
        share, ways = np.float32(alpha), zip(start, end, strict=True)
        self.network.set_weights([old + share * (new - old) for old, new in ways])
        if phase.norm == "train" and phase.frozen_norm != "affine":
            known = metadata_of(self.network)
            images = self.train.take(some_rows(len(self.train), SAMPLED, self.seed))
            images = images.with_geometry(known.geometry)
            measure(self.network, training_batches(self.network, images, known.outside))
        return self.accuracy()

    def _features(self, phase: Phase, cut: str) -> list[FeatureCache]:
        """The features at a cut of the training images, and of the validation images."""
        return [
            FeatureCache.build(
                self.network,
                source,
                cut,
                self.features,
                augment=phase.augment if views > 1 else None,
                views=views,
                seed=self.seed,
                progress=self.progress,
                disk=self.disk,
            )
            for source, views in ((self.train, phase.views), (self.validation, 1))
        ]

    def _train(
        self,
        phase: Phase,
        cut: str | None,
        caches: Sequence[FeatureCache],
        folder: Path,
        result: PhaseResult,
    ) -> PhaseResult:
        """Trains on features after a cut, or on images; adds what came of it."""
        images, recipe = (self.train, self.validation), phase.recipe(self.seed)
        try:
            if cut:
                return train_on_features(
                    result,
                    self.network,
                    cut,
                    caches,
                    *images,
                    recipe,
                    folder,
                    from_ridge=phase.ridge_init,
                )
            if len(phase.rates) > 1:
                rate = choose_learning_rate(
                    self.network, *images, recipe, phase.rates, folder
                )
                recipe = replace(recipe, learning_rate=rate)
                result = replace(result, learning_rate=rate)
            run = Run(folder, calibrated=False)  # done once, after the phases
            history = run.fit(self.network, *images, recipe, verbose=self.verbose)
            epochs = int(np.nanargmin(history["val_loss"])) + 1
            return replace(result, after=self.accuracy(), history=history, epochs=epochs)
        except TrainingError as error:
            if result.before is None:
                raise
            return replace(result, failure=str(error))


def check(network: keras.Model, plan: Plan) -> None:
    """Checks all phases before anything is trained.

    Raises:
        UsageError: There is no phase, or settings of a phase do not go together.
    """
    if not plan.phases:
        raise UsageError("a plan without phases trains nothing; add at least one")
    if plan.init not in get_args(Init):
        raise unknown("initialization", plan.init, get_args(Init))
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
