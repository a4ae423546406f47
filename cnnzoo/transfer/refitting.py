"""kfold(): an honest accuracy, and a network trained on all images as the folds chose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median, mode
from tempfile import TemporaryDirectory
from typing import Literal

import keras

from cnnzoo.calibration import fit_temperature
from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled, as_training
from cnnzoo.errors import UsageError
from cnnzoo.evaluation import Evaluation
from cnnzoo.metadata import metadata_of
from cnnzoo.train.cross_validation import cross_validate
from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.cases import plan as plan_for
from cnnzoo.transfer.features.cache import ON_DISK, Progress
from cnnzoo.transfer.fitting import FEATURES_FOLDER, fit
from cnnzoo.transfer.measurement import assess
from cnnzoo.transfer.plans import Phase, Plan
from cnnzoo.transfer.results import PhaseResult, Result

Planner = Callable[[Source], Plan]
"""A function of the training images that makes their plan."""


def kfold(
    model: keras.Model,
    images: Labelled,
    validation: float = 0.2,
    plan: Plan | Planner | int | Literal["auto", "all-cuts"] = "auto",
    *,
    folds: int = 5,
    folder: str | Path | None = None,
    seed: int = 0,
    group_by: str | None = None,
    progress: Progress | None = None,
    disk: int = ON_DISK,
) -> Result:
    """Cross-validates a plan, then trains a network on all images by the folds' settings.

    No image was used in any way for the network that is evaluated on it: each fold
    chooses its epochs, learning rate and weights by images of its own, and assesses the
    case anew. The last network gets the median of the epochs, and the phases that most
    folds kept, and its temperature is fitted on their predictions.

    Args:
        model: Network from `build`, `load` or `adopt`, with trained weights.
        images: Labelled images, as `train` in `fit`.
        validation: Share of a fold's training images that chooses its settings; more if
            that lacks a class.
        plan: As in `fit`, but no assessment, which has used all images; or a function
            that makes the plan of some training images.
        folds: Number of folds, at least 2 and at most the number of images per class.
        folder: Folder in which a killed training is resumed; None for a temporary one.
        seed: Random seed of every choice.
        group_by: Regular expression that groups files; see `Source.groups`.
        progress: As in `fit`.
        disk: As in `fit`.

    Returns:
        The result of the last network; its `folds` is the cross-validation.

    Raises:
        UsageError: There are fewer than 2 folds, or settings do not go together.
        DatasetError: A class has too few images.
    """
    source, results = as_training(images), []
    with TemporaryDirectory() if folder is None else nullcontext(folder) as opened:
        place = Path(opened)
        shared = {"progress": progress, "disk": disk, "verbose": 0}
        shared["features"] = place / FEATURES_FOLDER

        def train(number: int, parts: tuple[Source, Source]) -> keras.Model:
            own, chosen = place / f"fold-{number}", _planned(model, parts[0], plan, seed)
            options = {"folder": own, "seed": seed + number, **shared}
            results.append(fit(model, *parts, chosen[0], **options))
            return results[-1].model

        options = {"folds": folds, "seed": seed, "group_by": group_by}
        found = cross_validate(train, source, validation=validation, **options)
        chosen, assessment = _planned(model, source, plan, seed)
        options = {"folder": place / "all", "seed": seed, **shared}
        result = fit(model, source, source, settle(chosen, results), **options)
    _calibrate(result.model, found.evaluation)
    return replace(result, assessment=assessment, folds=found)


def _calibrate(network: keras.Model, evaluation: Evaluation) -> None:
    """Fits the temperature on the predictions of the folds' networks."""
    temperature = fit_temperature(evaluation.raw_probabilities, evaluation.labels)
    network.cnnzoo = replace(metadata_of(network), temperature=temperature)


def _planned(
    model: keras.Model,
    source: Source,
    plan: Plan | Planner | int | Literal["auto", "all-cuts"],
    seed: int,
) -> tuple[Plan, Assessment | None]:
    """The plan for some training images, and its evidence."""
    if isinstance(plan, Assessment):
        raise UsageError(
            "cannot cross-validate by an assessment, which has used the images of every "
            'fold: expected "auto", a case, a plan or a function; pass one of them'
        )
    if plan == "auto":
        assessment = assess(model, source, seed=seed)
        return plan_for(assessment), assessment
    if isinstance(plan, Plan):
        return plan, None
    return (plan(source) if callable(plan) else plan_for(plan)), None


def settle(plan: Plan, results: Sequence[Result]) -> Plan:
    """The plan with the settings that the folds chose by images of their own."""
    phases = [_settled(phase, results) for phase in plan.phases]
    return replace(plan, phases=[phase for phase in phases if phase is not None])


def _settled(phase: Phase, results: Sequence[Result]) -> Phase | None:
    """A phase with the folds' settings; None if most of them have undone it.

    Folds have fewer images, so that their cases can lack a phase; it stays as planned.
    """
    every = [done for one in results for done in one.phases if done.name == phase.name]
    kept: list[PhaseResult] = [done for done in every if done.kept]
    if not every:
        return phase
    if 2 * len(kept) <= len(every):
        return None
    return replace(
        phase,
        epochs=round(median(done.epochs for done in kept)),
        learning_rate=mode(done.learning_rate for done in kept),
        alpha=median(done.alpha for done in kept),
        patience=None,
        guarded=False,
    )
