"""race(): several plans on the same images, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from cnnzoo.data.inputs.conversion import Labelled, as_labelled, as_train_validation
from cnnzoo.errors import UsageError
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import evaluate
from cnnzoo.system.runtime import Verbose
from cnnzoo.transfer.fitting import FEATURES_FOLDER, fit
from cnnzoo.transfer.plans import Plan
from cnnzoo.transfer.probes import holm, mcnemar
from cnnzoo.transfer.results import Result


@dataclass(frozen=True)
class Lap:
    """The result of one plan.

    Attributes:
        name: Name of the plan.
        accuracy: Test accuracy, 0 to 1.
        interval: 95 % confidence interval of the accuracy (Wilson).
        p_value: p-value of the difference from the best: exact McNemar, corrected for
            the number of pairs of plans; 1 for the best itself.
        seconds: Duration of the phases.
        result: Network, and result of each phase.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    p_value: float
    seconds: float
    result: Result = field(repr=False, compare=False)

    def to_dict(self) -> dict:
        """The fields as JSON has them, without the result."""
        return {name: value for name, value in vars(self).items() if name != "result"}


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
        lines = [f"{'plan':20} {'accuracy':>8} {'95 %':>16} {'p':>6} {'seconds':>8}"]
        for lap in self.laps:
            low, high = (100 * end for end in lap.interval)
            lines.append(
                f"{lap.name:20} {100 * lap.accuracy:6.1f} % {low:6.1f} to {high:5.1f} % "
                f"{lap.p_value:6.2g} {lap.seconds:8.0f}"
            )
        return "\n".join(lines)


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
    with TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        evaluations, results = [], []
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
            evaluations.append(evaluate(result.model, test))
            results.append(result)
    return Race(compare_plans(list(plans), evaluations, results), len(test))


def compare_plans(
    names: Sequence[str], evaluations: Sequence[Evaluation], results: Sequence[Result]
) -> tuple[Lap, ...]:
    """Compares plans image by image with the most accurate one."""
    right = [one.probabilities.argmax(1) == one.labels for one in evaluations]
    best = int(np.argmax([one.accuracy for one in evaluations]))
    # Corrected for all pairs, since the best was chosen on the same images.
    pairs = list(combinations(range(len(evaluations)), 2))
    corrected = holm([mcnemar(right[i], right[j]) for i, j in pairs])
    p_values = {best: 1.0}
    for pair, p_value in zip(pairs, corrected, strict=True):
        if best in pair:
            p_values[sum(pair) - best] = p_value
    laps = []
    for i, (name, one) in enumerate(zip(names, evaluations, strict=True)):
        low, high = one.error_interval
        interval = (1 - high / 100, 1 - low / 100)
        seconds = sum(phase.seconds for phase in results[i].phases)
        laps.append(Lap(name, one.accuracy, interval, p_values[i], seconds, results[i]))
    return tuple(laps)
