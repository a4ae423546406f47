"""Three small networks on MNIST, each alone and combined by four methods.

By default these are the package's pretrained networks, which takes a minute. `--train`
trains them with the same recipes, which takes 4.5 hours on one core. After a stop or a
kill, the same command resumes the training.

A twelfth of the training digits, 5,000 of 60,000, are for validation: they choose each
network's best epoch, and two of the four methods are fitted on them. The test split
chooses nothing: all four results are printed, and the mean is the main one.

    CNNZOO_DATA=folder python examples/mnist_ensemble.py
    CNNZOO_DATA=folder python examples/mnist_ensemble.py --train
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded, load_mnist
from cnnzoo.ensemble import Ensemble
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.evaluation import Evaluation, evaluate_probabilities
from cnnzoo.inference import probabilities
from cnnzoo.system import files
from cnnzoo.train import RECIPES, Recipe, Run
from cnnzoo.visualization import figures
from cnnzoo.weights.sources import bundled

VALIDATION = 1 / 12  # share of the digits, also for the package's networks
ALL = 60_000  # digits
SEED = 0
METHODS = ("mean", "vote", "weighted", "stack")


def train_network(
    name: str, train: Images, validation: Images, out: Path, recipe: Recipe
) -> keras.Model:
    """Trains a network, and returns it with the weights of its best epoch."""
    keras.utils.set_random_seed(recipe.seed)
    model = cnnzoo.build(name, include_preprocessing=True)
    history = Run(out).fit(model, train, validation, recipe, verbose=2)
    files.write_bytes(out / "curves.png", figures.learning_curves(history))
    return model


def combine(
    models: list[keras.Model], validation: Images, test: Images
) -> dict[str, Evaluation]:
    """The evaluation of each method on the test digits, fitted on validation digits.

    Every network predicts once for all methods.
    """
    validation_predictions, test_predictions = (
        np.stack([probabilities(model, part) for model in models])
        for part in (validation, test)
    )
    evaluations = {}
    for method in METHODS:
        ensemble = Ensemble(models, method).fit(validation, validation_predictions)
        combined = ensemble.predict_from(test_predictions)
        evaluations[method] = evaluate_probabilities(
            combined, test.labels, test.class_names
        )
    return evaluations


def main(
    out: Path, digits: Images, recipes: Mapping[str, Recipe] | None = None
) -> dict[str, int]:
    """Errors on the test split, by member and by method.

    Args:
        out: Output folder.
        digits: Training and validation digits.
        recipes: Recipes by name of network; None for the package's pretrained networks.
    """
    if recipes is None and len(digits) < ALL:
        raise SystemExit(
            f"found {len(digits):,} digits, not {ALL:,}; set CNNZOO_DATA to the folder "
            "of mnist.npz, or use --train, or run cnnzoo evaluate mnist --ensemble"
        )
    train, validation = digits.split(VALIDATION, SEED)
    names = PRETRAINED["mnist"]
    if recipes is None:
        models = list(Ensemble.pretrained("mnist").models)
    else:
        models = [
            train_network(name, train, validation, out / name, recipes[name])
            for name in names
        ]
    test = load_embedded("test")
    results = {
        name: cnnzoo.evaluate(model, test)
        for name, model in zip(names, models, strict=True)
    }
    combined = combine(models, validation, test)
    table = Table("predictions", "errors", "error", "95 % interval")
    for name, result in {**results, **combined}.items():
        low, high = result.error_interval
        error = f"{result.error_percent:.2f} %"
        table.add_row(name, str(result.errors), error, f"{low:.2f} to {high:.2f} %")
    Console().print(table)
    errors = {name: result.errors for name, result in {**results, **combined}.items()}
    files.write_json(out / "errors.json", errors)
    misclassified = figures.misclassified(test, combined["mean"])
    files.write_bytes(out / "misclassified.png", misclassified)
    Ensemble(models).save(out / "ensemble")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_ensemble"))
    parser.add_argument("--train", action="store_true", help="train the networks here")
    args = parser.parse_args()
    names = {
        name: bundled.metadata(name, "mnist")["recipe"] for name in PRETRAINED["mnist"]
    }
    recipes = {name: RECIPES[recipe] for name, recipe in names.items()}
    main(args.out, load_mnist("train"), recipes if args.train else None)
