"""Checkpoints for a plain `model.fit`."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from weakref import WeakValueDictionary

import keras

from cnnzoo.errors import UsageError
from cnnzoo.graph.keras_internals import set_initial_epoch
from cnnzoo.system.locks import folder_lock
from cnnzoo.train.checkpoint.state import Snapshot, Training, has_memory
from cnnzoo.train.checkpoint.store import Store


class _Held(ExitStack):
    """What a `fit` holds while it goes on, and the thread in which that is."""

    thread = threading.main_thread()


# Who trains in which folder here: what an error ended inside `fit` never heard of it.
_OPEN: WeakValueDictionary[Path, _Held] = WeakValueDictionary()


class Checkpoint(keras.callbacks.Callback):
    """Lets `fit` go on after a kill, from the last epoch that was over.

    Give it as the last of the callbacks, and call the same `fit` again: it begins with
    the epoch after that. Weights, optimiser, seeds of Dropout and what the callbacks
    remember are as they were. The order of arrays is Keras's own and is not kept, so the
    end is as good as that of an untouched training, not the same; for that there is
    `Run`.

    Attributes:
        epoch: how many epochs are over in the newest checkpoint.
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
        callbacks: others of this `fit` that shall remember: EarlyStopping,
            ReduceLROnPlateau, ModelCheckpoint, or with `memory()` and `remember(memory)`.
        save_seconds: how long after a checkpoint the next is written.

        Raises:
            UsageError: one of them has nothing that can be remembered.

        Raises (from `fit`):
            CheckpointError: another process trains there, or all checkpoints are bad.
            ResumeMismatchError: the folder holds another model's training.
            SaveError: the folder cannot be written.
        """
        super().__init__()
        for callback in callbacks:
            if not has_memory(callback):
                raise UsageError(
                    f"a checkpoint can hold nothing of {type(callback).__name__}: "
                    "expected one of Keras's that remembers, or the methods memory() and "
                    "remember(memory), so give it to fit alone"
                )
        self.epoch = 0
        self._store = Store(folder)
        self._callbacks = tuple(callbacks)
        self._save_seconds = save_seconds
        self._saved_at = -inf
        self._open = _Held()

    def on_train_begin(self, logs: dict | None = None) -> None:
        _take_over(self._store.folder, self._open)
        try:
            self._open.enter_context(folder_lock(self._store.folder))
            self._go_on()
        except BaseException:
            self._open.close()
            raise

    def _go_on(self) -> None:
        self._saved_at = monotonic() if self._save_seconds else -inf
        saved = self._store.newest()
        if saved is None:
            return
        snapshot = Snapshot(saved.arrays, saved.state["callbacks"])
        self._training().put(snapshot, self._store.folder / saved.name)
        self.epoch = saved.step
        is_over = saved.state.get("stopped", False)
        set_initial_epoch(self.model, self.params["epochs"] if is_over else self.epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not isfinite((logs or {}).get("loss", 0.0)):
            return  # the last good one stays
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if monotonic() - self._saved_at < self._save_seconds and not is_last:
            return
        taken = self._training().take()
        if not taken.is_finite:  # a step to no number, which no loss has told yet
            return
        self.epoch, self._saved_at = epoch + 1, monotonic()
        state = {"callbacks": taken.callbacks, "stopped": self.model.stop_training}
        self._store.write(self.epoch, taken.arrays, state)

    def on_train_end(self, logs: dict | None = None) -> None:
        set_initial_epoch(self.model, None)
        self._open.close()

    def _training(self) -> Training:
        return Training(self.model, self._callbacks, within_epoch=False)


def _take_over(folder: Path, new: _Held) -> None:
    """Closes what an earlier `fit` of this process has left open.

    One that may still go on, in another thread, keeps what it holds.
    """
    place, here = folder.resolve(), threading.current_thread()
    before = _OPEN.get(place)
    if before and before.thread is not here and before.thread.is_alive():
        return
    if before:
        before.close()
    new.thread = here
    _OPEN[place] = new
