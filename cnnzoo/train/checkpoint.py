"""Checkpoints for a plain `model.fit`."""

from collections.abc import Sequence
from contextlib import ExitStack
from math import inf, isfinite
from pathlib import Path
from time import monotonic

import keras

from cnnzoo.train.lock import locked
from cnnzoo.train.snapshot import Snapshot, Training
from cnnzoo.train.store import Store


class Checkpoint(keras.callbacks.Callback):
    """Lets `fit` go on after a kill, from the last epoch that was over.

    Give it as the last of the callbacks, and call the same `fit` again: it begins with
    the epoch after that. Weights, optimiser, seeds of Dropout and what the callbacks
    remember are as they were. The order of arrays is Keras's own and is not kept, so the
    end is as good as that of an untouched training, not the same; for that there is
    `Run`.

    Attributes:
        epoch: how many epochs are over.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        save_seconds: float = 0.0,
    ):
        """Args:
        folder: made if missing; for this training alone.
        callbacks: others of this `fit`, such as EarlyStopping, that shall remember.
        save_seconds: how long after a checkpoint the next is written.

        Raises (from `fit`):
            CheckpointError: another process trains there, or all checkpoints are bad.
            ResumeMismatchError: the folder holds another model's training.
            SaveError: the folder cannot be written.
        """
        super().__init__()
        self.epoch = 0
        self._store = Store(folder)
        self._callbacks = tuple(callbacks)
        self._save_seconds = save_seconds
        self._saved_at = -inf
        self._open = ExitStack()

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._open.close()  # after a `fit` that an error ended
        self._open.enter_context(locked(self._store.folder))
        self._saved_at = monotonic() if self._save_seconds else -inf
        saved = self._store.newest()
        if saved is None:
            return
        snapshot = Snapshot(saved.arrays, saved.state["callbacks"])
        self._training().put(snapshot, self._store.folder / saved.name)
        self.epoch = saved.step
        # The way of Keras's own BackupAndRestore to tell `fit` where to begin.
        self.model._initial_epoch = self.epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not isfinite((logs or {}).get("loss", 0.0)):
            return  # the last good one stays
        self.epoch = epoch + 1
        if monotonic() - self._saved_at < self._save_seconds:
            return
        self._saved_at = monotonic()
        taken = self._training().take()
        self._store.write(self.epoch, taken.arrays, {"callbacks": taken.callbacks})

    def on_train_end(self, logs: dict | None = None) -> None:
        self.model._initial_epoch = None
        self._open.close()

    def _training(self) -> Training:
        return Training(self.model, self._callbacks, within_epoch=False)
