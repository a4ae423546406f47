"""A phase of which the frozen part is computed once: the rest learns from features."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from keras.callbacks import Callback, LambdaCallback, TerminateOnNaN

from cnnzoo import graph
from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import TrainingError, UsageError
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.train import compilation
from cnnzoo.train.callbacks import HistoryFile, patience
from cnnzoo.train.checkpoint.callback import Checkpoint
from cnnzoo.train.finetuning import l2_sp
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import CHECKPOINTS, History
from cnnzoo.transfer.best import Best
from cnnzoo.transfer.cut_points import cuts, embedding_model, tail
from cnnzoo.transfer.features.cache import ON_DISK, CachedBatches, FeatureCache, Progress
from cnnzoo.transfer.warm import MOST, ridge_init

BEST_FILE = "best.safetensors"
SAVE_SECONDS = 60.0  # after a checkpoint the next is written; what a kill can cost
ROWS = 256  # that the classifier's input is computed of at a time


def place_behind(network: keras.Model, until: str) -> str:
    """The deepest cut in front of which all that has weights is frozen, and no less.

    Raises:
        UsageError: there is none behind what is frozen.
    """
    weighted = {layer.name for layer in network.layers if layer.weights}
    frozen = weighted.intersection(graph.ancestors(network, until))
    found = None
    for cut in cuts(network):
        if weighted.intersection(graph.ancestors(network, cut.name)) == frozen:
            found = cut.name
    if found is None:
        raise UsageError(
            f"nothing can be computed once behind {until!r} of {network.name!r}: "
            "expected a place that all paths go through; freeze up to a cut, or set "
            "cached=False"
        )
    return found


class CachedTraining:
    """The tail of a network, on the features of its front.

    Attributes:
        learned, held_out: the features.
        ridge: exact leave-one-out accuracy of the regression that the classifier began
            as; None where it did not.
        accuracy: on what is held out, 0 to 1, when training is over.
        history: the figures of every epoch.
    """

    def __init__(
        self,
        network: keras.Model,
        train: Source,
        validation: Source,
        cut: str,
        folder: Path,
        features: Path,
        recipe: Recipe,
        *,
        views: int = 1,
        progress: Progress | None = None,
        disk: int = ON_DISK,
    ):
        """Computes the features.

        Args:
            network: whose part up to `cut` is frozen.
            folder: of this phase alone.
            features: of everything that is computed once.
            recipe: whose augmentation makes the views.
            disk: bytes that may be added to `features`.
        """
        self.ridge: float | None = None
        self.accuracy = 0.0
        self.history: History = {}
        self._folder = folder
        self._labels = np.asarray(train.labels)
        self._held_labels = np.asarray(validation.labels)
        self._weights = compilation.class_weights(recipe, train)
        self._recipe = replace(recipe, augment=None)
        self.learned, self.held_out = (
            FeatureCache.build(
                network,
                part,
                cut,
                features,
                augment=recipe.augment if count > 1 else None,
                views=count,
                seed=recipe.seed,
                progress=progress,
                disk=disk,
            )
            for part, count in ((train, views), (validation, 1))
        )
        self._tail = tail(network, cut)
        self._tail.cnnzoo = network.cnnzoo  # its classifier is the network's

    def train(self, *, ridge_init: bool) -> None:
        """Leaves the network with the weights of the best epoch.

        Args:
            warm_start: whether the classifier begins as a ridge regression, which the
                epochs then have to beat.

        Raises:
            TrainingError: no validation loss was finite.
        """
        recipe = self._recipe
        if ridge_init:
            self.ridge = self._start_as_ridge()
        compilation.compiled(self._tail, recipe, len(self._labels))
        learned = CachedBatches(
            self.learned, self._labels, recipe.batch_size, shuffle=True, seed=recipe.seed
        )
        # The best epoch is chosen by the loss in which classes count as they do here.
        held_out = CachedBatches(
            self.held_out, self._held_labels, recipe.batch_size, weights=self._weights
        )
        best, history = Best(self._folder / BEST_FILE), HistoryFile(None)
        best.set_model(self._tail)
        remembering: list[Callback] = [best, *patience(recipe, best.monitor), history]
        if ridge_init:
            best.on_epoch_end(-1, {best.monitor: self._judged(held_out)["loss"]})
        checkpoint = Checkpoint(
            self._folder / CHECKPOINTS, callbacks=remembering, save_seconds=SAVE_SECONDS
        )
        with l2_sp(self._tail, recipe.start_decay), ExitStack() as after:
            after.callback(checkpoint.on_train_end)  # also when an interrupt ends it
            self._tail.fit(
                learned,
                validation_data=held_out,
                epochs=recipe.epochs,
                shuffle=False,
                verbose=0,  # an epoch on features takes no time to tell of
                class_weight=self._weights,
                callbacks=[
                    *remembering,
                    TerminateOnNaN(),
                    LambdaCallback(on_epoch_begin=learned.begin),
                    checkpoint,
                ],
            )
        if not np.isfinite(best.best):
            raise TrainingError(
                f"the validation loss was never finite in {self._folder}; try a lower "
                "learning rate"
            )
        best.put_back()
        self.accuracy = float(self._judged(held_out)["accuracy"])
        self.history = history.history

    def _judged(self, held_out: CachedBatches) -> dict[str, float]:
        return self._tail.evaluate(held_out, verbose=0, return_dict=True)

    def _start_as_ridge(self) -> float:
        """The classifier as the ridge regression on what it sees of every image."""
        front = embedding_model(self._tail)
        chosen = some_rows(len(self.learned), MOST, self._recipe.seed)
        parts = np.array_split(chosen, -(-len(chosen) // ROWS))
        codes = [front.predict_on_batch(self.learned.rows(part)) for part in parts]
        return ridge_init(
            self._tail.get_layer(PREDICTIONS), np.concatenate(codes), self._labels[chosen]
        )
