"""Training steps agree with stock Keras, and are closer to the exact ones.

The exact steps are those of the same network in float64. Gradients are sums of thousands
of terms that nearly cancel, so float32 sums in another order differ by more than their
last digit.
"""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

from cnnzoo.data.mnist import load_embedded
from cnnzoo.zoo import build

proof = pytest.mark.proof

BATCH = 64
NETWORKS = [
    "very_small_vgg",
    pytest.param("small_vgg", marks=proof),
    pytest.param("small_resnet", marks=proof),
    pytest.param("resnet20", marks=proof),
]


@dataclass(frozen=True)
class Training:
    """The result of a training: loss per step, moving statistics, trained weights."""

    losses: np.ndarray
    statistics: np.ndarray
    weights: np.ndarray


def trained(model: keras.Model, weights: list, steps: int) -> Training:
    """A number of SGD steps on digits, from the same weights, in the same order."""
    digits = load_embedded("train").take(np.arange(BATCH * steps))
    images = digits.images.astype(model.compute_dtype) / 255
    if model.input_shape[-1] == 3:
        images = np.pad(np.repeat(images, 3, -1), ((0, 0), (2, 2), (2, 2), (0, 0)))
    losses: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    model.fit(
        images,
        digits.labels,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[note],
    )
    moving = [weight.numpy().ravel() for weight in model.non_trainable_weights]
    trained = [weight.numpy().ravel() for weight in model.trainable_weights]
    # Keras tells the mean of the losses so far.
    counts = np.arange(1, steps + 1)
    each = np.diff(np.array(losses) * counts, prepend=0)
    return Training(each, np.concatenate(moving), np.concatenate(trained))


def three(name: str, steps: int) -> tuple[Training, Training, Training]:
    """Ours, stock Keras's, and the exact one."""
    keras.utils.set_random_seed(0)
    ours = build(name, dropout=0.0)
    stock = keras.models.clone_model(ours)
    keras.config.set_dtype_policy("float64")
    try:
        exact = build(name, dropout=0.0)
    finally:
        keras.config.set_dtype_policy("float32")
    weights = ours.get_weights()
    first, second, third = (trained(m, weights, steps) for m in (ours, stock, exact))
    return first, second, third


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_one_step(name: str):
    ours, stock, exact = three(name, 1)
    assert apart(ours.losses, exact.losses) <= 1e-6 * exact.losses[0]
    assert apart(ours.statistics, exact.statistics) <= 1e-6
    # A value beside 0 may fall on either side of a ReLU, and moves a gradient by itself.
    assert apart(ours.weights, exact.weights) <= 1.5 * apart(stock.weights, exact.weights)
    assert apart(ours.weights, stock.weights) > 0  # it went another way


@proof
@pytest.mark.parametrize("name", NETWORKS)
def test_fifty_steps(name: str):
    """Training multiplies each difference; ours stay within those that Keras has."""
    ours, stock, exact = three(name, 50)
    for part in ("losses", "statistics", "weights"):
        truth = getattr(exact, part)
        distance = apart(getattr(ours, part), truth)
        assert distance <= 2 * apart(getattr(stock, part), truth)
