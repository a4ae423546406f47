"""Local response normalisation: its definition, TensorFlow's, files, precision."""

from itertools import product
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnzoo.errors import UsageError
from cnnzoo.layers import LocalResponseNormalization

CAFFE: dict[str, Any] = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
# The paper's alpha of 1e-4 is not divided by the size.
PAPER: dict[str, Any] = {"alpha": 5e-4, "beta": 0.75, "k": 2.0}
OTHER: dict[str, Any] = {"alpha": 2.0, "beta": 0.5, "k": 0.5}
CONSTANTS = pytest.mark.parametrize(
    "constants", [CAFFE, PAPER, OTHER], ids=["caffe", "paper", "other"]
)
SIZES = pytest.mark.parametrize("size", [1, 3, 5, 7, 19])  # of 8 channels
SHAPE = (2, 5, 4, 8)


def values(*shape: int, seed: int = 3) -> np.ndarray:
    """Values as large as after a first convolution, where LRN has an effect."""
    return np.random.default_rng(seed).normal(0, 60, shape).astype(np.float32)


def by_definition(
    x: np.ndarray, size: int, axis: int, *, alpha: float, beta: float, k: float
) -> np.ndarray:
    """A number at a time, in float64."""
    x = np.moveaxis(x.astype(np.float64), axis, -1)
    out = np.empty_like(x)
    channels = x.shape[-1]
    for place in product(*(range(side) for side in x.shape)):
        *pixel, channel = place
        energy = 0.0
        for other in range(channel - size // 2, channel + size // 2 + 1):
            if 0 <= other < channels:
                energy += float(x[(*pixel, other)]) ** 2
        out[place] = x[place] / (k + alpha / size * energy) ** beta
    return np.moveaxis(out, -1, axis)


def array(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def assert_close(found, expected: np.ndarray, rel: float = 1e-6) -> None:
    found = array(found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rel * np.abs(expected).max())


@CONSTANTS
@SIZES
@pytest.mark.parametrize(
    ("shape", "axis"),
    [(SHAPE, -1), (SHAPE, 3), (SHAPE, 1), ((6, 8), -1), ((6, 8), 1)],
    ids=["last", "third", "first", "vector", "vector, axis 1"],
)
def test_definition(
    constants: dict, size: int, shape: tuple[int, ...], axis: int
) -> None:
    layer = LocalResponseNormalization(size, axis=axis, **constants)
    x = values(*shape)
    expected = by_definition(x, size, axis, **constants)
    assert_close(layer(x), expected)
    assert np.abs(expected - x).max() > 1e-2  # it does something


def tf_lrn(x: tf.Tensor, size: int, *, alpha: float, beta: float, k: float) -> tf.Tensor:
    return tf.nn.local_response_normalization(
        x, depth_radius=size // 2, bias=k, alpha=alpha / size, beta=beta
    )


@CONSTANTS
@SIZES
def test_tensorflow(constants: dict, size: int):
    x, direction = tf.constant(values(*SHAPE)), tf.constant(values(*SHAPE, seed=4))
    layer = LocalResponseNormalization(size, **constants)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = layer(x)
        theirs = tf_lrn(x, size, **constants)
        sums = [tf.reduce_sum(y * direction) for y in (ours, theirs)]
    assert_close(ours, theirs.numpy())
    gradients = [array(tape.gradient(total, x)) for total in sums]
    assert_close(gradients[0], gradients[1], rel=1e-5)


def test_config():
    layer = LocalResponseNormalization(7, 2e-4, 0.5, 3.0, axis=1, name="own")
    config = layer.get_config()
    again = LocalResponseNormalization.from_config(config)
    assert again.get_config() == config
    own = {"name": "own", "size": 7, "alpha": 2e-4, "beta": 0.5, "k": 3.0, "axis": 1}
    assert own.items() <= config.items()
    x = values(2, 8, 3, 3)
    np.testing.assert_array_equal(layer(x), again(x))


def test_file(tmp_path: Path):
    images = cast(keras.KerasTensor, keras.Input(SHAPE[1:]))
    layer = LocalResponseNormalization(3, **PAPER, name="own")
    model = keras.Model(images, layer(images))
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    x = values(*SHAPE)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.get_layer("own").get_config() == layer.get_config()


def test_size_stays_open():
    images = cast(keras.KerasTensor, keras.Input((None, None, 8)))
    outputs = LocalResponseNormalization()(images)
    assert outputs.shape == (None, None, None, 8)
    assert_close(
        keras.Model(images, outputs)(values(*SHAPE)),
        by_definition(values(*SHAPE), 5, -1, **CAFFE),
    )


@pytest.mark.parametrize(("size", "better"), [(4, 5), (2, 3), (0, 1), (-3, 1)])
def test_window_without_a_middle(size: int, better: int):
    message = rf"odd size of at least 1, got size={size}; use {better} or another odd"
    with pytest.raises(UsageError, match=message):
        LocalResponseNormalization(size)


@pytest.mark.parametrize(
    ("policy", "compute", "precision"),
    [
        ("mixed_float16", "float16", 2e-3),
        ("mixed_bfloat16", "bfloat16", 2e-2),
        ("float64", "float64", 1e-12),
    ],
)
def test_precision(policy: str, compute: str, precision: float):
    """Outputs have the compute dtype; squares of 60 are well inside float16."""
    layer = LocalResponseNormalization(dtype=policy)
    outputs = layer(values(*SHAPE))
    assert keras.backend.standardize_dtype(outputs.dtype) == compute
    expected = by_definition(values(*SHAPE), 5, -1, **CAFFE)
    assert_close(keras.ops.cast(outputs, "float64"), expected, rel=precision)


def test_float16_does_not_overflow():
    """A pixel of 300 has a square beyond float16's largest number, 65504."""
    x = np.full((1, 2, 2, 8), 300.0, np.float32)
    outputs = LocalResponseNormalization(dtype="mixed_float16")(x)
    expected = by_definition(x, 5, -1, **CAFFE)
    assert_close(keras.ops.cast(outputs, "float64"), expected, rel=2e-3)
