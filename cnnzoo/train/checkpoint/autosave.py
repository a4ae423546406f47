"""Periodic checkpoints of a run, and its end by a signal."""

import time
from dataclasses import asdict, dataclass

from cnnzoo.system.locks import FolderLock
from cnnzoo.system.signals import Signals
from cnnzoo.train.checkpoint.state import TrainingSession
from cnnzoo.train.checkpoint.store import CheckpointStore


class TrainingInterrupt(BaseException):
    """A signal ends the training; `except Exception` in callbacks does not catch it."""


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training.

    Attributes:
        epoch: Number of the current epoch, from 0.
        batch: Number of completed batches of the epoch.
        metrics: Training metrics of the epoch if only its validation is left, or None.
        stopped: Whether a callback has stopped the training.
    """

    epoch: int = 0
    batch: int = 0
    metrics: dict[str, float] | None = None
    stopped: bool = False

    def is_over(self, epochs: int) -> bool:
        """Whether a training with this number of epochs is complete."""
        return self.epoch >= epochs or (self.stopped and self.metrics is None)

    def __str__(self) -> str:
        return f"{self.epoch} epochs and {self.batch} batches"


@dataclass
class Autosave:
    """Saves a training periodically, and stops it when a signal arrives.

    Attributes:
        store: Store of the checkpoints.
        session: Training to be saved.
        signals: Signals that this process has received.
        lock: Lock of the folder of the training.
        steps: Number of batches per epoch.
        save_seconds: Seconds between two checkpoints.
        progress: Progress of the training.
        rejected: Checkpoints that were damaged, each with the reason.
    """

    store: CheckpointStore
    session: TrainingSession
    signals: Signals
    lock: FolderLock
    steps: int
    save_seconds: float
    progress: TrainingProgress = TrainingProgress()
    rejected: tuple[str, ...] = ()

    def __post_init__(self):
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
        """CPU time of all threads, which does not depend on other programs."""
        return self._earlier[1] + time.process_time() - self._start[1]

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one.

        Raises:
            CheckpointError: All checkpoints are damaged.
            ResumeMismatchError: The checkpoints are of another training.
        """
        saved = self.session.load(self.store)
        if saved is None:
            return
        self.progress = self._saved = TrainingProgress(**saved.facts["progress"])
        self._earlier = (saved.facts["seconds"], saved.facts["cpu_seconds"])
        self.rejected = saved.rejected

    def update(self, progress: TrainingProgress) -> None:
        """Records the progress, and saves a checkpoint if one is due.

        The first one is due before the first validation, so that there is a checkpoint
        wherever there is a model of a best epoch.

        Raises:
            TrainingInterrupt: A signal has arrived.
            CheckpointError: The lock file was removed.
        """
        self.progress = progress
        is_first = self._saved is None and progress.metrics is not None
        if is_first or time.monotonic() - self._saved_at >= self.save_seconds:
            self.save()
        self.check()

    def check(self) -> None:
        """Raises TrainingInterrupt after a signal, CheckpointError without the lock."""
        self.lock.check()
        if self.signals.received is not None:
            raise TrainingInterrupt

    def save(self) -> None:
        """Saves the training, unless it is saved already or no longer finite."""
        self.lock.check()
        if self.progress != self._saved:
            facts = {
                "progress": asdict(self.progress),
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
            }
            # The end of an epoch's batches and that of its validation are two steps.
            step = self.progress.epoch * (self.steps + 1) + self.progress.batch
            if not self.session.save(self.store, step, facts):
                return
            self._saved = self.progress
        self._saved_at = time.monotonic()
