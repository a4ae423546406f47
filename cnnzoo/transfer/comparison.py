"""race(): several plans on the same images, held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.errors import UsageError
from cnnzoo.inference import Evaluation, evaluate
from cnnzoo.transfer.fitting import FEATURES_FOLDER, fit
from cnnzoo.transfer.plans import Plan
from cnnzoo.transfer.probes import holm, mcnemar
from cnnzoo.transfer.results import Result


@dataclass(frozen=True)
class Lap:
    """What one plan came to.

    Attributes:
        name: of the plan.
        accuracy: on the images that judge, 0 to 1.
        interval: where it lies with 95 %, of all such images (Wilson).
        p_value: that it differs from the best by chance alone: exact McNemar, corrected
            for the number of pairs of plans; 1 for the best itself.
        seconds: that it took.
        result: the network, and what each phase did.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    p_value: float
    seconds: float
    result: Result = field(repr=False, compare=False)


@dataclass(frozen=True)
class Race:
    """What several plans came to on the same images.

    Attributes:
        laps: a row a plan, in the order of the plans.
        images: how many judged.
    """

    laps: tuple[Lap, ...]
    images: int

    @property
    def best(self) -> Lap:
        """The most accurate; of equals, the quickest."""
        return max(self.laps, key=lambda lap: (lap.accuracy, -lap.seconds))

    def to_dict(self) -> dict:
        """As JSON has it."""
        told = [field.name for field in fields(Lap) if field.name != "result"]
        laps = [{name: getattr(lap, name) for name in told} for lap in self.laps]
        return {"laps": laps, "images": self.images}

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
    train: Source,
    validation: Source,
    test: Source,
    *,
    folder: str | Path | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> Race:
    """Carries out plans on the same split, each from the same weights.

    What is computed once serves all of them; the first that needs it pays.

    Args:
        plans: by a name that a folder can have.
        model: from `build` or `load`, with trained weights.
        train: images to learn from.
        validation: images that choose epochs.
        test: images that judge, which choose nothing.
        folder: where a race that is killed goes on; None for one that is lost then.
        seed: of every random choice.
        verbose: as in `keras.Model.fit`.

    Raises:
        UsageError: there are fewer than two plans.
    """
    if len(plans) < 2:
        raise UsageError(
            f"a race is between plans; got {len(plans)}, so give two or more"
        )
    with TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        judged, results = [], []
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
            judged.append(evaluate(result.model, test))
            results.append(result)
    return Race(_laps(list(plans), judged, results), len(test))


def _laps(
    names: Sequence[str], judged: Sequence[Evaluation], results: Sequence[Result]
) -> tuple[Lap, ...]:
    """What each plan came to, and whether the best could be so by chance."""
    right = [one.probabilities.argmax(1) == one.labels for one in judged]
    best = int(np.argmax([one.accuracy for one in judged]))
    # Of all pairs, since the best was chosen on the same images.
    pairs = list(combinations(range(len(judged)), 2))
    corrected = holm([mcnemar(right[i], right[j]) for i, j in pairs])
    p_values = {best: 1.0}
    for pair, p_value in zip(pairs, corrected, strict=True):
        if best in pair:
            p_values[sum(pair) - best] = p_value
    laps = []
    for i, (name, one) in enumerate(zip(names, judged, strict=True)):
        low, high = one.error_interval
        interval = (1 - high / 100, 1 - low / 100)
        seconds = sum(done.seconds for done in results[i].phases)
        laps.append(Lap(name, one.accuracy, interval, p_values[i], seconds, results[i]))
    return tuple(laps)
