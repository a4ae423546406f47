"""Exponential moving averages (EMA) of weights, with lower errors than the last weights.

Keras's optimizers keep such averages too, but `fit` replaces the weights by them when it
ends, so that a training with one `fit` per epoch would continue from the averages.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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
        momentum = min(self._momentum, step / (step + 9))
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(average + (1 - momentum) * (weight - average))

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
