"""The fused BatchNormalization gives the stock layer's numbers.

Every comparison has two equal layers, one as Keras makes it and one accelerated.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_pairs import (
    BOUND,
    SHAPE,
    array,
    assert_same,
    is_fast,
    normalised,
    pair,
    values,
)
from parity import relative

from cnnzoo.fast import accelerate, batch_norm, context

VARIED = pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": False},
        {"center": False},
        {"scale": False, "center": False},
        {"epsilon": 1e-5, "momentum": 0.9},
    ],
    ids=str,
)
MODES = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


@pytest.fixture(autouse=True, params=[True, False], ids=["avx512", "avx2"])
def vectors(request, monkeypatch):
    """Both kinds of CPU: without AVX-512, statistics are applied without the kernel."""
    monkeypatch.setattr(batch_norm, "avx512", lambda: request.param)


# The same numbers ----------------------------------------------------------------------


@VARIED
@MODES
def test_outputs(options: dict, training: bool):
    stock, fast = pair(**options)
    x = values(8, *SHAPE)
    expected = stock(x, training=training)
    assert_same([fast(x, training=training)], [expected])
    assert relative(array(expected), x) > 0.1  # it does something


@VARIED
@pytest.mark.parametrize("steps", [1, 10])
def test_moving_statistics(options: dict, steps: int):
    stock, fast = pair(**options)
    before = stock.get_weights()
    for step in range(steps):
        x = values(4, *SHAPE, seed=step)
        stock(x, training=True)
        fast(x, training=True)
    assert_same(fast.weights, stock.weights)
    for old, new in zip(before[-2:], stock.get_weights()[-2:], strict=True):
        assert relative(new, old) > 0.01


def gradients(model: keras.Model, x: np.ndarray, training: bool) -> list:
    """Of a sum with random signs, for the input and for what trains."""
    inputs = tf.constant(x)
    signs = np.random.default_rng(5).choice([-1.0, 1.0], x.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(model(inputs, training=training) * signs)
    return tape.gradient(total, [inputs, *(w.value for w in model.trainable_weights)])


@VARIED
@MODES
def test_gradients(options: dict, training: bool):
    stock, fast = pair(**options)
    x = values(8, *SHAPE)
    expected = gradients(stock, x, training)
    assert len(expected) == 1 + options.get("scale", True) + options.get("center", True)
    assert_same(gradients(fast, x, training), expected, bound=1e-5)


@MODES
def test_frozen(training: bool):
    stock, fast = pair()
    for model in (stock, fast):
        model.get_layer("bn").trainable = False
    before = fast.get_weights()
    x = values(8, *SHAPE)
    expected = stock(x, training=False)
    assert_same([fast(x, training=training)], [expected])
    for old, new in zip(before, fast.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert relative(array(pair()[0](x, training=True)), array(expected)) > 0.1
    fast.get_layer("bn").trainable = True  # read at each call, so this thaws it
    fast(x, training=True)
    assert relative(fast.get_weights()[2], before[2]) > 0.01


def test_one_value_a_channel():
    """The kernel divides by n - 1 = 0; the variance of one value must still be 0."""
    stock, fast = pair((1, 1, 7))
    before, x = fast.get_weights(), values(1, 1, 1, 7)
    found = gradients(fast, x, training=True)
    np.testing.assert_allclose(fast.get_weights()[3], 0.99 * before[3], rtol=BOUND)
    stock(x, training=True)
    assert_same(fast.weights, stock.weights)
    # What is one value minus itself is 0: beta is left, and beta alone learns.
    assert_same([fast(x, training=True)], [before[1].reshape(x.shape)])
    assert_same(found[2:], gradients(stock, x, training=True)[2:])
    for gradient in found[:2]:
        np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_large_means():
    """Compared with float64: a small variance with a large mean keeps its digits."""
    stock, fast = pair()
    x = values(8, *SHAPE) + 1000
    exact = x.astype(np.float64)
    gamma, beta = fast.get_weights()[:2]
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    expected = gamma * (exact - mean) / np.sqrt(variance + 1e-3) + beta
    errors = [relative(model(x, training=True), expected) for model in (fast, stock)]
    assert errors[0] <= max(errors[1], 1e-5)


def test_sums_of_many_pixels():
    """Compared with float64, for a hundred thousand pixels, as of 128 digits."""
    stock, fast = pair((28, 28, 8))
    x = np.maximum(values(128, 28, 28, 8) - 4, 0) + np.float32(0.3)
    exact = x.astype(np.float64)
    gamma, beta = fast.get_weights()[:2]
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    expected = gamma * (exact - mean) / np.sqrt(variance + 1e-3) + beta
    ours, theirs = (relative(m(x, training=True), expected) for m in (fast, stock))
    assert ours <= 1e-6
    assert theirs >= 10 * ours


def test_no_images():
    stock, fast = pair()
    nothing = np.zeros((0, *SHAPE), np.float32)
    assert fast(nothing, training=False).shape == stock(nothing, training=False).shape


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        ("float32", {"dtype": "mixed_bfloat16"}),
        ("float32", {"dtype": "mixed_float16"}),
        ("float32", {"dtype": "mixed_bfloat16", "autocast": False}),
        # The kernel has none of these, so Keras's own path must serve them.
        ("float32", {"dtype": "bfloat16"}),
        ("float32", {"dtype": "float16"}),
        ("float32", {"dtype": "float64"}),
        ("uint8", {}),
        ("int32", {}),
    ],
    ids=str,
)
@MODES
def test_precision(pixels: str, options: dict, training: bool):
    stock, fast = pair(pixels=pixels, **options)
    x = np.abs(values(8, *SHAPE)).astype(pixels)
    expected, found = (model(x, training=training) for model in (stock, fast))
    assert found.dtype == expected.dtype
    exact = "16" not in options.get("dtype", "")
    assert_same([found], [expected], bound=BOUND if exact else 1e-2)
    assert_same(fast.weights, stock.weights)


def test_policy_of_a_run():
    """A bfloat16 run sets the layers' policies, and float32 again before saving."""
    stock, fast = pair()
    x = values(8, *SHAPE)
    for policy in ("mixed_bfloat16", "float32"):
        for model in (stock, fast):
            model.get_layer("bn").dtype_policy = policy
        expected, found = (m.get_layer("bn")(x, training=True) for m in (stock, fast))
        assert found.dtype == expected.dtype
        assert_same([found], [expected], bound=BOUND if policy == "float32" else 1e-2)
    assert_same(fast.weights, stock.weights)


def test_half_precision_variables_under_a_wider_policy():
    """The kernel depends on the type of the variables, not on the current policy."""
    stock, fast = pair(dtype="bfloat16")
    x = values(8, *SHAPE)
    for model in (stock, fast):
        model.get_layer("bn").dtype_policy = "float32"
    expected, found = (m.get_layer("bn")(x, training=True) for m in (stock, fast))
    assert found.dtype == expected.dtype
    assert_same([found], [expected], bound=1e-2)


# Layers that stay as they are -----------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7,), {}),
        ((6, 7), {}),
        ((6, 5, 7), {"axis": 1}),
        ((6, 5, 7), {"axis": 2}),
        ((6, 5, 7), {"renorm": True}),
        ((6, 5, 7), {"synchronized": True}),
        ((2, 6, 5, 7), {}),
    ],
    ids=str,
)
def test_unsupported_layers_are_not_changed(shape: tuple[int, ...], options: dict):
    model = normalised(shape, **options)
    x = values(4, *shape)
    expected = array(model(x, training=False))
    accelerate(model)
    assert not is_fast(model)
    np.testing.assert_array_equal(array(model(x, training=False)), expected)


def test_subclasses_are_not_changed():
    class Own(keras.layers.BatchNormalization):
        pass

    model = keras.Sequential([keras.Input(SHAPE), Own(name="bn")])
    assert not is_fast(accelerate(model))


def test_models_of_other_backends_are_not_changed(monkeypatch: pytest.MonkeyPatch):
    model = normalised()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not is_fast(accelerate(model))


@MODES
def test_mask(training: bool):
    stock, fast = pair()
    x = values(8, *SHAPE)
    mask = np.random.default_rng(2).random(x.shape[:3]) < 0.5
    layers = [model.get_layer("bn") for model in (stock, fast)]
    expected, found = (layer(x, training=training, mask=mask) for layer in layers)
    np.testing.assert_array_equal(array(found), array(expected))
    assert_same(fast.weights, stock.weights)
    if training:
        assert relative(array(pair()[1](x, training=True)), array(expected)) > 0.01


def test_avx512_is_what_onednn_may_use(tmp_path, monkeypatch):
    has_avx512 = context.avx512.__wrapped__
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(context.platform, "machine", lambda: "x86_64")
    facts = tmp_path / "cpuinfo"
    facts.write_text("flags\t\t: avx avx2 avx512f avx512_bf16\n")
    assert has_avx512(facts)
    for held_to, expected in (("AVX2", False), ("avx2_vnni", False), ("DEFAULT", True)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held_to)
        assert has_avx512(facts) is expected
    older = tmp_path / "older"
    older.write_text("flags\t\t: avx avx2\n")
    assert not has_avx512(older)
    assert not has_avx512(tmp_path / "none")
    monkeypatch.setattr(context.platform, "machine", lambda: "arm64")
    assert has_avx512(facts)
