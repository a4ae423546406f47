"""The source networks of the transfer benchmark: a small VGG, trained twice."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

import cnnzoo
from benchmarks.transfer_data import SIDE, SOURCE_CLASSES, cifar, digits
from cnnzoo.layers.blocks import conv_relu
from cnnzoo.layers.heads import pooled_head
from cnnzoo.models import vgg
from cnnzoo.system import files
from cnnzoo.train import RECIPES, Recipe, Run
from cnnzoo.zoo import find

# Six convolutions, 38.7 million multiply-adds per image, no batch normalization.
VGG_MINI = replace(
    find("vgg11"),
    name="vgg_mini",
    trunk=partial(vgg.trunk, filters=(32, 64, 128), repeats=(2, 2, 2), pools=3),
    head=pooled_head,
    conv=conv_relu,
    input_shape=(SIDE, SIDE, 3),
    preprocessing="unit",
    min_size_floor=1,
    paper=None,
    parameters=None,
    macs=None,
    configure=None,
)
SOURCES = ("cifar", "digits")
DIGITS = tuple("01234")
EPOCHS = {"cifar": (30, 12), "digits": (4, 2)}  # full run, quick run


def source(name: str, folder: Path, *, quick: bool) -> keras.Model:
    """A trained source network, loaded from its run if that exists."""
    path = folder / f"source-{name}"
    images = cifar().only(SOURCE_CLASSES) if name == "cifar" else digits().only(DIGITS)
    result = path / "result.json"
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(
        VGG_MINI,
        classes=len(images.class_names),
        class_names=images.class_names,
        include_preprocessing=True,
        weights=path / "model.keras" if result.exists() else None,
    )
    if result.exists():
        return model
    train, validation = images.split(0.1, seed=0)
    start = time.process_time()
    recipe = Recipe(
        epochs=EPOCHS[name][quick],
        batch_size=64,
        schedule="cosine",
        patience=None,
        augment=RECIPES["cifar10"].augment if name == "cifar" else None,
    )
    history = Run(path).fit(model, train, validation, recipe, verbose=2)
    accuracy = history["val_accuracy"][int(np.argmin(history["val_loss"]))]
    seconds = time.process_time() - start
    files.write_json(result, {"accuracy": accuracy, "core_seconds": seconds})
    return model
