"""Pairs of equal models, one stock and one accelerated, to test `cnnzoo.fast`."""

from collections.abc import Sequence
from typing import Any, cast

import keras
import numpy as np
from parity import randomise, relative

from cnnzoo.fast import accelerate

SHAPE = (6, 5, 7)
BOUND = 1e-6  # of the largest value: a few float32 roundings


def values(*shape: int, seed: int = 1) -> np.ndarray:
    """Off centre, so that the mean and the variance matter."""
    return np.random.default_rng(seed).normal(3, 2, shape).astype(np.float32)


def normalised(
    shape: tuple[int, ...] = SHAPE, pixels: str = "float32", **options: Any
) -> keras.Model:
    """A model of one BatchNormalization, `bn`, on images of the dtype `pixels`."""
    inputs = cast(keras.KerasTensor, keras.Input(shape, dtype=pixels, name="images"))
    layer = keras.layers.BatchNormalization(name="bn", **options)
    return keras.Model(inputs, layer(inputs), name="one")


def pair(
    shape: tuple[int, ...] = SHAPE, pixels: str = "float32", **options: Any
) -> tuple[keras.Model, keras.Model]:
    """The stock model and the accelerated one, with the same random weights."""
    stock, fast = (normalised(shape, pixels, **options) for _ in range(2))
    randomise(stock)
    randomise(fast)
    assert accelerate(fast) is fast
    assert is_fast(fast)
    return stock, fast


def is_fast(model: keras.Model) -> bool:
    return "call" in vars(model.get_layer("bn"))


def array(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def assert_same(found: Sequence, expected: Sequence, bound: float = BOUND) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.isfinite(array(other)).all()
        assert relative(array(one), array(other)) <= bound
