"""Keras's `fit`, epoch by epoch, from any batch on."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import keras
from keras import ops

from cnnzoo.data.batches import Batches, own_errors
from cnnzoo.train.checkpoint import random_state
from cnnzoo.train.ema import Averages

Figures = dict[str, float]
NAMED = 10  # images of a batch that a message names


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
        epoch: the number of the pass under way, from 0.
        batch: how many of its batches are done.
        figures: what the pass came to, once all are; then it is to be judged.
        stopped: whether a callback has enough.
    """

    epoch: int = 0
    batch: int = 0
    figures: Figures | None = None
    stopped: bool = False

    def is_over(self, epochs: int) -> bool:
        """Whether nothing is left to do of so many epochs."""
        return self.epoch >= epochs or (self.stopped and self.figures is None)

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, {self.batch} of its batches done"


class Keeper(Protocol):
    """Who is told how far the training has come, and may end it by an error."""

    def reached(self, position: Position) -> None: ...

    def look(self) -> None:
        """Is told that time passes."""
        ...


class Loop:
    """A training whose every step can be the first.

    Attributes:
        model: compiled.
        callbacks: those of the whole training; they hear of it as `fit` would tell it.
        averages: of the weights, by which the model is judged; None for the weights.
        steps: of a pass.
    """

    def __init__(
        self,
        model: keras.Model,
        learned: Batches,
        held_out: tuple,
        callbacks: keras.callbacks.CallbackList,
        averages: Averages | None = None,
        class_weights: dict[int, float] | None = None,
    ):
        """Args:
        learned: in an order of their own each epoch.
        held_out: (images, labels), or (batches, None).
        class_weights: what each class counts in the loss; None for all alike.
        """
        self.model = model
        self.callbacks = callbacks
        self.averages = averages
        self._learned = learned
        self._held_out = held_out
        self._class_weights = class_weights
        self.steps = len(learned)

    def measure(self) -> None:
        """Makes Keras set up its figures, which it does not before it needs them."""
        images, labels = self._learned[0]
        self.model.test_on_batch(images, labels)

    def lost(self, position: Position) -> str:
        """Where the loss became no number: the step after `position`, and its images."""
        self._learned.epoch = position.epoch
        names = self._learned.named(min(position.batch, self.steps - 1))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return (
            f"the loss became no number in batch {position.batch + 1} of epoch "
            f"{position.epoch + 1}, at the learning rate {rate:.3g}, on "
            f"{', '.join(map(repr, names[:NAMED]))[:600]}{more}"
        )

    def run(self, epochs: int, start: Position, keeper: Keeper) -> bool:
        """Trains until so many epochs are over, or a callback has enough.

        Args:
            start: where to go on; the model is as it was there.

        Returns:
            Whether the loss stayed finite; else the keeper's last position is older
            than the model.
        """
        position, good = start, True
        while good and not position.is_over(epochs):
            if position.figures:  # an earlier process ended before they were judged
                self.callbacks.on_epoch_begin(position.epoch)
                self.model.stop_training = position.stopped
                figures = position.figures
            else:
                figures = self._learn(position, keeper)
            stopped = self.model.stop_training
            judged = Position(position.epoch, self.steps, figures, stopped)
            good = all(map(isfinite, figures.values()))
            if good:
                keeper.reached(judged)
            self._judge(position.epoch, figures, keeper)
            stopped = self.model.stop_training
            position = Position(position.epoch + 1, stopped=stopped)
            if good:
                keeper.reached(position)
        return good

    def _learn(self, start: Position, keeper: Keeper) -> Figures:
        """The rest of a pass."""
        self._learned.epoch = start.epoch
        rest = Rest(self._learned, start.batch)

        def after(batch: int) -> None:
            if self.averages:
                self.averages.step(start.epoch * self.steps + batch)
            if batch < self.steps:
                keeper.reached(Position(start.epoch, batch))

        self.callbacks.on_epoch_begin(start.epoch)
        with own_errors(self._learned):
            self.model.fit(
                rest,
                shuffle=False,
                verbose=0,
                class_weight=self._class_weights,
                callbacks=[Inner(self.callbacks, start.batch, after)],
            )

        figures = self.model.get_metrics_result()
        return {name: float(value) for name, value in figures.items()}

    def _judge(self, epoch: int, figures: Figures, keeper: Keeper) -> None:
        """The figures on what is held out, and the end of the epoch."""
        images, labels = self._held_out
        look = keras.callbacks.LambdaCallback(
            on_test_batch_end=lambda batch, logs: keeper.look()
        )
        with self.averages.in_place() if self.averages else nullcontext():
            with own_errors(images):
                held_out = self._evaluated(images, labels, look)
            named = {f"val_{name}": value for name, value in held_out.items()}
            self.callbacks.on_epoch_end(epoch, {**figures, **named})

    def _evaluated(self, images, labels, look: keras.callbacks.Callback) -> Figures:
        """What Keras says; where a signal ends it, no random number is drawn."""
        drawn = random_state.take()  # on PyTorch, `evaluate` draws one for its batches
        try:
            return self.model.evaluate(
                images,
                labels,
                batch_size=None if labels is None else self._learned.batch_size,
                verbose=0,
                return_dict=True,
                callbacks=[look],
            )
        except BaseException:
            random_state.put(drawn)
            raise


class Rest(keras.utils.PyDataset):
    """The batches of an epoch from one on."""

    def __init__(self, batches: Batches, first: int):
        # With two workers Keras reads ahead in a thread of its own and leaves out
        # tf.data's tuner, for whose end `fit` can wait as long as the epoch took.
        super().__init__(workers=2, max_queue_size=4)
        self._batches = batches
        self._first = first

    def __len__(self) -> int:
        return len(self._batches) - self._first

    def __getitem__(self, index: int) -> tuple:
        return self._batches[self._first + index]


class Inner(keras.callbacks.Callback):
    """Tells the callbacks of the whole training what `fit` tells of its batches."""

    def __init__(
        self,
        outer: keras.callbacks.CallbackList,
        first: int,
        after: Callable[[int], None],
    ):
        """Args:
        first: the batches that were done before; their figures are the model's.
        after: is told how many batches are done.
        """
        super().__init__()
        self._outer = outer
        self._first = first
        self._after = after
        self._figures: list = []
        self._generators = random_state.take()

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._figures = [ops.copy(v.value) for v in model.metrics_variables]

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Undoes, within a pass, what `fit` did at its start.

        It has set the figures to 0, and on PyTorch drawn a number for its batches.
        """
        if batch == 0 and self._first:
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self._figures, strict=True):
                variable.assign(value)
            random_state.put(self._generators)
        self._outer.on_train_batch_begin(self._first + batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._outer.on_train_batch_end(self._first + batch, logs)
        if not self.model.stop_training:  # or else the loss is no number any more
            self._after(self._first + batch + 1)
