"""An interrupted training resumes bit by bit, on every backend."""

import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.data.mnist import load_embedded
from cnnzoo.train import Checkpoint, Recipe, Run
from cnnzoo.train.checkpoint.store import CheckpointStore
from cnnzoo.train.ema import EMA

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


def parts() -> tuple[Images, Images]:
    return load_embedded("train").take(np.arange(160)).split(0.2, seed=0)


def test_a_run_resumes(tmp_path: Path):
    for name, batches in (("alone", 0), ("early", 2), ("late", 9)):
        run = Run(tmp_path / name, save_seconds=0)
        if batches:
            failure = PowerFailure(batches)
            with pytest.raises(RuntimeError, match="the power went"):
                run.fit(network(), *parts(), RECIPE, callbacks=[failure])
        run.fit(network(), *parts(), RECIPE)
    for name in ("early", "late"):
        assert_same_end(tmp_path / "alone", tmp_path / name)


def test_a_signal_during_validation(tmp_path: Path):
    Run(tmp_path / "alone").fit(network(), *parts(), RECIPE)
    model = network()
    evaluate = model.evaluate

    def interrupted(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args, **kwargs)

    model.evaluate = interrupted
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit):
            Run(tmp_path / "cut").fit(model, *parts(), RECIPE)
    finally:
        signal.signal(signal.SIGTERM, before)
    Run(tmp_path / "cut").fit(network(), *parts(), RECIPE)
    assert_same_end(tmp_path / "alone", tmp_path / "cut")


def assert_same_end(alone: Path, other: Path) -> None:
    expected, found = (
        CheckpointStore(f / "checkpoints").newest() for f in (alone, other)
    )
    assert expected
    assert found
    assert _without_times(found.facts) == _without_times(expected.facts)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


def _without_times(state: dict) -> dict:
    return {n: v for n, v in state.items() if n not in ("seconds", "cpu_seconds")}


def test_a_plain_fit_resumes(tmp_path: Path):
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


def test_averages_of_weights_are_those_of_the_formula():
    model = network()
    ema = EMA(model, 0.5)
    expected = [np.array(keras.ops.convert_to_numpy(v)) for v in ema.variables]
    for step, momentum in ((1, 0.1), (50, 0.5)):
        for weight in model.trainable_variables:
            weight.assign(weight + 1)
        ema.update(step)
        weights = map(keras.ops.convert_to_numpy, model.trainable_variables)
        expected = [
            momentum * e + (1 - momentum) * w
            for e, w in zip(expected, weights, strict=True)
        ]
    for value, average in zip(expected, ema.variables, strict=True):
        found = keras.ops.convert_to_numpy(average)
        np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-6)
