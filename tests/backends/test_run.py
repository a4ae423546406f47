"""A training that was cut short goes on bit by bit, on every backend."""

from pathlib import Path

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.data.augment import Augment
from cnnzoo.data.mnist import load_embedded
from cnnzoo.train import Checkpoint, Recipe, Run
from cnnzoo.train.store import Store

RECIPE = Recipe(
    epochs=3,
    batch_size=32,
    precision="float32",
    averaging=0.9,
    augment=Augment(rotation_range=10),
)


class PowerFailure(keras.callbacks.Callback):
    def __init__(self, batches: int):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("the power went")


def network() -> keras.Model:
    """With batch normalisation's statistics and Dropout's seed."""
    keras.utils.set_random_seed(0)
    return cnnzoo.build(
        "simple_cnn", filters=(4, 8), pools=2, dropout=0.3, include_preprocessing=True
    )


def test_a_run_goes_on(tmp_path: Path):
    digits = load_embedded("train").take(np.arange(160))
    train, validation = digits.split(0.2, seed=0)
    for name, batches in (("alone", 0), ("early", 2), ("late", 9)):
        run = Run(tmp_path / name, save_seconds=0)
        if batches:
            failure = PowerFailure(batches)
            with pytest.raises(RuntimeError, match="the power went"):
                run.fit(network(), train, validation, RECIPE, callbacks=[failure])
        run.fit(network(), train, validation, RECIPE)
    alone, *others = (
        Store(tmp_path / name / "checkpoints").newest()
        for name in ("alone", "early", "late")
    )
    assert alone
    for other in others:
        assert other
        assert _without_times(other.state) == _without_times(alone.state)
        for name, array in alone.arrays.items():
            np.testing.assert_array_equal(other.arrays[name], array, err_msg=name)


def _without_times(state: dict) -> dict:
    return {n: v for n, v in state.items() if n not in ("seconds", "cpu_seconds")}


def test_a_plain_fit_goes_on(tmp_path: Path):
    digits = load_embedded("train").take(np.arange(96))

    def fit(folder: Path, *failures: keras.callbacks.Callback) -> keras.Model:
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(
            digits.images,
            digits.labels,
            batch_size=32,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[*failures, Checkpoint(folder)],
        )
        return model

    alone = fit(tmp_path / "alone")
    with pytest.raises(RuntimeError, match="the power went"):
        fit(tmp_path / "cut", PowerFailure(5))
    for one, other in zip(
        fit(tmp_path / "cut").get_weights(), alone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
