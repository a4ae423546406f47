"""Three small networks on MNIST, each alone and combined by four methods.

By default these are the package's trained networks, which takes a minute; with `--train`,
they are trained here by the same recipes, which takes 4.5 hours of one core. A training
that is stopped or killed is resumed when the same command runs again.

A twelfth of the training digits, 5,000 of 60,000, chooses each network's best epoch and
the weights of two of the four methods. The test split chooses nothing: all four results
are printed, and the mean was fixed beforehand as the main one.

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
from cnnzoo.inference import Evaluation, evaluate_probabilities, probabilities
from cnnzoo.system import files
from cnnzoo.train import RECIPES, Recipe, Run
from cnnzoo.train.recipe import mnist_recipe_name
from cnnzoo.visualization import figures

HELD_OUT = 1 / 12
ALL = 60_000  # digits; a twelfth was for validation of the package's networks
SEED = 0
WAYS = ("mean", "vote", "weighted", "stack")


def train(
    name: str, learned: Images, held_out: Images, out: Path, recipe: Recipe
) -> keras.Model:
    """Trains a network on `learned`; `held_out` chooses the best epoch."""
    keras.utils.set_random_seed(recipe.seed)
    model = cnnzoo.build(name, include_preprocessing=True)
    history = Run(out).fit(model, learned, held_out, recipe, verbose=2)
    files.write_bytes(out / "curves.png", figures.learning_curves(history))
    return model


def ways(
    models: list[keras.Model], held_out: Images, test: Images
) -> dict[str, Evaluation]:
    """The evaluation of each method on the test digits; `held_out` fits weights.

    Every network predicts once for all methods.
    """
    of_held_out, of_test = (
        np.stack([probabilities(model, part) for model in models])
        for part in (held_out, test)
    )
    return {
        way: evaluate_probabilities(
            Ensemble(models, way).fit(held_out, of_held_out).predict_from(of_test), test
        )
        for way in WAYS
    }


def main(
    out: Path, digits: Images, recipes: Mapping[str, Recipe] | None = None
) -> dict[str, int]:
    """Errors on the test split, by member and by method.

    Args:
        out: Output folder.
        digits: Training and validation digits.
        recipes: Recipes by name of network; None for the package's trained networks.
    """
    if recipes is None and len(digits) < ALL:
        raise SystemExit(
            f"found {len(digits):,} digits, which the package's networks have learnt; "
            "set CNNZOO_DATA to the folder of mnist.npz, or try cnnzoo evaluate mnist "
            "--ensemble, or --train"
        )
    learned, held_out = digits.split(HELD_OUT, SEED)
    names = PRETRAINED["mnist"]
    if recipes is None:
        models = list(Ensemble.pretrained("mnist").models)
    else:
        models = [train(n, learned, held_out, out / n, recipes[n]) for n in names]
    test = load_embedded("test")
    results = {
        name: cnnzoo.evaluate(m, test) for name, m in zip(names, models, strict=True)
    }
    together = ways(models, held_out, test)
    table = Table("answers", "errors", "error", "95 % interval")
    for name, result in {**results, **together}.items():
        low, high = result.error_interval
        error = f"{result.error_percent:.2f} %"
        table.add_row(name, str(result.errors), error, f"{low:.2f} to {high:.2f} %")
    Console().print(table)
    errors = {name: r.errors for name, r in {**results, **together}.items()}
    files.write_json(out / "errors.json", errors)
    misclassified = figures.misclassified(test, together["mean"])
    files.write_bytes(out / "misclassified.png", misclassified)
    Ensemble(models).save(out / "ensemble")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_ensemble"))
    parser.add_argument("--train", action="store_true", help="train the networks anew")
    args = parser.parse_args()
    recipes = {name: RECIPES[mnist_recipe_name(name)] for name in PRETRAINED["mnist"]}
    main(args.out, load_mnist("train"), recipes if args.train else None)
