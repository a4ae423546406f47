"""Exponential moving averages (EMA) of weights, with lower errors than the last weights.

Keras's optimizers keep such averages too, but `fit` replaces the weights by them when it
ends, so that a training with one `fit` per epoch would continue from the averages.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import keras
from keras import ops


class EMA:
    """Exponential moving average of each trainable weight of a model.

    Attributes:
        variables: The averages, in the order of `model.trainable_variables`.
    """

    def __init__(self, model: keras.Model, momentum: float):
        """Args:
        model: Model whose weights are averaged.
        momentum: Share of the average that a step keeps, from 0 to below 1; it is
            lower in the first steps, to reduce the influence of the initial weights.
        """
        self._weights = model.trainable_variables
        self._momentum = momentum
        self.variables = [
            keras.Variable(ops.copy(weight.value), trainable=False)
            for weight in self._weights
        ]

    def update(self, step: int) -> None:
        """Updates the averages after a step, counted from 1."""
        share = 1 - min(self._momentum, step / (step + 9))
        averages = [average.value for average in self.variables]
        weights = [weight.value for weight in self._weights]
        updated = _update()(averages, weights, share)
        for average, value in zip(self.variables, updated, strict=True):
            average.assign(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the model's weights are the averages."""
        weights = [ops.copy(weight.value) for weight in self._weights]
        for average, weight in zip(self.variables, self._weights, strict=True):
            weight.assign(ops.copy(average.value))  # JAX donates arrays in a step
        try:
            yield
        finally:
            for value, weight in zip(weights, self._weights, strict=True):
                weight.assign(value)


def _moved(averages: list, weights: list, share: float) -> list:
    """The averages, moved by this share of the distance towards the weights."""
    return [a + share * (w - a) for a, w in zip(averages, weights, strict=True)]


@cache
def _update() -> Callable[[list, list, float], list]:
    """`_moved`, on JAX compiled for all weights at once.

    One by one, JAX's small operations took longer than the training step.
    """
    if keras.backend.backend() != "jax":
        return _moved
    import jax  # pyright: ignore[reportMissingImports], in an extra of its own

    return jax.jit(_moved)
