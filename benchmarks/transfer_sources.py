"""The source networks of the transfer benchmark: a small VGG, trained twice."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

import cnnzoo
from benchmarks.transfer_data import KNOWN, SIDE, cifar, digits
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
    whole = cifar().only(KNOWN) if name == "cifar" else digits().only(DIGITS)
    done = path / "done.json"
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(
        VGG_MINI,
        classes=len(whole.class_names),
        class_names=whole.class_names,
        include_preprocessing=True,
        weights=path / "model.keras" if done.exists() else None,
    )
    if done.exists():
        return model
    train, held_out = whole.split(0.1, seed=0)
    begun = time.process_time()
    recipe = Recipe(
        epochs=EPOCHS[name][quick],
        batch_size=64,
        schedule="cosine",
        patience=None,
        augment=RECIPES["cifar10"].augment if name == "cifar" else None,
    )
    history = Run(path).fit(model, train, held_out, recipe, verbose=2)
    accuracy = history["val_accuracy"][int(np.argmin(history["val_loss"]))]
    spent = time.process_time() - begun
    files.write_json(done, {"accuracy": accuracy, "core_seconds": spent})
    return model
