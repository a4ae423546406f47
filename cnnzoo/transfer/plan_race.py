"""race(): several plans on the same images, compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from cnnzoo.data.inputs.conversion import Labelled, as_labelled, as_train_validation
from cnnzoo.errors import UsageError
from cnnzoo.inference import evaluate
from cnnzoo.system.runtime import Verbose
from cnnzoo.system.text import text_table
from cnnzoo.transfer.evidence import SCORE, Score, score
from cnnzoo.transfer.fitting import FEATURES_FOLDER, fit
from cnnzoo.transfer.plans import Plan
from cnnzoo.transfer.results import Result


@dataclass(frozen=True)
class Lap(Score):
    """The result of one plan.

    Attributes:
        seconds: Duration of the phases.
        result: Network, and result of each phase.
    """

    seconds: float
    result: Result = field(repr=False, compare=False)


@dataclass(frozen=True)
class Race:
    """The results of several plans on the same images.

    Attributes:
        laps: Result of each plan, in their order.
        images: Number of test images.
    """

    laps: tuple[Lap, ...]
    images: int

    @property
    def best(self) -> Lap:
        """The most accurate plan; the quickest of several."""
        return max(self.laps, key=lambda lap: (lap.accuracy, -lap.seconds))

    def to_dict(self) -> dict:
        """The fields as JSON has them."""
        return {"laps": [lap.to_dict() for lap in self.laps], "images": self.images}

    def __str__(self) -> str:
        rows = [(*lap.row(), f"{lap.seconds:.0f}") for lap in self.laps]
        return text_table(("plan", *SCORE, "seconds"), rows)


def race(
    plans: Mapping[str, Plan],
    model: keras.Model,
    train: Labelled,
    validation: Labelled | float,
    test: Labelled,
    *,
    folder: str | Path | None = None,
    seed: int = 0,
    verbose: Verbose = "auto",
) -> Race:
    """Carries out plans on the same images, each from the same weights.

    Cached features are shared; their time counts for the first plan that needs them.

    Args:
        plans: Plans by name; each name is also that of a folder.
        model: Network from `build` or `load`, with trained weights.
        train: Training images, as in `fit`.
        validation: Validation images, which choose the best epoch, or a share of `train`.
        test: Test images, on which the plans are compared.
        folder: Folder in which a killed race is resumed; None for a temporary one.
        seed: Random seed of every choice.
        verbose: As in `Run.fit`.

    Raises:
        UsageError: There are fewer than two plans.
    """
    if len(plans) < 2:
        raise UsageError(
            f"cannot race {len(plans)} plan: expected at least two, so pass more"
        )
    train, validation = as_train_validation(train, validation, seed=seed)
    test = as_labelled(test, train.class_names)
    results, correct = [], []
    with TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        for name, plan in plans.items():
            result = fit(
                model,
                train,
                validation,
                plan,
                folder=place / name,
                features=place / FEATURES_FOLDER,
                seed=seed,
                verbose=verbose,
            )
            found = evaluate(result.model, test)
            results.append(result)
            correct.append((found.probabilities.argmax(1) == found.labels).astype(float))
    seconds = [sum(phase.seconds for phase in result.phases) for result in results]
    best = max(
        zip(correct, seconds, strict=True), key=lambda one: (one[0].mean(), -one[1])
    )
    laps = [
        Lap(name, **score(own, best[0]), seconds=time, result=result)
        for name, own, time, result in zip(plans, correct, seconds, results, strict=True)
    ]
    return Race(tuple(laps), len(test))
