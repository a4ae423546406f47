"""Checkpoints for a plain `model.fit`."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from warnings import warn
from weakref import WeakValueDictionary

import keras
import numpy as np
from keras.callbacks import TensorBoard

from cnnzoo.errors import UsageError
from cnnzoo.graph.keras_internals import set_initial_epoch
from cnnzoo.system.locks import folder_lock
from cnnzoo.train.callbacks import check_callbacks
from cnnzoo.train.checkpoint.state import TrainingSession, is_stateful
from cnnzoo.train.checkpoint.store import CheckpointStore


class _FitResources(ExitStack):
    """Resources that a `fit` holds while it runs, and its thread."""

    thread = threading.main_thread()


# Running fits by folder, since Keras does not notify callbacks of an error in `fit`.
_RUNNING: WeakValueDictionary[Path, _FitResources] = WeakValueDictionary()


class Checkpoint(keras.callbacks.Callback):
    """Lets `fit` continue after an interruption, from the last completed epoch.

    Pass it as the last callback, and call the same `fit` again, which starts with the
    next epoch. Weights, optimizer, seeds of Dropout, the history of all epochs and the
    state of the callbacks are restored. Keras's order of shuffled arrays is not, so the
    result is as good as that of an uninterrupted training but not identical; use `Run`
    for that.

    Attributes:
        epoch: Number of completed epochs at the newest checkpoint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        save_seconds: float = 0.0,
    ):
        """Args:
        folder: Folder of this training alone, created if missing.
        callbacks: Other callbacks of this `fit` whose state is saved: EarlyStopping,
            ReduceLROnPlateau, ModelCheckpoint, TensorBoard (its number of batches), or
            one with `get_state()` and `set_state(state)`.
        save_seconds: Minimum number of seconds between two checkpoints.

        Raises:
            UsageError: The callbacks are no list, or the state of one cannot be saved.

        Raises (from `fit`):
            CheckpointError: Another process uses the folder, or no checkpoint is sound.
            ResumeMismatchError: The folder contains the training of another model.
            SaveError: The folder cannot be written.
        """
        super().__init__()
        callbacks = check_callbacks(callbacks)
        for callback in callbacks:
            if not (is_stateful(callback) or isinstance(callback, TensorBoard)):
                raise UsageError(
                    f"a checkpoint cannot hold the state of {type(callback).__name__}: "
                    "expected EarlyStopping, ReduceLROnPlateau, ModelCheckpoint, "
                    "TensorBoard, or the methods get_state() and set_state(state), so "
                    "pass it to fit alone"
                )
        self.epoch = 0
        self._store = CheckpointStore(folder)
        self._callbacks = tuple(callbacks)
        self._save_seconds = save_seconds
        self._saved_at = -inf
        self._resources = _FitResources()
        self._epochs: list = []  # pairs of number and metrics
        self._not_in_history: list = []  # those of an earlier `fit`

    def on_train_begin(self, logs: dict | None = None) -> None:
        _take_over(self._store.folder, self._resources)
        try:
            lock = folder_lock(self._store.folder)
            self._lock = self._resources.enter_context(lock)
            self._restore()
        except BaseException:
            self._resources.close()
            raise

    def _restore(self) -> None:
        self._saved_at = monotonic() if self._save_seconds else -inf
        saved = self._session().load(self._store)
        self._epochs = saved.facts.get("epochs", []) if saved else []
        self._not_in_history = list(self._epochs)
        if saved is None:
            return
        self.epoch = saved.step
        for reason in saved.rejected:
            warn(f"{self._store.folder}: ignored {reason}", RuntimeWarning, stacklevel=2)
        is_over = saved.facts.get("stopped", False)
        set_initial_epoch(self.model, self.params["epochs"] if is_over else self.epoch)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Gives Keras's History the epochs of earlier calls of `fit`."""
        for number, metrics in self._not_in_history:
            self.model.history.on_epoch_end(number, metrics)
        self._not_in_history = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        metrics = {name: np.asarray(v).tolist() for name, v in (logs or {}).items()}
        self._epochs.append((epoch, metrics))
        if not isfinite((logs or {}).get("loss", 0.0)):
            return  # the last good checkpoint is kept
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if monotonic() - self._saved_at < self._save_seconds and not is_last:
            return
        facts = {"stopped": self.model.stop_training, "epochs": self._epochs}
        self._lock.check()
        if self._session().save(self._store, epoch + 1, facts):
            self.epoch, self._saved_at = epoch + 1, monotonic()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.on_epoch_begin(self.epoch)  # where no epoch was left
        set_initial_epoch(self.model, None)
        self._resources.close()

    def _session(self) -> TrainingSession:
        return TrainingSession(self.model, self._callbacks, within_epoch=False)


def _take_over(folder: Path, new: _FitResources) -> None:
    """Releases the resources of an earlier `fit` of this process.

    A `fit` that may still run in another thread keeps its resources.
    """
    place, here = folder.resolve(), threading.current_thread()
    before = _RUNNING.get(place)
    if before and before.thread is not here and before.thread.is_alive():
        return
    if before:
        before.close()
    new.thread = here
    _RUNNING[place] = new
