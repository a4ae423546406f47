"""A network and images so small that a training of them takes a second."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.train.checkpoint.store import CheckpointStore
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run

RECIPE = Recipe(epochs=3, batch_size=16, precision="float32")


def halves(count: int = 64, side: int = 12) -> Images:
    """Two classes: bright above, or bright below."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = rng.integers(0, 100, (count, side, side, 1))
    images[labels == 0, : side // 2] += 100
    images[labels == 1, side // 2 :] += 100
    return Images(images.astype(np.uint8), labels, ("above", "below"))


def network(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    small = {"input_shape": (12, 12, 1), "classes": 2, "depth": 1, "width": 8}
    options = {**small, "dropout": 0.25, "include_preprocessing": True, **options}
    return cnnzoo.build("mlp", **options)


def train(folder: Path, recipe: Recipe = RECIPE, *, data: Images | None = None, **more):
    """The trained model of a folder, and its history."""
    model, data = more.pop("model", None) or network(), data or halves()
    run = Run(folder, save_seconds=more.pop("save_seconds", 0))
    history = run.fit(model, *data.split(0.25, seed=0), recipe, **more)
    return model, history


def last(folder: Path) -> dict[str, np.ndarray]:
    saved = CheckpointStore(folder / "checkpoints").newest()
    assert saved is not None
    return dict(saved.arrays)


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


class Stop(keras.callbacks.Callback):
    """Stops the training at a batch, with an error or a signal."""

    def __init__(self, batches: int, how: type[BaseException] | int):
        super().__init__()
        self.left = batches
        self.how = how

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.left -= 1
        if self.left == 0:
            if isinstance(self.how, int):
                os.kill(os.getpid(), self.how)
            else:
                raise self.how("the power went")


class StopAfterValidation(Stop):
    """The same at the end of an epoch, after its validation."""

    on_train_batch_end = keras.callbacks.Callback.on_train_batch_end

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        super().on_train_batch_end(epoch)
