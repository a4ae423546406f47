"""fit(): carries out a plan, phase by phase, and resumes after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import Labelled, as_train_validation
from cnnzoo.data.pipeline import align_labels
from cnnzoo.errors import (
    CheckpointError,
    CnnzooError,
    DatasetError,
    ResumeMismatchError,
)
from cnnzoo.inference import calibrate
from cnnzoo.metadata import metadata_of
from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.system.locks import FolderLock, folder_lock
from cnnzoo.system.runtime import Verbose
from cnnzoo.train.compilation import take_value_range
from cnnzoo.train.run_metadata import differences, network_facts
from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.cases import plan as plan_for
from cnnzoo.transfer.cut_points import stage_cuts
from cnnzoo.transfer.evidence import ALL_CUTS
from cnnzoo.transfer.features.cache import ON_DISK, Progress
from cnnzoo.transfer.freezing import unfreeze
from cnnzoo.transfer.measurement import assess
from cnnzoo.transfer.phase_runner import PhaseRunner, check
from cnnzoo.transfer.plans import Plan
from cnnzoo.transfer.results import PhaseResult, Result, read_record, write_record
from cnnzoo.weights.loading import load_weights
from cnnzoo.weights.tensors import digest
from cnnzoo.zoo.classifier import reset_classifier

TRANSFER_FILE = "transfer.json"
PHASE_FILE = "phase.json"
WEIGHTS_FILE = "after.keras"
FEATURES_FOLDER = "features"


def fit(
    model: keras.Model,
    train: Labelled,
    validation: Labelled | float = 0.2,
    plan: Plan | Assessment | int | Literal["auto", "all-cuts"] = "auto",
    *,
    folder: str | Path | None = None,
    features: str | Path | None = None,
    seed: int = 0,
    verbose: Verbose = "auto",
    progress: Progress | None = None,
    disk: int = ON_DISK,
) -> Result:
    """Trains a copy of a network to classify other images.

    Args:
        model: Network from `build` or `load`, with trained weights.
        train: Labelled training images, in any form that `train.Run` takes.
        validation: Labelled validation images, which choose the best epoch, whether a
            phase is kept, and the temperature; or a share of `train`.
        plan: Plan, assessment or number of a case; "auto" measures the case first, and
            "all-cuts" is a classifier on the means of every stage.
        folder: Folder in which a killed training is resumed; None for a temporary one.
        features: Folder of cached features; None for a subfolder of `folder`.
        seed: Random seed of every choice; also set as Keras's own.
        verbose: As in `train.Run.fit`, for phases on images.
        progress: Function of the number of finished feature rows and of all rows.
        disk: Maximum size of the features that a phase may add, in bytes.

    Raises:
        UsageError: Settings of the plan do not go together.
        DatasetError: The images have no labels, or their classes differ.
        ResumeMismatchError: The folder holds another training.
        CheckpointError: The folder holds damaged files, or those of another version.
        TrainingError: No validation loss was finite, or frozen weights have changed.
    """
    train, validation = as_train_validation(train, validation, seed=seed)
    names = _class_names(train)
    images = align_labels(train, names), align_labels(validation, names)
    plan = assess(model, images[0], seed=seed) if plan == "auto" else plan
    assessment = plan if isinstance(plan, Assessment) else None
    todo = plan if isinstance(plan, Plan) else plan_for(plan)
    keras.utils.set_random_seed(seed)
    network = _network(model, todo, names)
    take_value_range(network, train)
    check(network, todo)
    with TemporaryDirectory() if folder is None else nullcontext(folder) as opened:
        place = Path(opened)
        own = Path(features or place / FEATURES_FOLDER)
        runner = PhaseRunner(network, *images, own, seed, verbose, progress, disk)
        with folder_lock(place) as lock:
            _check_or_create(place, _identity(model, todo, *images, seed))
            phases = tuple(_run_all(runner, todo, place, lock))
    unfreeze(network)
    _calibrate(network, images[1], phases)
    # Plain SGD has no state, so the saved file contains only the weights.
    loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    network.compile(keras.optimizers.SGD(1e-3), loss, metrics=metrics)
    return Result(network, todo, assessment, phases)


def _calibrate(
    network: keras.Model, validation: Source, phases: tuple[PhaseResult, ...]
) -> None:
    """Fits the temperature on the validation images.

    The factor from a ridge regression's outputs to logits is one, fitted out of fold.
    """
    last = next(phase for phase in reversed(phases) if phase.kept)
    if last.ridge is not None and not last.epochs:
        network.cnnzoo = replace(metadata_of(network), temperature=1.0)
    else:
        calibrate(network, validation)


def _network(model: keras.Model, plan: Plan, names: tuple[str, ...]) -> keras.Model:
    """The network that a plan trains: the model's trunk with a new classifier."""
    ends = tuple(cut.name for cut in stage_cuts(model))
    return reset_classifier(
        model,
        class_names=names,
        cut=ends if plan.cut == ALL_CUTS else plan.cut or ends[-1],
        pooling=plan.pooling,
        pretrained=plan.init == "pretrained",
    )


def _class_names(train: Source) -> tuple[str, ...]:
    """The classes of the images.

    Raises:
        DatasetError: There are fewer than two.
    """
    names = tuple(train.class_names)
    if len(names) < 2:
        raise DatasetError(
            f"cannot train a classifier of {len(names)} classes: expected at least two, "
            "so add images of others"
        )
    return names


def _run_all(
    runner: PhaseRunner, plan: Plan, place: Path, lock: FolderLock
) -> Iterator[PhaseResult]:
    """Yields the result of each phase; reads that of a finished one."""
    before: float | None = None
    for number, phase in enumerate(plan.phases, start=1):
        own = place / f"{number}-{phase.name}"
        path, weights = own / PHASE_FILE, own / WEIGHTS_FILE
        if path.exists():
            remedy = f"remove {own} and call again"
            result, expected = read_record(path, _read_phase, remedy)
            _load_phase(runner.network, weights, expected, remedy)
        else:
            result = runner.run(phase, own, before)
            lock.check()
            save(runner.network, weights)
            end = {"weights": digest(runner.network.weights)}
            write_record(path, {**result.to_dict(), **end})
        if result.kept:
            before = result.after
        yield result


def _read_phase(record: dict) -> tuple[PhaseResult, str]:
    """The result of a phase, and the digest of the weights at its end."""
    weights = record.pop("weights")
    return PhaseResult.from_dict(record), weights


def _load_phase(network: keras.Model, path: Path, expected: str, remedy: str) -> None:
    """Loads the weights at the end of a phase.

    Raises:
        CheckpointError: The file is missing or damaged, or has other weights.
    """
    found = None
    with suppress(CnnzooError, OSError):
        load_weights(network, path)
        found = digest(network.weights)
    if found != expected:
        raise CheckpointError(
            f"cannot continue after {path.parent}: expected its weights in {path.name}, "
            f"found {'other ones' if found else 'none or a damaged file'}; {remedy}"
        )


def _identity(
    model: keras.Model, plan: Plan, train: Source, validation: Source, seed: int
) -> dict:
    """The settings that distinguish one transfer from another."""
    record = {
        "network": network_facts(model),
        "weights": digest(model.weights),
        "plan": plan.to_dict(),
        "train": train.fingerprint(),
        "validation": validation.fingerprint(),
        "seed": seed,
    }
    return json.loads(files.as_json(record))  # with lists, as when read


def _check_or_create(folder: Path, identity: dict) -> None:
    """Writes the identity of a transfer, or compares it with the one in the folder.

    Raises:
        ResumeMismatchError: The folder holds another transfer.
        CheckpointError: The file is damaged or has another format.
    """
    path = folder / TRANSFER_FILE
    if not path.exists():
        write_record(path, identity)
        return
    first = read_record(path, dict, "use another folder")
    if different := differences(first, identity):
        raise ResumeMismatchError(
            f"{folder} holds another transfer: {'; '.join(different[:10])}; continue it "
            "with the same arguments, or use another folder"
        )
