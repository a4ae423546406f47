"""bfloat16 where this machine gains by it: chosen by a measurement, undone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from time import perf_counter

import keras
import numpy as np
from keras import ops

from cnnzoo.errors import unknown
from cnnzoo.layer_names import PREDICTIONS, is_head, is_preprocess

PRECISIONS = ("auto", "float32", "bfloat16")
GAIN = 2.5  # of a convolution, from which whole networks gain, too


@dataclass(frozen=True)
class Precision:
    """What a training computes in.

    Attributes:
        name: "float32" or "bfloat16".
        gain: how many times as fast as in float32 a convolution is in bfloat16 here;
            None where it was not measured.
    """

    name: str
    gain: float | None = None

    def __str__(self) -> str:
        if self.gain is None:
            return self.name
        here = (
            f"is {self.gain:.1f} times as fast here" if self.gain else "does not run here"
        )
        return f"{self.name} (bfloat16 {here})"


def resolve(precision: str) -> Precision:
    """What "auto" means on this machine; the others mean themselves.

    Raises:
        UsageError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if precision != "auto":
        return Precision(precision)
    gain = bfloat16_gain()
    return Precision("bfloat16" if gain >= GAIN else "float32", gain)


@cache
def bfloat16_gain() -> float:
    """A convolution's time in float32 over that in bfloat16, in about half a second.

    Processors with matrix units for bfloat16 gain five times. Those that only multiply
    pairs of them (AVX512_BF16) gain up to twice, which some networks lose again in all
    that is no convolution. Others lose, and some cannot at all, which is a gain of 0.
    """
    images, kernel = np.ones((16, 28, 28, 64)), np.ones((3, 3, 64, 64))

    def seconds(dtype: str) -> float:
        x, weights = (ops.convert_to_tensor(part, dtype) for part in (images, kernel))

        def once() -> float:
            start = perf_counter()
            y = x
            for _ in range(4):  # a GPU takes longer to be asked than to compute one
                y = ops.conv(y, weights, padding="same", data_format="channels_last")
            ops.convert_to_numpy(y[0, 0, 0, :1])  # waits until it is there
            return perf_counter() - start

        return min(once() for _ in range(4))

    in_float32 = seconds("float32")
    try:
        return in_float32 / seconds("bfloat16")
    except Exception:  # each backend has errors of its own for what it cannot do
        return 0.0


@contextmanager
def running(model: keras.Model, precision: str) -> Iterator[None]:
    """The layers compute in `precision` inside; the model is as before afterwards.

    In bfloat16, variables stay float32, and so does the arithmetic of preprocessing, of
    the head and of what the loss sees. Nothing that was traced inside stays.

    Args:
        model: compiled.
        precision: "float32" or "bfloat16".
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    _forget_traces(model)
    try:
        with _policies(model, dict.fromkeys(_trunk(model), policy)):
            yield
    finally:
        _forget_traces(model)


@contextmanager
def as_saved(model: keras.Model) -> Iterator[None]:
    """Inside, the layers tell float32, as files shall; what was traced stays as it is."""
    with _policies(model, dict.fromkeys(_trunk(model), "float32")):
        yield


@contextmanager
def _policies(model: keras.Model, policies: dict) -> Iterator[None]:
    before = {layer: layer.dtype_policy for layer in policies}
    try:
        for layer, policy in policies.items():
            layer.dtype_policy = policy
        yield
    finally:
        for layer, policy in before.items():
            layer.dtype_policy = policy


def _trunk(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that may compute in bfloat16; a model in float64 keeps that."""
    return [
        layer
        for layer in model.layers
        if not is_preprocess(layer.name)
        and not is_head(layer.name)
        and not layer.name.endswith(PREDICTIONS)  # of auxiliary classifiers
        and not isinstance(layer, keras.layers.InputLayer)
        and layer.compute_dtype in ("float32", "bfloat16")
    ]


def _forget_traces(model: keras.Model) -> None:
    """Keras traces a step once and would go on with the precision of that time."""
    for make in (
        model.make_train_function,
        model.make_test_function,
        model.make_predict_function,
    ):
        make(force=True)
