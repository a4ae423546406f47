"""fit(): a plan carried out, phase by phase; what a kill has left of it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.data.pipeline import align_labels
from cnnzoo.errors import CheckpointError, DatasetError, ResumeMismatchError
from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.system.locks import folder_lock
from cnnzoo.train.run import MODEL_FILE
from cnnzoo.train.run_metadata import changes, network_told
from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.cases import plan as plan_for
from cnnzoo.transfer.cut_points import stage_cuts
from cnnzoo.transfer.features.cache import ON_DISK, Progress
from cnnzoo.transfer.freezing import unfreeze
from cnnzoo.transfer.measurement import assess
from cnnzoo.transfer.phase_runner import Bench, check
from cnnzoo.transfer.plans import Plan
from cnnzoo.transfer.results import PhaseResult, Result
from cnnzoo.weights.loading import load_weights
from cnnzoo.weights.tensors import digest
from cnnzoo.zoo.classifier import reset_classifier

CARD_FILE = "transfer.json"
DONE_FILE = "done.json"
FEATURES_FOLDER = "features"


def fit(
    model: keras.Model,
    train: Source,
    validation: Source,
    plan: Plan | Assessment | int | Literal["auto"] = "auto",
    *,
    folder: str | Path | None = None,
    features: str | Path | None = None,
    seed: int = 0,
    verbose: int = 0,
    progress: Progress | None = None,
    disk: int = ON_DISK,
) -> Result:
    """Makes a network a classifier of other images; the model itself stays as it is.

    Args:
        model: from `build` or `load`, with trained weights.
        train: labelled images to learn from.
        validation: images that choose epochs, and whether a guarded phase is kept.
        plan: what to do; an assessment or a number for a case; "auto" measures the case
            first.
        folder: where a training that is killed goes on when it is called again; None
            for one that is lost then.
        features: where what is computed once is kept; None for a place in `folder`.
        seed: of every random choice; Keras's own is set to it, too.
        verbose: as in `keras.Model.fit`, for phases on images; one on features is soon
            over.
        progress: is told how many rows of features are there, and of how many.
        disk: bytes of features that a phase may add.

    Raises:
        UsageError: the plan asks for what does not go together.
        DatasetError: the images have no labels, or classes that differ.
        ResumeMismatchError: the folder holds another training.
        TrainingError: no validation loss was finite, or what was frozen has changed.
    """
    names = tuple(train.class_names)
    train, validation = align_labels(train, names), align_labels(validation, names)
    if len(names) < 2:
        raise DatasetError(
            f"a classifier needs two classes, and the images have {len(names)}; add some"
        )
    if plan == "auto":
        plan = assess(model, train, seed=seed)
    assessment = plan if isinstance(plan, Assessment) else None
    todo = plan if isinstance(plan, Plan) else plan_for(plan)
    cut = todo.cut or stage_cuts(model)[-1].name
    keras.utils.set_random_seed(seed)
    network = reset_classifier(
        model, class_names=names, cut=cut, pretrained=todo.init == "pretrained"
    )
    check(network, todo)
    with _place(folder) as place, folder_lock(place):
        _settle(place, _card(model, todo, train, validation, seed))
        own_features = Path(features or place / FEATURES_FOLDER)
        bench = Bench(
            network, train, validation, own_features, seed, verbose, progress, disk
        )
        phases = tuple(_phases(bench, todo, place))
    unfreeze(network)
    # Plain SGD remembers nothing, so that a file holds the weights and no more.
    network.compile(
        keras.optimizers.SGD(1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Result(network, todo, assessment, phases)


def _phases(bench: Bench, plan: Plan, place: Path) -> Iterator[PhaseResult]:
    """Yields what each phase came to; one that is over is only read."""
    before: float | None = None
    for number, phase in enumerate(plan.phases, start=1):
        own = place / f"{number}-{phase.name}"
        path = own / DONE_FILE
        if path.exists():
            done = _read(path)
            load_weights(bench.network, own / f"over-{MODEL_FILE}")
        else:
            done = bench.carry_out(phase, own, before)
            save(bench.network, own / f"over-{MODEL_FILE}")
            files.write_json(path, done.to_dict())
        if done.kept:
            before = done.after
        yield done


@contextmanager
def _place(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with TemporaryDirectory() as temporary:
        yield Path(temporary)


def _card(
    model: keras.Model, plan: Plan, train: Source, validation: Source, seed: int
) -> dict:
    """What tells one training from another."""
    card = {
        "network": network_told(model),
        "weights": digest(model.weights),
        "plan": plan.to_dict(),
        "train": train.fingerprint(),
        "validation": validation.fingerprint(),
        "seed": seed,
    }
    return json.loads(files.as_json(card))  # with lists, as it is read


def _settle(place: Path, card: dict) -> None:
    """Notes which training the folder holds, or holds this one against it.

    Raises:
        ResumeMismatchError: it is another.
        CheckpointError: its card cannot be read.
    """
    path = place / CARD_FILE
    if not path.exists():
        files.write_json(path, card)
        return
    try:
        first = json.loads(path.read_bytes())
        if not isinstance(first, dict):
            raise TypeError("no card")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not tell which training the folder holds, since it is cut or "
            "altered; use another folder"
        ) from error
    if different := changes(first, card):
        raise ResumeMismatchError(
            f"{place} holds another transfer: {'; '.join(different[:10])}; give what it "
            "was begun with, or use another folder"
        )


def _read(path: Path) -> PhaseResult:
    try:
        return PhaseResult(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not tell what a phase came to, since it is cut or altered; "
            f"remove {path.parent} and call again"
        ) from error
