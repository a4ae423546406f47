"""The optimisers' kernels take the steps that Keras's optimisers take."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from fast_pairs import array, assert_same, values

from cnnzoo.fast import accelerate


def scaled(learning_rate: float) -> keras.Optimizer:
    """As in Keras for float16."""
    adam = keras.optimizers.Adam(learning_rate)
    return keras.optimizers.LossScaleOptimizer(adam, initial_scale=4.0)


class Float64Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.01 / (1 + keras.ops.cast(step, "float64"))


def scheduled(learning_rate: float) -> keras.Optimizer:
    return keras.optimizers.Adam(Float64Schedule())


OPTIMISERS: list[tuple[Callable, dict[str, Any]]] = [
    (keras.optimizers.Adam, {}),
    (keras.optimizers.Adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
    (keras.optimizers.Adam, {"clipnorm": 0.1, "weight_decay": 0.1}),
    (keras.optimizers.Adam, {"use_ema": True, "gradient_accumulation_steps": 2}),
    (keras.optimizers.AdamW, {"weight_decay": 0.1}),
    (scaled, {}),
    (scheduled, {}),
    (keras.optimizers.SGD, {"momentum": 0.9}),
    (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    # These have no kernel here and stay as they are.
    (keras.optimizers.SGD, {}),
    (keras.optimizers.Adam, {"amsgrad": True}),
    (keras.optimizers.RMSprop, {}),
]


def network() -> keras.Model:
    layers = keras.layers
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(2)])


@pytest.mark.parametrize(
    ("kind", "options"), OPTIMISERS, ids=lambda part: getattr(part, "__name__", str(part))
)
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.proof)]
)
def test_steps(kind: Callable, options: dict[str, Any], jit_compile: bool):
    x, y = values(40, 6), values(40, 2, seed=2)
    models = network(), accelerate(network())
    for model in models:
        model.compile(kind(0.01, **options), "mse", jit_compile=jit_compile)
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    stock, fast = models
    both = zip(fast.weights, stock.weights, strict=True)
    for one, other in both:  # by a thousandth of one step at most
        np.testing.assert_allclose(array(one), array(other), rtol=0, atol=1e-5)
    both = zip(fast.optimizer.variables, stock.optimizer.variables, strict=True)
    for one, other in both:
        np.testing.assert_allclose(array(one), array(other), rtol=1e-4, atol=1e-5)


def test_a_compiled_model_is_accelerated_too():
    model = network()
    model.compile("adam", "mse")
    assert "update_step" not in vars(model.optimizer)
    accelerate(model)
    assert "update_step" in vars(model.optimizer)


def test_the_file_is_that_of_the_stock_model(tmp_path):
    models = network(), accelerate(network())
    for model in models:
        model.compile(keras.optimizers.Adam(0.01), "mse")
        model.fit(values(4, 6), values(4, 2), verbose=0)
    stock, fast = models
    fast.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    assert type(loaded.optimizer) is keras.optimizers.Adam
    configs = [model.get_compile_config() for model in (loaded, stock)]
    for config in configs:
        del config["optimizer"]["config"]["name"]  # Keras numbers them
    assert configs[0] == configs[1]
    assert loaded.optimizer.iterations == 1
    assert_same(loaded.weights, fast.weights, bound=0)
