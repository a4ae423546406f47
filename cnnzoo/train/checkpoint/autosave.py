"""When a run writes a checkpoint, and how a signal ends it."""

import time
from dataclasses import asdict, dataclass

from cnnzoo.system.signals import Signals
from cnnzoo.train.checkpoint.state import TrainingSession
from cnnzoo.train.checkpoint.store import CheckpointStore


class TrainingInterrupt(BaseException):
    """A signal ends the training; no `except Exception` of a callback stops it."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training has come.

    Attributes:
        epoch: Number of the current epoch, from 0.
        batch: Number of its batches that are done.
        metrics: Metrics of the epoch once all batches are done; validation follows.
        stopped: Whether a callback has stopped the training.
    """

    epoch: int = 0
    batch: int = 0
    metrics: dict[str, float] | None = None
    stopped: bool = False

    def is_over(self, epochs: int) -> bool:
        """Whether nothing is left of a training of so many epochs."""
        return self.epoch >= epochs or (self.stopped and self.metrics is None)

    def __str__(self) -> str:
        return f"{self.epoch} epochs and {self.batch} batches"


class Autosave:
    """Saves a training from time to time, and when a signal asks for its end.

    Attributes:
        progress: How far the training has come.
        rejected: Checkpoints that were damaged, each with the reason.
    """

    def __init__(
        self,
        store: CheckpointStore,
        session: TrainingSession,
        signals: Signals,
        *,
        steps: int,
        save_seconds: float,
    ):
        """Args:
        store: Store of the checkpoints.
        session: Training to be saved.
        signals: Signals that this process has received.
        steps: Number of batches per epoch.
        save_seconds: Seconds between two checkpoints.
        """
        self.progress = TrainingProgress()
        self.rejected: tuple[str, ...] = ()
        self._store = store
        self._session = session
        self._signals = signals
        self._steps = steps
        self._save_seconds = save_seconds
        self._earlier = (0.0, 0.0)  # seconds and CPU seconds of earlier processes
        self._start = (time.monotonic(), time.process_time())
        self._saved_at = time.monotonic()
        self._saved: TrainingProgress | None = None

    @property
    def seconds(self) -> float:
        """Duration of the training in all processes."""
        return self._earlier[0] + time.monotonic() - self._start[0]

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all threads, which other programs do not make longer."""
        return self._earlier[1] + time.process_time() - self._start[1]

    def restore(self) -> None:
        """Puts the training back to the newest checkpoint, if there is one.

        Raises:
            CheckpointError: All checkpoints are damaged.
            ResumeMismatchError: They are another training's.
        """
        saved = self._session.load(self._store)
        if saved is None:
            return
        self.progress = self._saved = TrainingProgress(**saved.facts["progress"])
        self._earlier = (saved.facts["seconds"], saved.facts["cpu_seconds"])
        self.rejected = saved.rejected

    def update(self, progress: TrainingProgress) -> None:
        """Notes the progress, and saves where a checkpoint is due.

        Raises:
            TrainingInterrupt: A signal has arrived.
        """
        self.progress = progress
        if time.monotonic() - self._saved_at >= self._save_seconds:
            self.save()
        self.check_signals()

    def check_signals(self) -> None:
        """Raises TrainingInterrupt where a signal has arrived."""
        if self._signals.received is not None:
            raise TrainingInterrupt

    def save(self) -> None:
        """Saves the training, unless it is saved already or no longer finite."""
        if self.progress != self._saved:
            facts = {
                "progress": asdict(self.progress),
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
            }
            # The end of an epoch's batches and that of its validation are two steps.
            step = self.progress.epoch * (self._steps + 1) + self.progress.batch
            if not self._session.save(self._store, step, facts):
                return
            self._saved = self.progress
        self._saved_at = time.monotonic()
