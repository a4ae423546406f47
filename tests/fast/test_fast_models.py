"""`accelerate` for whole models: training, files, copies."""

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_pairs import SHAPE, array, assert_same, is_fast, pair, values
from parity import images, randomise, relative

from cnnzoo.fast import accelerate

QUIET: dict[str, Any] = {"verbose": 0}


def small_network() -> keras.Model:
    """Two convolutions, one of them in a nested model, and a classifier."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 6)),
            layers.Conv2D(5, 3),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),  # or else the mean below would be beta for any image
        ],
        name="inner",
    )
    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),
            inner,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    randomise(model)
    randomise(inner)
    return model


@pytest.mark.parametrize(
    ("batch_size", "jit_compile"),
    [(3, False), (1, False), pytest.param(3, True, marks=pytest.mark.proof)],
    ids=["graph", "single images", "xla"],
)
def test_fit(batch_size: int, jit_compile: bool):
    stock, fast = small_network(), accelerate(small_network())
    assert is_fast(fast)
    x, y = images(10)[[0, 1, 0, 1]] + values(4, 10, 10, 3), values(4, 2, seed=2)
    for model in (stock, fast):
        before = model.get_layer("bn").get_weights()
        model.compile("sgd", "mse", jit_compile=jit_compile)
        model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, **QUIET)
        trained = zip(before, model.get_layer("bn").get_weights(), strict=True)
        assert all((new != old).any() for old, new in trained)
    assert_same(fast.weights, stock.weights, bound=1e-5)
    assert_same([fast.predict(x, **QUIET)], [stock.predict(x, **QUIET)], bound=1e-5)


def test_nested_layers_are_fast():
    inner = accelerate(small_network()).get_layer("inner")
    assert is_fast(inner)


def test_twice():
    stock, fast = pair()
    accelerate(fast)
    x = values(8, *SHAPE)
    assert_same([fast(x, training=True)], [stock(x, training=True)])
    assert_same(fast.weights, stock.weights)


def resnet50(dtype: str = "float32") -> keras.Model:
    keras.config.set_dtype_policy(dtype)
    try:
        model = keras.applications.ResNet50(
            weights=None, include_top=False, input_shape=(64, 64, 3)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    randomise(model)
    return model


def test_keras_resnet50():
    model = resnet50()
    x = images(64)
    expected = array(model(x, training=False))
    accelerate(model)
    norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
    assert len(norms) == 53
    assert all("call" in vars(norm) for norm in norms)
    assert_same([model(x, training=False)], [expected], bound=1e-5)
    assert relative(expected[0], expected[1]) > 0.01


def gradient(model: keras.Model) -> np.ndarray:
    """Of all that the model learns, one after the other, for four random images."""
    x = tf.cast(values(4, 64, 64, 3), model.compute_dtype)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            y = model(x, training=True)
            loss = tf.reduce_mean(y * tf.sin(tf.range(y.shape[-1], dtype=y.dtype)))
        return tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    return np.concatenate([array(part).ravel() for part in run()])


@pytest.mark.proof
def test_gradients_of_keras_resnet50():
    """As close to float64 as stock Keras; a ReLU near 0 changes both."""
    stock, exact = gradient(resnet50()), gradient(resnet50("float64"))
    ours = gradient(accelerate(resnet50()))
    assert relative(ours, exact) <= 1.5 * relative(stock, exact)
    assert relative(ours, stock) > 0


# Files and copies -----------------------------------------------------------------------


def test_class_and_config():
    stock, fast = pair()
    layers = [model.get_layer("bn") for model in (fast, stock)]
    assert type(layers[0]) is keras.layers.BatchNormalization
    assert layers[0].get_config() == layers[1].get_config()
    assert [w.path for w in fast.weights] == [w.path for w in stock.weights]


def members(model: keras.Model, path: Path) -> tuple[dict, list[str]]:
    """The config in the model's file, and the names of all that the file holds."""
    model.save(path)
    with ZipFile(path) as archive:
        return json.loads(archive.read("config.json")), archive.namelist()


def test_the_file_is_that_of_the_stock_model(tmp_path: Path):
    stock, fast = pair()
    config, names = members(fast, tmp_path / "fast.keras")
    expected = members(stock, tmp_path / "stock.keras")
    assert "cnnzoo" not in json.dumps(config)
    assert (config, names) == expected
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    assert not is_fast(loaded)
    x = values(8, *SHAPE)
    assert_same([loaded(x)], [fast(x)])
    assert_same([accelerate(loaded)(x)], [stock(x)])


@pytest.mark.proof
def test_file_loads_without_cnnzoo(tmp_path: Path):
    fast = pair()[1]
    x = values(8, *SHAPE)
    fast.save(tmp_path / "a.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['cnnzoo'] = None\n"
        "import keras, numpy as np\n"
        "np.save('y.npy', keras.saving.load_model('a.keras').predict(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert_same([np.load(tmp_path / "y.npy")], [fast(x)])


COPIES: list[Callable[[keras.Model], keras.Model]] = [
    copy.copy,
    copy.deepcopy,
    keras.models.clone_model,
    lambda model: pickle.loads(pickle.dumps(model)),
]


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "clone", "pickle"])
def test_copies(copied: Callable[[keras.Model], keras.Model]):
    """A copy computes with its own weights, whether it is fast or not."""
    stock, fast = pair()
    before = fast.get_weights()
    other = copied(fast)
    other.set_weights([2 * weight for weight in before])
    x = values(8, *SHAPE)
    assert_same([fast(x)], [stock(x)])
    doubled = array(other(x))
    stock.set_weights([2 * weight for weight in before])
    assert_same([doubled], [stock(x)])
    other(x, training=True)
    for old, new in zip(before, fast.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
