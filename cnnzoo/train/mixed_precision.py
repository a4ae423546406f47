"""Mixed precision: training in bfloat16 on machines that compute faster in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import keras

from cnnzoo.errors import check_known
from cnnzoo.layer_names import PREDICTIONS, is_head, is_preprocess
from cnnzoo.system.runtime import Processor, device_facts, processor

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve(precision: str) -> str:
    """The precision for this machine if it is "auto"; others are returned unchanged.

    Raises:
        UsageError: The precision is unknown.
    """
    check_known("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    gains = gains_by_bfloat16(str(device_facts()["device"]), processor())
    return "bfloat16" if gains else "float32"


def gains_by_bfloat16(device: str, cpu: Processor) -> bool:
    """Whether networks train faster in bfloat16 than in float32.

    GPUs and matrix units (AMX) are several times as fast in it. AVX512_BF16 alone is
    faster on AMD's processors; on Intel's, all layers but convolutions lose the gain.
    """
    if device != "cpu" or "amx_bf16" in cpu.flags:
        return True
    return cpu.vendor == "AuthenticAMD" and "avx512_bf16" in cpu.flags


@contextmanager
def running(model: keras.Model, precision: str) -> Iterator[None]:
    """Context in which the layers compute in `precision`; then the model is restored.

    In bfloat16, variables stay float32, and so does the arithmetic of the preprocessing,
    the head and the loss. Functions that are traced in the context are discarded.

    Args:
        model: Compiled model.
        precision: "float32" or "bfloat16".
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    _forget_traces(model)
    try:
        with _policy(model, policy):
            yield
    finally:
        _forget_traces(model)


def as_saved(model: keras.Model) -> AbstractContextManager[None]:
    """Context in which the layers' policies are float32, as in files; traces are kept."""
    return _policy(model, "float32")


@contextmanager
def _policy(model: keras.Model, policy: str) -> Iterator[None]:
    before = {layer: layer.dtype_policy for layer in _trunk(model)}
    try:
        for layer in before:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, earlier in before.items():
            layer.dtype_policy = earlier


def _trunk(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that may compute in bfloat16; those in float64 stay as they are."""
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
    """Discards traced steps, which Keras would use again with their old precision."""
    for make in (
        model.make_train_function,
        model.make_test_function,
        model.make_predict_function,
    ):
        make(force=True)
