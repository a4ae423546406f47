"""Training on cached features: the frozen part of a network is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import isfinite
from pathlib import Path

import keras
import numpy as np
from keras.callbacks import Callback, LambdaCallback, TerminateOnNaN

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import TrainingError
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.train import compilation
from cnnzoo.train.callbacks import BestCheckpoint, HistoryFile, patience
from cnnzoo.train.checkpoint.callback import Checkpoint
from cnnzoo.train.finetuning import l2_sp
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import CHECKPOINTS
from cnnzoo.transfer.cut_points import embedding_model, side_by_side, tail
from cnnzoo.transfer.features.cache import CachedBatches, FeatureCache
from cnnzoo.transfer.features.probes import ridge_init
from cnnzoo.transfer.results import PhaseResult

SAVE_SECONDS = 60.0  # between two checkpoints; the most that a kill can lose
RIDGE_IMAGES = 2000  # maximum for the ridge regression
ROWS = 256  # per batch of the classifier's inputs


def train_on_features(
    result: PhaseResult,
    network: keras.Model,
    cut: str,
    caches: Sequence[FeatureCache],
    train: Source,
    validation: Source,
    recipe: Recipe,
    folder: Path,
    *,
    from_ridge: bool,
) -> PhaseResult:
    """Trains the part of a network after a cut, or resumes; the best epoch is kept.

    Args:
        result: Result of the phase so far.
        network: Network whose part up to `cut` is frozen.
        cut: Name of the cut.
        caches: Features of the training images, and of the validation images.
        train: Training images.
        validation: Validation images.
        recipe: Recipe; its augmentation is not used, and 0 epochs train nothing.
        folder: Folder of this phase.
        from_ridge: Whether the start is a ridge regression, kept if no epoch is better.

    Returns:
        The result with what came of it.

    Raises:
        TrainingError: No validation loss was finite.
    """
    part = tail(network, cut)
    part.cnnzoo = network.cnnzoo  # it ends in the network's classifier
    labels = np.asarray(train.labels)
    if from_ridge:
        ridge = _start_from_ridge(network, part, caches[0], labels, recipe.seed)
        result = replace(result, ridge=ridge)
    settings = replace(recipe, augment=None, epochs=max(1, recipe.epochs))
    compilation.compile_model(part, settings, len(labels))
    weights = compilation.class_weights(recipe, train)
    batches = _batches(caches, labels, np.asarray(validation.labels), recipe, weights)
    best, history = BestCheckpoint(None), HistoryFile(None)
    best.set_model(part)
    if from_ridge:
        best.on_epoch_end(-1, {best.monitor: _evaluate(part, batches[1])["loss"]})
    callbacks = [best, *patience(recipe, best.monitor), history]
    if recipe.epochs:
        _fit(part, *batches, recipe, weights, folder, callbacks)
    if not isfinite(best.best):
        raise TrainingError(
            f"the validation loss was never finite in {folder}; use a lower learning rate"
        )
    best.restore()
    return replace(
        result,
        # Keras computes it in float32; the last digits would decide between equal ones.
        after=round(_evaluate(part, batches[1])["accuracy"], 6),
        history=history.metrics,
        epochs=_best_epoch(best, history),
    )


def _batches(
    caches: Sequence[FeatureCache],
    labels: np.ndarray,
    others: np.ndarray,
    recipe: Recipe,
    weights: dict[int, float] | None,
) -> tuple[CachedBatches, CachedBatches]:
    """The training and the validation batches, of these labels."""
    size = recipe.images_per_step(len(labels))
    train = CachedBatches(caches[0], labels, size, shuffle=True, seed=recipe.seed)
    # The loss that chooses the best epoch has the same class weights as the training.
    return train, CachedBatches(caches[1], others, size, weights=weights)


def _best_epoch(best: BestCheckpoint, history: HistoryFile) -> int:
    """The number of the best epoch, from 1 on; 0 for the ridge regression."""
    losses = history.metrics.get(best.monitor, [])
    return losses.index(best.best) + 1 if best.best in losses else 0


def _fit(
    part: keras.Model,
    train: CachedBatches,
    validation: CachedBatches,
    recipe: Recipe,
    weights: dict[int, float] | None,
    folder: Path,
    callbacks: Sequence[Callback],
) -> None:
    checkpoint = Checkpoint(
        folder / CHECKPOINTS, callbacks=callbacks, save_seconds=SAVE_SECONDS
    )
    ordering = LambdaCallback(on_epoch_begin=train.begin)
    with l2_sp(part, recipe.start_decay), ExitStack() as after:
        after.callback(checkpoint.on_train_end)  # also when an interrupt ends it
        part.fit(
            train,
            validation_data=validation,
            epochs=recipe.epochs,
            shuffle=False,
            verbose=0,  # an epoch on features is short
            class_weight=weights,
            callbacks=[*callbacks, TerminateOnNaN(), ordering, checkpoint],
        )


def _evaluate(part: keras.Model, validation: CachedBatches) -> dict[str, float]:
    return part.evaluate(validation, verbose=0, return_dict=True)


def _start_from_ridge(
    network: keras.Model,
    part: keras.Model,
    cache: FeatureCache,
    labels: np.ndarray,
    seed: int,
) -> float:
    """Starts the classifier from the ridge regression; returns its accuracy."""
    front = embedding_model(part)
    chosen = some_rows(len(cache), RIDGE_IMAGES, seed)
    groups = np.array_split(chosen, -(-len(chosen) // ROWS))
    rows = [front.predict_on_batch(cache.rows(group)) for group in groups]
    embeddings, classifier = np.concatenate(rows), part.get_layer(PREDICTIONS)
    widths = side_by_side(network)
    return ridge_init(classifier, embeddings, labels[chosen], widths, seed)
