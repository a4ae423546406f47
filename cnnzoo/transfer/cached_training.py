"""Training on cached features: the frozen part of a network is computed once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
from keras.callbacks import Callback, LambdaCallback, TerminateOnNaN

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import CheckpointError, TrainingError
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.system import files
from cnnzoo.train import compilation
from cnnzoo.train.callbacks import HistoryFile, has_finite_weights, patience
from cnnzoo.train.checkpoint.callback import Checkpoint
from cnnzoo.train.finetuning import l2_sp
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import CHECKPOINTS
from cnnzoo.transfer.cut_points import embedding_model, tail
from cnnzoo.transfer.features.cache import CachedBatches, FeatureCache
from cnnzoo.transfer.probes import ridge_init

BEST_FILE = "best.safetensors"
SAVE_SECONDS = 60.0  # between two checkpoints; the most that a kill can lose
RIDGE_IMAGES = 4000  # maximum for the ridge regression
ROWS = 256  # per batch of the classifier's inputs


class BestWeights(Callback):
    """Keeps the weights of the epoch with the lowest validation loss in memory.

    An epoch on features can take a tenth of a second, so the file is written with a
    checkpoint only.

    Attributes:
        path: Path of the file, ending in `.safetensors`.
        best: Lowest loss so far.
    """

    monitor = "val_loss"

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.best = inf
        self._weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get(self.monitor, inf)
        if isfinite(loss) and loss < self.best and has_finite_weights(self.model):
            self.best = loss
            self._weights = [weight.copy() for weight in self.model.get_weights()]

    def restore(self) -> None:
        """Gives the model the weights of the best epoch."""
        self.model.set_weights(self._weights)

    def get_state(self) -> dict:
        """The state for a checkpoint; the weights are in the file."""
        arrays = {str(i): weight for i, weight in enumerate(self._weights)}
        files.write_bytes(self.path, safetensors.numpy.save(arrays))
        return {"best": self.best}

    def set_state(self, state: dict) -> None:
        """Raises CheckpointError where the file does not belong to the checkpoint."""
        bad = CheckpointError(
            f"cannot read the best weights so far in {self.path}, which is damaged or "
            f"holds other weights; remove {self.path.parent} and call again"
        )
        with files.refusing_damage(bad):
            arrays = safetensors.numpy.load_file(self.path)
            self._weights = [arrays[str(i)] for i in range(len(self.model.weights))]
            shapes = [tuple(weight.shape) for weight in self.model.weights]
            if shapes != [weight.shape for weight in self._weights]:
                raise ValueError("weights of other shapes")
        self.best = state["best"]


@dataclass(frozen=True)
class CachedResult:
    """The result of a training on features.

    Attributes:
        accuracy: Validation accuracy, 0 to 1.
        history: Metrics of every epoch.
        ridge: Exact leave-one-out accuracy of the ridge regression that the classifier
            started from; None where it did not.
    """

    accuracy: float = 0.0
    history: dict[str, list[float]] = field(default_factory=dict)
    ridge: float | None = None


class CachedTraining:
    """The part of a network behind a cut, and the features of the part before it.

    Attributes:
        train: Features of the training images.
        validation: Features of the validation images.
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
        **options,
    ):
        """Computes the features.

        Args:
            network: Network whose part up to `cut` is frozen.
            train: Training images.
            validation: Validation images.
            cut: Name of the cut.
            folder: Folder of this phase.
            features: Folder of cached features.
            recipe: Recipe, of which the augmentation makes the views.
            views: Number of versions of each training image.
            **options: `progress` and `disk` of `FeatureCache.build`.
        """
        self._folder = folder
        self._labels = np.asarray(train.labels)
        self._validation_labels = np.asarray(validation.labels)
        self._class_weights = compilation.class_weights(recipe, train)
        self._recipe = replace(recipe, augment=None)
        self.train, self.validation = (
            FeatureCache.build(
                network,
                part,
                cut,
                features,
                augment=recipe.augment if count > 1 else None,
                views=count,
                seed=recipe.seed,
                **options,
            )
            for part, count in ((train, views), (validation, 1))
        )
        self._tail = tail(network, cut)
        self._tail.cnnzoo = network.cnnzoo  # the tail ends in the network's classifier

    def run(self, *, from_ridge: bool) -> CachedResult:
        """Trains or resumes, and leaves the network with the weights of the best epoch.

        Args:
            from_ridge: Whether the classifier starts from a ridge regression, whose
                weights are kept if no epoch is better.

        Raises:
            TrainingError: No validation loss was finite.
        """
        recipe = self._recipe
        ridge = self._ridge_init() if from_ridge else None
        compilation.compile_model(self._tail, recipe, len(self._labels))
        train = CachedBatches(
            self.train, self._labels, recipe.batch_size, shuffle=True, seed=recipe.seed
        )
        # The loss that chooses the best epoch has the same class weights as the training.
        validation = CachedBatches(
            self.validation,
            self._validation_labels,
            recipe.batch_size,
            weights=self._class_weights,
        )
        best, history = BestWeights(self._folder / BEST_FILE), HistoryFile(None)
        best.set_model(self._tail)
        if from_ridge:
            best.on_epoch_end(-1, {best.monitor: self._evaluate(validation)["loss"]})
        remembered = [best, *patience(recipe, best.monitor), history]
        self._fit(train, validation, remembered)
        if not np.isfinite(best.best):
            raise TrainingError(
                f"the validation loss was never finite in {self._folder}; use a lower "
                "learning rate"
            )
        best.restore()
        accuracy = float(self._evaluate(validation)["accuracy"])
        return CachedResult(accuracy, history.metrics, ridge)

    def _fit(
        self, train: CachedBatches, validation: CachedBatches, remembered: list[Callback]
    ) -> None:
        checkpoint = Checkpoint(
            self._folder / CHECKPOINTS, callbacks=remembered, save_seconds=SAVE_SECONDS
        )
        ordering = LambdaCallback(on_epoch_begin=train.begin)
        with l2_sp(self._tail, self._recipe.start_decay), ExitStack() as after:
            after.callback(checkpoint.on_train_end)  # also when an interrupt ends it
            self._tail.fit(
                train,
                validation_data=validation,
                epochs=self._recipe.epochs,
                shuffle=False,
                verbose=0,  # an epoch on features is short
                class_weight=self._class_weights,
                callbacks=[*remembered, TerminateOnNaN(), ordering, checkpoint],
            )

    def _evaluate(self, validation: CachedBatches) -> dict[str, float]:
        return self._tail.evaluate(validation, verbose=0, return_dict=True)

    def _ridge_init(self) -> float:
        """Starts the classifier from the ridge regression; returns its accuracy."""
        front = embedding_model(self._tail)
        chosen = some_rows(len(self.train), RIDGE_IMAGES, self._recipe.seed)
        parts = np.array_split(chosen, -(-len(chosen) // ROWS))
        embeddings = [front.predict_on_batch(self.train.rows(part)) for part in parts]
        classifier = self._tail.get_layer(PREDICTIONS)
        return ridge_init(classifier, np.concatenate(embeddings), self._labels[chosen])
