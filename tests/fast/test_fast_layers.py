"""Accelerated convolutions and PReLU equal the stock layers."""

from functools import partial
from itertools import product
from types import MethodType
from typing import Any, cast

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_pairs import array, assert_same, values
from parity import randomise, relative

from cnnzoo.fast import accelerate, winograd
from cnnzoo.layers import LocalResponseNormalization

BOUND = 1e-5  # of the largest: about four times what adding up the products loses


def pair(
    shape: tuple[int | None, ...], layer: type, *args: Any, **options: Any
) -> tuple[keras.Model, keras.Model]:
    """A model of one layer, `one`, as Keras has it and accelerated."""

    def model() -> keras.Model:
        inputs = cast(keras.KerasTensor, keras.Input(shape))
        return keras.Model(inputs, layer(*args, name="one", **options)(inputs))

    stock, fast = model(), accelerate(model())
    randomise(stock)
    randomise(fast)
    return stock, fast


def all_numbers(model: keras.Model, x: np.ndarray, training: bool = True) -> tuple:
    """The output, and the gradients for the input and for the weights, in a graph."""

    @tf.function
    def run(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = model(inputs, training=training)
            signs = tf.constant(np.random.default_rng(5).choice([-1.0, 1.0], y.shape))
            total = tf.reduce_sum(y * tf.cast(signs, y.dtype))
        weights = [weight.value for weight in model.trainable_weights]
        return y, *tape.gradient(total, [inputs, *weights])

    return run(tf.constant(x))


def operations(model: keras.Model, shape: tuple[int, ...], *, training: bool) -> set[str]:
    """The kinds that TensorFlow's graph of the model is made of."""
    graph = tf.function(lambda x: model(x, training=training))
    traced = graph.get_concrete_function(tf.TensorSpec(shape))
    return {operation.type for operation in traced.graph.get_operations()}


# Winograd's convolution -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width"), [*product((1, 2, 3, 4, 7, 9), (1, 3, 5, 14))]
)
def test_algorithm_is_exact(height: int, width: int):
    """Compared with the sum over the nine taps, in float64 but for float32 matrices."""
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(height, width)), rng.normal(size=(3, 3))
    padded = np.pad(image, 1)
    taps = [
        kernel[y, x] * padded[y : y + height, x : x + width]
        for y, x in product(range(3), range(3))
    ]
    expected = np.sum(taps, axis=0)
    ways = winograd.filtering(height, width)
    products = (ways.kernel @ kernel.ravel())[:, None] * (ways.image @ image.ravel())
    found = ways.output.reshape(height * width, -1) @ products.ravel()
    assert relative(found, expected.ravel()) < 1e-5


def test_fewer_products():
    counts = {side: winograd.filtering(side, side).image.shape[:2] for side in (3, 7, 14)}
    assert counts == {3: (25, 1), 7: (36, 4), 14: (36, 16)}  # of 81, 441 and 1,764


@pytest.mark.parametrize(
    ("side", "channels", "filters", "worth"),
    [
        (3, 512, 512, True),
        (7, 256, 256, True),
        (28, 64, 64, False),  # the transforms cost more than they save
        (1, 512, 512, False),
        (7, 1, 64, False),
    ],
)
def test_where_winograd_is_used(side: int, channels: int, filters: int, worth: bool):
    assert winograd.worth_it(side, side, channels, filters) is worth


SMALL_IMAGES = [(3, 3, 64), (7, 7, 64), (2, 3, 48), (7, 4, 64), (14, 7, 384)]


@pytest.mark.parametrize(("height", "width", "channels"), SMALL_IMAGES)
def test_convolution(height: int, width: int, channels: int):
    stock, fast = pair(
        (height, width, channels), keras.layers.Conv2D, 128, 3, padding="same"
    )
    assert winograd.worth_it(height, width, channels, 128)
    x = values(6, height, width, channels)
    expected, found = all_numbers(stock, x), all_numbers(fast, x)
    assert_same(found, expected, BOUND)
    assert (array(found[0]) != array(expected[0])).any()  # it went the other way


def test_convolution_without_a_graph():
    """The kernel is a variable there, whose gradient must not count twice."""
    stock, fast = pair((7, 7, 64), keras.layers.Conv2D, 64, 3, padding="same")
    x, gradients = tf.constant(values(2, 7, 7, 64)), []
    for model in (stock, fast):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(model(x, training=True) ** 2)
        gradients.append(tape.gradient(y, model.trainable_weights[0].value))
    assert relative(gradients[1], np.asarray(gradients[0])) <= BOUND


@pytest.mark.parametrize("side", [1, 2])
def test_pixels_as_a_product(side: int):
    stock, fast = pair((side, side, 64), keras.layers.Conv2D, 96, 1)
    x = values(6, side, side, 64)
    found, expected = all_numbers(fast, x), all_numbers(stock, x)
    assert_same(found, expected, BOUND)
    assert "MatMul" in operations(fast, x.shape, training=True)
    assert "Conv2D" not in operations(fast, x.shape, training=True)
    assert "Conv2D" in operations(fast, x.shape, training=False)


def test_convolution_at_inference_is_bit_equal():
    stock, fast = pair((3, 3, 64), keras.layers.Conv2D, 96, 3, padding="same")
    x = values(6, 3, 3, 64)
    expected, found = (all_numbers(model, x, training=False) for model in (stock, fast))
    np.testing.assert_array_equal(array(found[0]), array(expected[0]))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 3, 64), {"strides": 2}),
        ((3, 3, 64), {"padding": "valid"}),
        ((3, 3, 64), {"dilation_rate": 2}),
        ((3, 3, 64), {"kernel_size": 5}),
        ((3, 3, 64), {"kernel_size": (1, 3)}),
        ((3, 3, 64), {"dtype": "float64"}),
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(shape: tuple, options: dict):
    options = {"kernel_size": 3, "padding": "same", **options}
    stock, fast = pair(shape, keras.layers.Conv2D, 96, **options)
    x = values(6, 3, 3, 64)
    expected, found = (model(x, training=True) for model in (stock, fast))
    np.testing.assert_array_equal(array(found), array(expected))


def test_frozen_convolution_is_bit_equal():
    stock, fast = pair((3, 3, 64), keras.layers.Conv2D, 96, 3, padding="same")
    fast.trainable = False
    x = values(6, 3, 3, 64)
    np.testing.assert_array_equal(array(fast(x, training=True)), array(stock(x)))


def test_convolution_of_images_whose_size_is_open():
    stock, fast = pair((None, None, 64), keras.layers.Conv2D, 96, 3, padding="same")
    spec = tf.TensorSpec((None, None, None, 64))
    x = values(6, 3, 3, 64)
    expected, found = (
        tf.function(partial(model, training=True), input_signature=[spec])(x)
        for model in (stock, fast)
    )
    np.testing.assert_array_equal(array(found), array(expected))


@pytest.mark.parametrize("options", [{"padding": "same"}, {"strides": 2}], ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_grouped_convolution(options: dict, training: bool):
    stock, fast = pair((9, 8, 12), keras.layers.Conv2D, 8, 3, groups=4, **options)
    x = values(2, 9, 8, 12)
    expected, found = (all_numbers(model, x, training) for model in (stock, fast))
    assert_same(found, expected)


# PReLU ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [(1, 2), (2,), None], ids=str)
def test_prelu(shared: tuple[int, ...] | None):
    stock, fast = pair((6, 5, 7), keras.layers.PReLU, shared_axes=shared)
    x = values(8, 6, 5, 7) - 3
    x[0] = 0  # where Keras's gradient is 0
    assert_same(all_numbers(fast, x), all_numbers(stock, x))


def test_prelu_of_vectors_and_of_bfloat16():
    stock, fast = pair((9,), keras.layers.PReLU)
    x = values(8, 9) - 3
    assert_same(all_numbers(fast, x), all_numbers(stock, x))
    stock, fast = pair((6, 5, 7), keras.layers.PReLU, dtype="mixed_bfloat16")
    x = values(8, 6, 5, 7) - 3
    expected, found = all_numbers(stock, x), all_numbers(fast, x)
    assert [part.dtype for part in found] == [part.dtype for part in expected]
    assert_same(found, expected, bound=2e-2)  # bfloat16 has three digits


def test_prelu_in_float64_keeps_its_digits():
    stock, fast = pair((6, 5, 7), keras.layers.PReLU, dtype="float64")
    x = values(8, 6, 5, 7).astype("float64") - 3
    assert_same(all_numbers(fast, x)[2:], all_numbers(stock, x)[2:], bound=1e-14)


def test_a_direct_call_leaves_no_training_flag():
    fast = pair((3,), keras.layers.PReLU)[1]
    fast.get_layer("one").call(tf.ones((2, 3)))
    dropout = keras.layers.Dropout(0.5)
    dropout(tf.ones((2, 30)), training=True)
    np.testing.assert_array_equal(array(dropout(tf.ones((2, 30)))), np.ones((2, 30)))


def test_a_custom_call_is_kept():
    def own(self, inputs):
        return 2 * inputs

    model = pair((3,), keras.layers.PReLU)[0]
    layer = model.get_layer("one")
    layer.call = MethodType(own, layer)
    accelerate(model)
    assert_same([model(tf.ones((2, 3)), training=True)], [np.full((2, 3), 2.0)])


def test_prelu_propagates_nan():
    stock, fast = pair((3,), keras.layers.PReLU)
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    expected, found = (array(model(x, training=True)) for model in (stock, fast))
    np.testing.assert_array_equal(found, expected)


def test_inference_has_nothing_compiled():
    """Converters to other formats cannot read what XLA compiles."""
    fast = pair((6, 5, 7), keras.layers.PReLU)[1]
    kinds = operations(fast, (2, 6, 5, 7), training=False)
    assert not {kind for kind in kinds if "Partitioned" in kind}


# Local response normalisation -----------------------------------------------------------


@pytest.mark.parametrize(
    "constants", [{}, {"alpha": 5e-4, "beta": 0.5, "k": 2.0}], ids=str
)
@pytest.mark.parametrize("axis", [-1, 1])
def test_lrn(constants: dict, axis: int):
    stock, fast = pair((6, 5, 9), LocalResponseNormalization, axis=axis, **constants)
    x = 60 * values(4, 6, 5, 9)
    found = all_numbers(fast, x)
    assert_same(found, all_numbers(stock, x))
    last = np.moveaxis(x, axis, -1)
    layer = fast.get_layer("one")
    signs = np.random.default_rng(5).choice([-1.0, 1.0], x.shape).astype(np.float32)
    signs = np.moveaxis(signs, axis, -1)
    with tf.GradientTape() as tape:
        inputs = tf.constant(last)
        tape.watch(inputs)
        y = tf.nn.local_response_normalization(
            inputs, 2, layer.k, layer.alpha / layer.size, layer.beta
        )
        total = tf.reduce_sum(y * signs)
    expected = [y, tape.gradient(total, inputs)]
    assert_same([np.moveaxis(array(part), axis, -1) for part in found], expected)


def test_lrn_in_bfloat16():
    stock, fast = pair((6, 5, 9), LocalResponseNormalization, dtype="mixed_bfloat16")
    x = 60 * values(4, 6, 5, 9)
    expected, found = all_numbers(stock, x), all_numbers(fast, x)
    assert [part.dtype for part in found] == [part.dtype for part in expected]
    assert_same(found, expected, bound=2e-2)
