"""Running averages of a model's weights, which err less than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import ops


class Averages:
    """What a model would be with the running average of each weight.

    Keras's optimisers keep such averages too; `fit` puts them in place of the weights
    when it ends, and a training that goes on epoch by epoch would go on from there.

    Attributes:
        variables: the averages, in the order of `model.trainable_variables`.
    """

    def __init__(self, model: keras.Model, keep: float):
        """Args:
        keep: of the average in each step, 0 to below 1; fewer at first, so that the
            beginning is soon forgotten.
        """
        self._weights = model.trainable_variables
        self._keep = keep
        self.variables = [
            keras.Variable(ops.copy(weight.value), trainable=False)
            for weight in self._weights
        ]

    def step(self, number: int) -> None:
        """Takes up the weights after step `number`, from 1."""
        keep = min(self._keep, number / (number + 9))
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign(average + (1 - keep) * (weight - average))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averages for weights."""
        kept = [ops.copy(weight.value) for weight in self._weights]
        for average, weight in zip(self.variables, self._weights, strict=True):
            weight.assign(ops.copy(average.value))  # JAX gives arrays away in a step
        try:
            yield
        finally:
            for value, weight in zip(kept, self._weights, strict=True):
                weight.assign(value)
