"""race(): several plans on the same images, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from cnnzoo.transfer.results import Result


@dataclass(frozen=True)
class Lap:
    """The result of one plan.

    Attributes:
        name: Name of the plan.
        accuracy: Test accuracy, 0 to 1.
        interval: 95 % confidence interval of the accuracy (Wilson).
        behind: Accuracy lost to the best plan, 0 to 1.
        behind_error: Standard error of this difference, image by image.
        seconds: Duration of the phases.
        result: Network, and result of each phase.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    behind: float
    behind_error: float
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
        lines = [
            f"{'plan':20} {'accuracy':>8} {'95 %':>16} {'behind':>10} {'seconds':>8}"
        ]
        for lap in self.laps:
            low, high = (100 * end for end in lap.interval)
            lines.append(
                f"{lap.name:20} {100 * lap.accuracy:6.1f} % {low:6.1f} to {high:5.1f} % "
                f"{100 * lap.behind:4.1f} ± {100 * lap.behind_error:3.1f} "
                f"{lap.seconds:8.0f}"
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
    correct = [one.probabilities.argmax(1) == one.labels for one in evaluations]
    best = max(correct, key=np.mean).astype(int)
    laps = []
    for i, (name, one) in enumerate(zip(names, evaluations, strict=True)):
        low, high = one.error_interval
        lost = best - correct[i]
        laps.append(
            Lap(
                name,
                one.accuracy,
                interval=(1 - high / 100, 1 - low / 100),
                behind=float(lost.mean()),
                behind_error=float(lost.std() / np.sqrt(len(lost))),
                seconds=sum(phase.seconds for phase in results[i].phases),
                result=results[i],
            )
        )
    return tuple(laps)
