"""Evaluates finished trainings, and adds their weights to the package.

    CNNZOO_DATA=folder python tools/make_weights.py runs/small_vgg-0 --package
    CNNZOO_DATA=folder python tools/make_weights.py --ensemble

The first command adds a training to `tools/trainings.json`, and with `--package` opens
the test split and writes its weights and model card to `cnnzoo/weights/trained`; the
second adds the package's ensemble. `make index` then writes `docs/mnist.md`. Only
trainings that are listed in `PLAN`, with their seeds, are evaluated on the test split, so
that test errors choose nothing. For a training on image files, run the first command in
the folder in which `cnnzoo train` ran.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np

import cnnzoo
from cnnzoo.data.arrays import Source
from cnnzoo.data.sources import open_source, open_train_validation
from cnnzoo.ensemble import Ensemble
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import evaluate
from cnnzoo.models.index import model_info
from cnnzoo.system import files
from cnnzoo.train.checkpoint.store import CheckpointStore
from cnnzoo.train.recipe import RECIPES, Recipe
from cnnzoo.train.run import CHECKPOINTS, HISTORY_FILE, MODEL_FILE, Run
from cnnzoo.weights.sources import bundled

LIST = Path(__file__).with_name("trainings.json")
VALIDATION_IMAGES = 5000  # to choose the best epoch


@dataclass(frozen=True)
class Data:
    """A data set: its name for `cnnzoo train`, and its entries in the model card."""

    path: str
    source: str
    licence: str
    has_test_split: bool


DATA = {
    "mnist": Data("mnist", "MNIST, LeCun, Cortes & Burges", "CC-BY-SA-3.0", True),
    "cifar10": Data(
        "cifar10/train",
        "CIFAR-10's training images as JPEG files, Krizhevsky 2009",
        "published for research without a licence text",
        False,
    ),
}


@dataclass(frozen=True)
class PlannedTraining:
    """A training that was planned before any test split was opened."""

    network: str
    data: str
    recipe: str
    seed: int

    @property
    def command(self) -> str:
        return (
            f"cnnzoo train {DATA[self.data].path} --model {self.network} "
            f"--recipe {self.recipe} --seed {self.seed} --validation {VALIDATION_IMAGES} "
            f"--out runs/{self.network}-{self.recipe}-{self.seed}"
        )


FIRST = {"small_resnet": "mnist_small_resnet"}  # recipes on MNIST; others by "mnist"
PLAN = [
    *(
        PlannedTraining(network, "mnist", FIRST.get(network, "mnist"), seed)
        for network in (*PRETRAINED["mnist"], "lenet5", "lenet_gap")
        for seed in (0, 1, 2)
    ),
    # Planned when the test errors of the networks by "mnist" were known, and chosen by
    # out-of-fold and validation errors alone (tools/levers.py).
    PlannedTraining("very_small_vgg", "mnist", "mnist_long", 0),
    PlannedTraining("small_vgg", "mnist", "mnist_long", 0),
    PlannedTraining("resnet20", "cifar10", "cifar10", 0),
    PlannedTraining("resnet20", "cifar10", "cifar10_mixup", 0),
]


def find_plan(card: dict) -> PlannedTraining:
    """The plan of the training that `run.json` describes."""
    # Fields that an earlier version did not have get their defaults.
    trained = {**Recipe().to_dict(), **card["recipe"]}
    for plan in PLAN:
        recipe = replace(RECIPES[plan.recipe], seed=plan.seed).to_dict()
        same_recipe = json.loads(json.dumps(recipe)) == trained
        if plan.network == card["network"]["name"] and same_recipe:
            return plan
    raise SystemExit("this training is not in PLAN, so it is not evaluated")


def is_listed(plan: PlannedTraining, trainings: Iterable[dict]) -> bool:
    """Whether the training is already listed, whatever its folder."""
    return any(asdict(plan).items() <= record.items() for record in trainings)


def check(
    run: Path, card: dict, plan: PlannedTraining, parts: tuple[Source, Source]
) -> None:
    """Exits if a training has not finished, or if its images or network differ."""
    expected = [card["data"][part]["sha256"] for part in ("train", "validation")]
    if [part.fingerprint() for part in parts] != expected:
        raise SystemExit("the images differ from those of the training")
    if card["network"]["parameters"] != model_info(plan.network).parameters:
        raise SystemExit("the network differs from the one in the catalog")
    if not Run(run).is_over:
        raise SystemExit("this training has not finished")


def evaluate_training(
    run: Path, card: dict, plan: PlannedTraining, *, tested: bool
) -> tuple[keras.Model, dict]:
    """The model of a finished training, and the record of the training.

    Args:
        run: Folder of the training.
        card: Contents of its `run.json`.
        plan: Plan of the training.
        tested: Whether the test split is opened.
    """
    data, parts = DATA[plan.data], open_parts(plan)
    check(run, card, plan, parts)
    _, validation = parts
    history = json.loads((run / HISTORY_FILE).read_text())
    losses = np.array(history["val_loss"], np.float64)  # null becomes NaN
    epochs = len(losses)
    model = cnnzoo.load(run / MODEL_FILE)
    saved = CheckpointStore(run / CHECKPOINTS).newest()
    if saved is None:
        raise SystemExit("this training has no checkpoint")
    hours, cpu_hours = (saved.facts[kind] / 3600 for kind in ("seconds", "cpu_seconds"))
    # Of a GPU, whose number of threads is None, the time that passed.
    threads = card["environment"]["threads"]
    computing_hours = hours if threads is None else cpu_hours / threads
    train_images = card["data"]["train"]["images"]
    return (
        model,
        {
            **asdict(plan),
            "command": plan.command,
            "date": date.today().isoformat(),
            "parameters": card["network"]["parameters"],
            "recipe_values": card["recipe"],
            "environment": card["environment"],
            "epochs": epochs,
            "best_epoch": int(np.nanargmin(losses)) + 1,
            "hours": round(hours, 2),
            "hours_of_all_threads": round(computing_hours, 2),
            "images_per_second": round(epochs * train_images / (3600 * computing_hours)),
            "validation": metrics(evaluate(model, validation)),
            "test": metrics(evaluate(model, open_test(plan.data)))
            if data.has_test_split and tested
            else None,
            "data_source": data.source,
            "data_licence": data.licence,
            "data_sha256": card["data"],
        },
    )


def open_parts(plan: PlannedTraining) -> tuple[Source, Source]:
    """Training and validation images, as `cnnzoo train` splits them."""
    return open_train_validation(DATA[plan.data].path, VALIDATION_IMAGES, plan.seed)


def open_test(data: str) -> Source:
    return open_source(DATA[data].path, "test")


def metrics(result: Evaluation) -> dict:
    return {
        "images": result.images,
        "errors": result.errors,
        "error_percent": round(result.error_percent, 4),
        "interval": [round(side, 3) for side in result.error_interval],
    }


def package(model: keras.Model, plan: PlannedTraining, record: dict) -> None:
    """Writes the weights as float16, and their model card."""
    path = bundled.FOLDER / f"{plan.network}-{plan.data}.safetensors"
    half = cnnzoo.build(plan.network, include_preprocessing=True)
    if half.cnnzoo.preprocessing != model.cnnzoo.preprocessing:
        raise SystemExit("the model's preprocessing is not the default of its network")
    cnnzoo.save_weights(model, path, dtype="float16")
    cnnzoo.load_weights(half, path)
    data = DATA[plan.data]
    source = open_test(plan.data) if data.has_test_split else open_parts(plan)[1]
    results = [evaluate(m, source) for m in (model, half)]
    one, other = (result.probabilities.argmax(1) for result in results)
    card = {
        **record,
        "class_names": model.cnnzoo.class_names,
        "licence": "Apache-2.0",
        "dtype": "float16",
        "predictions_that_float16_changes": int(np.sum(one != other)),
        "errors_in_float16": results[1].errors,
        "bytes": path.stat().st_size,
        "sha256": sha256(path.read_bytes()).hexdigest(),
    }
    files.write_json(path.with_suffix(".json"), card)


def ensemble() -> dict:
    """The record of the ensemble of the package's three networks."""
    whole = Ensemble.pretrained("mnist")
    _, validation = open_train_validation("mnist", VALIDATION_IMAGES, 0)
    for name in PRETRAINED["mnist"]:
        expected = bundled.metadata(name, "mnist")["data_sha256"]["validation"]["sha256"]
        if validation.fingerprint() != expected:
            raise SystemExit(f"{name} was trained with other validation images")
    record = {
        "members": PRETRAINED["mnist"],
        "combine": whole.combine,
        "date": date.today().isoformat(),
        "command": "cnnzoo evaluate mnist --ensemble",
    }
    for part, source in (("validation", validation), ("test", open_test("mnist"))):
        result = whole.evaluate(source)
        record[part] = metrics(result.whole)
        record[f"{part}_members"] = [m.errors for m in result.members]
        without = [round(len(source) * (1 - (s or 0))) for s in result.without]
        record[f"{part}_without"] = without
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--package", action="store_true")
    parser.add_argument("--ensemble", action="store_true")
    args = parser.parse_args()
    records = json.loads(LIST.read_text())
    if args.run:
        card = json.loads((args.run / "run.json").read_text())
        plan = find_plan(card)
        if is_listed(plan, records["trainings"]):
            raise SystemExit("this training is already listed; it is not run again")
        if args.package and plan.seed != 0:
            raise SystemExit("only the training with seed 0 goes into the package")
        model, record = evaluate_training(args.run, card, plan, tested=args.package)
        if args.package:
            package(model, plan, record)
        records["trainings"].append(record)
    if args.ensemble:
        records["ensembles"] = [ensemble()]
    files.write_json(LIST, records)


if __name__ == "__main__":
    main()
