"""One phase of a plan, carried out and judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from cnnzoo.data.source import Source
from cnnzoo.errors import UsageError
from cnnzoo.inference import probabilities
from cnnzoo.train.run import Run
from cnnzoo.transfer.cached import CachedTraining, place_behind
from cnnzoo.transfer.features import Progress
from cnnzoo.transfer.freeze import check_frozen, freeze
from cnnzoo.transfer.plan import Phase
from cnnzoo.transfer.result import Done
from cnnzoo.zoo import FEATURES


@dataclass
class Bench:
    """What the phases of a plan share.

    Attributes:
        network: from `reset_classifier`; it is what learns.
        train: images to learn from, labels as the network numbers them.
        validation: images that choose the epoch, and whether a guarded phase is kept.
        features: the folder of what is computed once.
        seed: of every random choice.
        verbose: as in `keras.Model.fit`.
        progress: is told how far the features are.
    """

    network: keras.Model
    train: Source
    validation: Source
    features: Path
    seed: int = 0
    verbose: int = 0
    progress: Progress | None = None

    def carry_out(self, phase: Phase, folder: Path, before: float | None) -> Done:
        """Trains as the phase says, or goes on where a kill has ended that.

        Args:
            folder: of this phase alone.
            before: the accuracy on what is held out; None before the first phase.

        Raises:
            TrainingError: what was frozen has changed, or no loss was finite.
            UsageError: the phase asks for what does not go together.
        """
        _check(phase)
        begun = time.monotonic()
        start = [ops.convert_to_numpy(weight) for weight in self.network.weights]
        until = layer_of(self.network, phase.until)
        told = (
            self._on_features(phase, folder, until)
            if phase.cached and until
            else self._on_images(phase, folder, until)
        )
        after = told["after"]
        kept = before is None or self._is_kept(phase, before, after)
        if not kept:
            for weight, value in zip(self.network.weights, start, strict=True):
                weight.assign(value)
        seconds = time.monotonic() - begun
        return Done(phase.name, before, kept=kept, seconds=seconds, **told)

    def accuracy(self) -> float:
        """On what is held out, 0 to 1."""
        answers = probabilities(self.network, self.validation).argmax(1)
        return float(np.mean(answers == np.asarray(self.validation.labels)))

    def _is_kept(self, phase: Phase, before: float, after: float) -> bool:
        if not phase.guarded:
            return after >= before
        error = np.sqrt(before * (1 - before) / len(self.validation))
        return bool(after - before > error)

    def _on_features(self, phase: Phase, folder: Path, until: str) -> dict:
        cut = place_behind(self.network, until)
        report = freeze(self.network, cut, behind=phase.norm or "train")
        work = CachedTraining(
            self.network,
            self.train,
            self.validation,
            cut,
            folder,
            self.features,
            phase.recipe(self.seed),
            views=phase.views,
            progress=self.progress,
        )
        history = work.train(warm_start=phase.warm_start, verbose=self.verbose)
        check_frozen(report, self.network)
        return {
            "after": work.accuracy,
            "computed": work.learned.computed + work.held_out.computed,
            "reused": work.learned.reused + work.held_out.reused,
            "ridge": work.ridge,
            "trainable": report.trainable,
            "frozen": len(report.hashes),
            "history": history,
        }

    def _on_images(self, phase: Phase, folder: Path, until: str | None) -> dict:
        norm = phase.norm or "train"
        report = freeze(self.network, until, norm=None if until else norm, behind=norm)
        history = Run(folder).fit(
            self.network,
            self.train,
            self.validation,
            phase.recipe(self.seed),
            verbose=self.verbose,
        )
        check_frozen(report, self.network)
        return {
            "after": self.accuracy(),
            "trainable": report.trainable,
            "frozen": len(report.hashes),
            "history": history,
        }


def layer_of(network: keras.Model, until: str | int | None) -> str | None:
    """The name of the last frozen layer.

    Raises:
        UsageError: there are not so many layers.
    """
    if not isinstance(until, int):
        return until
    weighted = [layer.name for layer in network.layers if layer.weights]
    if not 0 <= until < len(weighted):
        raise UsageError(
            f"cannot freeze the first {until} layers of {network.name!r}: expected 0 to "
            f"{len(weighted) - 1}, since it has {len(weighted)} with weights, and the "
            "classifier is to learn"
        )
    return weighted[until - 1] if until else None


def _check(phase: Phase) -> None:
    """Raises UsageError for what does not go together."""
    if phase.cached and phase.until is None:
        raise UsageError(
            f"the phase {phase.name!r} is to compute once what is frozen, and nothing "
            "is; set until= or cached=False"
        )
    if phase.cached and (phase.augment is None) != (phase.views == 1):
        raise UsageError(
            f"the phase {phase.name!r} computes features once, of views={phase.views} of "
            "each image; several need an augment that makes them, and an augment needs "
            "several, so set both or neither"
        )
    if phase.warm_start and (not phase.cached or phase.until != FEATURES):
        raise UsageError(
            f"the phase {phase.name!r} is to begin as a ridge regression, which takes "
            f"features computed once; set cached=True and until={FEATURES!r}"
        )
