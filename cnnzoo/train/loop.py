"""Training loop of one `fit` per epoch, which can start at any batch."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite

import keras
from keras import ops

from cnnzoo.data.batches import Batches, own_errors
from cnnzoo.train import compilation
from cnnzoo.train.checkpoint.autosave import Autosave, TrainingProgress
from cnnzoo.train.checkpoint.state import generator_states, set_generator_states
from cnnzoo.train.ema import EMA
from cnnzoo.train.recipe import Recipe

Metrics = dict[str, float]
NAMES_SHOWN = 10  # images of a batch named in a message


@dataclass(frozen=True)
class Loop:
    """A training loop that can start at any step.

    Attributes:
        model: Compiled model.
        train: Training batches, with a new order in each epoch.
        validation: (images, labels), or (batches, None).
        callbacks: Callbacks of the whole training, called as `fit` would call them.
        ema: Moving averages to evaluate instead of the weights; None for the weights.
        class_weights: Weight of each class in the loss; None for equal weights.
    """

    model: keras.Model
    train: Batches
    validation: tuple
    callbacks: keras.callbacks.CallbackList
    ema: EMA | None = None
    class_weights: dict[int, float] | None = None

    @property
    def steps(self) -> int:
        """Number of batches per epoch."""
        return len(self.train)

    def build_metrics(self) -> None:
        """Makes Keras create its metrics, which it otherwise does at their first use."""
        images, labels = self.train[0]
        self.model.test_on_batch(images, labels)

    def describe_failure(self, progress: TrainingProgress) -> str:
        """Message that the loss became NaN or infinite in the step after `progress`."""
        self.train.epoch = progress.epoch
        names = self.train.image_names(min(progress.batch, self.steps - 1))
        more = len(names) - NAMES_SHOWN
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return (
            f"the loss became NaN or infinite in batch {progress.batch + 1} of epoch "
            f"{progress.epoch + 1}, at the learning rate {rate:.3g}, on "
            f"{', '.join(map(repr, names[:NAMES_SHOWN]))[:600]}"
            f"{f' and {more} more' if more > 0 else ''}"
        )

    def run(self, epochs: int, autosave: Autosave) -> bool:
        """Trains up to a number of epochs, or until a callback stops the training.

        Args:
            epochs: Number of epochs in all.
            autosave: Autosave with the progress to start from, which it updates.

        Returns:
            Whether the loss stayed finite; if not, the autosave's progress is older
            than the model.
        """
        progress, is_finite = autosave.progress, True
        while is_finite and not progress.is_over(epochs):
            epoch = progress.epoch
            if progress.metrics:  # an earlier process ended before the validation
                self.callbacks.on_epoch_begin(epoch)
                self.model.stop_training = progress.stopped
                metrics = progress.metrics
            else:
                metrics = self._train_epoch(progress, autosave)
            is_finite = all(map(isfinite, metrics.values()))
            if is_finite:
                stopped = self.model.stop_training
                autosave.update(TrainingProgress(epoch, self.steps, metrics, stopped))
            self._validate(epoch, metrics, autosave)
            progress = TrainingProgress(epoch + 1, stopped=self.model.stop_training)
            if is_finite:
                autosave.update(progress)
        return is_finite

    def _train_epoch(self, start: TrainingProgress, autosave: Autosave) -> Metrics:
        """Trains on the rest of an epoch."""
        self.train.epoch = start.epoch

        def after_batch(batch: int) -> None:
            if self.ema:
                self.ema.update(start.epoch * self.steps + batch)
            if batch < self.steps:
                autosave.update(TrainingProgress(start.epoch, batch))

        self.callbacks.on_epoch_begin(start.epoch)
        with own_errors(self.train):
            self.model.fit(
                RemainingBatches(self.train, start.batch),
                shuffle=False,
                verbose=0,
                class_weight=self.class_weights,
                callbacks=[BatchCallback(self.callbacks, start.batch, after_batch)],
            )
        metrics = self.model.get_metrics_result()
        return {name: float(value) for name, value in metrics.items()}

    def _validate(self, epoch: int, metrics: Metrics, autosave: Autosave) -> None:
        """Evaluates the validation images, and ends the epoch."""
        images, labels = self.validation
        watch = keras.callbacks.LambdaCallback(
            on_test_batch_end=lambda batch, logs: autosave.check()
        )
        with self.ema.applied() if self.ema else nullcontext():
            with own_errors(images):
                values = self._evaluate(images, labels, watch)
            autosave.lock.check()  # before callbacks write
            validation = {f"val_{name}": value for name, value in values.items()}
            self.callbacks.on_epoch_end(epoch, {**metrics, **validation})

    def _evaluate(self, images, labels, watch: keras.callbacks.Callback) -> Metrics:
        """Evaluates the model; random generators are restored if a signal ends it."""
        states = generator_states()  # PyTorch draws a number for the order of batches
        try:
            return self.model.evaluate(
                images,
                labels,
                batch_size=None if labels is None else self.train.batch_size,
                verbose=0,
                return_dict=True,
                callbacks=[watch],
            )
        except BaseException:
            set_generator_states(states)
            if keras.backend.backend() == "jax":  # `evaluate` took the variables' values
                self.model.jax_state_sync()
            raise


def make_loop(
    model: keras.Model,
    recipe: Recipe,
    train: Batches,
    validation: tuple,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int,
) -> Loop:
    """The loop of a training by a recipe; arguments as in `Loop`."""
    everyone = keras.callbacks.CallbackList(
        callbacks,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=recipe.epochs,
        steps=len(train),
    )
    ema = EMA(model, recipe.averaging) if recipe.averaging else None
    weights = compilation.class_weights(recipe, train.source)
    return Loop(model, train, validation, everyone, ema, weights)


class RemainingBatches(keras.utils.PyDataset):
    """The batches of an epoch from a given one on."""

    def __init__(self, batches: Batches, first: int):
        # With two workers, Keras reads ahead in a separate thread and does not use
        # tf.data's tuner, whose end can delay `fit` by as long as the epoch took.
        super().__init__(workers=2, max_queue_size=4)
        self._batches = batches
        self._first = first

    def __len__(self) -> int:
        return len(self._batches) - self._first

    def __getitem__(self, index: int) -> tuple:
        return self._batches[self._first + index]


class BatchCallback(keras.callbacks.Callback):
    """Forwards the batch events of `fit` to the callbacks of the whole training."""

    def __init__(
        self,
        outer: keras.callbacks.CallbackList,
        first: int,
        after_batch: Callable[[int], None],
    ):
        """Args:
        outer: Callbacks of the whole training.
        first: Number of earlier batches, which the model's metrics include.
        after_batch: Function of the number of completed batches.
        """
        super().__init__()
        self._outer = outer
        self._first = first
        self._after_batch = after_batch
        self._metrics: list = []
        self._generator_states = generator_states()

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._metrics = [ops.copy(v.value) for v in model.metrics_variables]

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Reverts, within an epoch, what `fit` changed at its start.

        It resets the metrics, and on PyTorch draws a number for the order of batches.
        """
        if batch == 0 and self._first:
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self._metrics, strict=True):
                variable.assign(value)
            set_generator_states(self._generator_states)
        self._outer.on_train_batch_begin(self._first + batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._outer.on_train_batch_end(self._first + batch, logs)
        if not self.model.stop_training:  # which is set if the loss is NaN
            self._after_batch(self._first + batch + 1)
