"""Striped images and quick plans, for the tests of transfer."""

from pathlib import Path

import keras
import numpy as np

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.train import Recipe, Run
from cnnzoo.transfer import Plan, plan

SIDE = 16
CLASSES = ("across", "down", "rising", "falling")


def gratings(count: int, seed: int = 0) -> Images:
    """Stripes in four directions, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = np.stack([rows, columns, rows + columns, rows - columns])[labels]
    phase = rng.uniform(0, 6.3, (count, 1, 1))
    pixels = 128 + 60 * np.sin(waves * 1.3 + phase) + rng.normal(0, 20, waves.shape)
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)[..., None]
    return Images(pixels, labels, CLASSES)


def trained(folder: Path) -> keras.Model:
    """A small network with batch normalisation, trained on two classes."""
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(
        "simple_cnn",
        filters=(8, 8, 16, 16),
        pools=2,
        input_shape=(SIDE, SIDE, 1),
        classes=2,
        preprocessing="unit",
        batch_norm=True,
    )
    two = gratings(160).only(CLASSES[:2])
    recipe = Recipe(epochs=2, batch_size=16, precision="float32")
    Run(folder).fit(model, two, two, recipe)
    return model


ZOOM = Augment(zoom_range=0.1)
TRAIN, VALIDATION = gratings(48, 1), gratings(80, 2)


def quick(case: int = 1, **options) -> Plan:
    """The plan of a case, with few epochs for the classifier."""
    found = plan(case, **options)
    found.phases[0].epochs = 4
    return found


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in model.weights}
