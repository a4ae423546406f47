"""Pilot trainings that choose recipes, on training images alone.

    CNNZOO_DATA=folder python tools/pilots.py stronger

Each takes half an hour on one core. The results go into `tools/trainings.json`.
"""

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from make_weights import LIST, metrics

import cnnzoo
from cnnzoo.data.augment import Augment
from cnnzoo.system import files
from cnnzoo.train import RECIPES, Recipe, Run

MNIST = replace(RECIPES["mnist"], epochs=8)
STRONGER, WEAKER = MNIST.augment or Augment(), RECIPES["mnist_small_resnet"].augment
RESNET = replace(RECIPES["mnist_small_resnet"], epochs=3)


@dataclass(frozen=True)
class Pilot:
    """A training of a network with a changed recipe.

    Attributes:
        changes: Description of the change.
        network: Catalog name of the network.
        recipe: The changed recipe.
        train_images: Number of training images, besides 20,000 for validation.
        options: Options of the network.
    """

    changes: str
    network: str
    recipe: Recipe
    train_images: int = 40_000
    options: dict[str, Any] = field(default_factory=dict)


def resnet(rate: float, batch_size: int, last_gamma: float) -> Pilot:
    """Three epochs of SmallResNet on half of the training images."""
    recipe = replace(RESNET, learning_rate=rate, batch_size=batch_size)
    options = {"last_gamma": last_gamma}
    changes = f"weaker augmentation, `{last_gamma=:g}`, batch {batch_size}, rate {rate:g}"
    return Pilot(changes, "small_resnet", recipe, 20_000, options)


PILOTS = {
    "weaker": Pilot(
        "rotation 15, shear 10, zoom 0.1, shifts 0.1",
        "very_small_vgg",
        replace(MNIST, augment=WEAKER),
    ),
    "stronger": Pilot(
        "rotation 20, shear 15, zoom 0.15, shifts 0.15", "very_small_vgg", MNIST
    ),
    "elastic": Pilot(
        "the same, and elastic deformation (34, 4)",
        "very_small_vgg",
        replace(MNIST, augment=replace(STRONGER, elastic=(34, 4))),
    ),
    "resnet-slow": Pilot(
        "batch 64, rate 5e-4, `last_gamma=1`",
        "small_resnet",
        replace(MNIST, epochs=5, batch_size=64, learning_rate=5e-4),
        options={"last_gamma": 1.0},
    ),
    "resnet-gamma1": resnet(1e-3, 64, 1.0),
    "resnet-gamma0.2": resnet(1e-3, 64, 0.2),
    "resnet-128": resnet(1e-3, 128, 0.2),
    "resnet-fast": resnet(2e-3, 128, 0.2),
}
VALIDATION_IMAGES = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pilot", choices=PILOTS)
    name = parser.parse_args().pilot
    pilot = PILOTS[name]
    rest, validation = cnnzoo.load_mnist("train").split(VALIDATION_IMAGES, 0)
    train_images = rest.take(np.arange(pilot.train_images))
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(pilot.network, include_preprocessing=True, **pilot.options)
    run = Run(Path("runs") / f"pilot-{name}")
    run.fit(model, train_images, validation, pilot.recipe, verbose=2)
    record = {
        "network": pilot.network,
        "changes": pilot.changes,
        "command": f"python tools/pilots.py {name}",
        "epochs": pilot.recipe.epochs,
        "train_images": len(train_images),
        "validation": metrics(cnnzoo.evaluate(model, validation)),
    }
    records = json.loads(LIST.read_text())
    others = [p for p in records["pilots"] if p["command"] != record["command"]]
    files.write_json(LIST, {**records, "pilots": [*others, record]})


if __name__ == "__main__":
    main()
