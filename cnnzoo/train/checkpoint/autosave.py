"""When a checkpoint is written, and how a signal ends a training."""

import time
from dataclasses import asdict

from cnnzoo.system.signals import Signals
from cnnzoo.train.checkpoint.state import Snapshot, Training
from cnnzoo.train.checkpoint.store import Store
from cnnzoo.train.loop import Position


class Ended(BaseException):
    """A signal asks for the end; no `except Exception` of a callback holds it up."""


class Keeper:
    """Keeps a training in a store: in time, and when a signal asks for the end.

    Attributes:
        position: how far the training has come.
        rejected: checkpoints that were damaged, each with the reason.
        seconds: that the training has taken, in all processes.
        cpu_seconds: of all their threads together, which others on the machine do not
            make longer.
    """

    def __init__(
        self,
        store: Store,
        training: Training,
        signals: Signals,
        *,
        steps: int,
        save_seconds: float,
    ):
        """Args:
        steps: of an epoch.
        save_seconds: how long after a checkpoint the next is written.
        """
        self.position = Position()
        self.rejected: tuple[str, ...] = ()
        self._store = store
        self._training = training
        self._signals = signals
        self._steps = steps
        self._save_seconds = save_seconds
        self._before = (0.0, 0.0)  # seconds of earlier processes, and of their CPU
        self._began = (time.monotonic(), time.process_time())
        self._saved_at = time.monotonic()
        self._saved: Position | None = None

    @property
    def seconds(self) -> float:
        return self._before[0] + time.monotonic() - self._began[0]

    @property
    def cpu_seconds(self) -> float:
        return self._before[1] + time.process_time() - self._began[1]

    def restore(self) -> None:
        """Puts the training back to the newest checkpoint, if there is one.

        Raises:
            CheckpointError: all are damaged, or another training's.
        """
        saved = self._store.newest()
        if saved is None:
            return
        snapshot = Snapshot(saved.arrays, saved.state["callbacks"])
        self._training.put(snapshot, self._store.folder / saved.name)
        self.position = self._saved = Position(**saved.state["position"])
        self._before = (saved.state["seconds"], saved.state["cpu_seconds"])
        self.rejected = saved.rejected

    def reached(self, position: Position) -> None:
        """Raises:
        Ended: a signal has arrived; everything is as it was at `position`.
        """
        self.position = position
        if time.monotonic() - self._saved_at >= self._save_seconds:
            self.save()
        self.look()

    def look(self) -> None:
        """Raises:
        Ended: a signal has arrived.
        """
        if self._signals.received is not None:
            raise Ended

    def save(self) -> None:
        """Writes where the training is; what is written already stays."""
        if self.position != self._saved:
            snapshot = self._training.take()
            if not snapshot.is_finite:  # a step to no number, which the next loss tells
                return
            state = {
                "position": asdict(self.position),
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
                "callbacks": snapshot.callbacks,
            }
            # An epoch that is over and one that is judged, too, are two positions.
            number = self.position.epoch * (self._steps + 1) + self.position.batch
            self._store.write(number, snapshot.arrays, state)
            self._saved = self.position
        self._saved_at = time.monotonic()
