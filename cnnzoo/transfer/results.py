"""The result of a transfer: the network, and the result of each phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files
from cnnzoo.train.callbacks import without_nan
from cnnzoo.train.cross_validation import Folds
from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.plans import Plan

FORMAT = 4  # format number of the records in the folder of a transfer
Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class PhaseResult:
    """The result of a phase.

    Attributes:
        name: Name of the phase.
        before: Validation accuracy before the phase, 0 to 1; None for the first.
        after: Validation accuracy after the phase, 0 to 1.
        alpha: Share of the way from the weights before the phase to those after it that
            the network went, 0 to 1: the most accurate on the validation images. At 0,
            the phase is undone, since no share kept the accuracy, or, for a guarded one,
            clearly raised it.
        seconds: Duration in the process that finished the phase.
        learning_rate: Learning rate of the last stage and the classifier.
        trainable: Number of parameters that were trained.
        frozen: Number of weight arrays that were proven unchanged, byte by byte.
        history: Metrics of every epoch, as Keras names them.
        failure: Reason why the phase has no accuracy; None if it has one.
        computed: Number of feature rows that were computed.
        reused: Number of feature rows that were read from the cache.
        batch_norm_adapted: Whether batch normalization has the statistics of these
            images.
        epochs: Number of epochs of the best weights; 0 for the ridge regression as it is.
        ridge: Accuracy, on images that it was not fitted to, of the ridge regression that
            the classifier started from; None where it did not.
    """

    name: str
    before: float | None
    after: float
    alpha: float = 1.0
    seconds: float = 0.0
    learning_rate: float
    trainable: int
    frozen: int
    history: Mapping[str, list[float]]
    failure: str | None = None
    computed: int = 0
    reused: int = 0
    batch_norm_adapted: bool = False
    epochs: int = 0
    ridge: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the phase changed the network."""
        return self.alpha > 0

    @property
    def end(self) -> str:
        """What became of the weights of the phase."""
        if self.kept:
            return "kept" if self.alpha == 1 else f"{100 * self.alpha:.0f} % of it kept"
        return f"undone, since {self.failure or 'it was no better'}"

    def to_dict(self) -> dict:
        """The fields as JSON has them, with None for NaN."""
        return {**asdict(self), "history": without_nan(self.history)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PhaseResult:
        """The result that `to_dict` described."""
        return cls(**record)

    def __str__(self) -> str:
        if self.failure:
            return f"{self.name}: {self.end}"
        before = "" if self.before is None else f"{100 * self.before:.1f} to "
        adapted = ", batch normalization adapted" if self.batch_norm_adapted else ""
        end = "" if self.alpha == 1 else f"; {self.end}"
        return (
            f"{self.name}: {before}{100 * self.after:.1f} % validation accuracy, "
            f"{self.seconds:.0f} s, {self.trainable:,} parameters trained, {self.frozen} "
            f"arrays proven frozen{adapted}{end}"
        )


@dataclass(frozen=True)
class Result:
    """A network for the classes of a data set.

    Attributes:
        model: Flat model, compiled with stock Keras objects, ready for `cnnzoo.save`.
        plan: The plan that was carried out.
        assessment: The evidence for the plan; None for a plan of the caller's own.
        phases: Result of each phase.
        folds: Cross-validation by which the settings of the plan were chosen, for a
            network that was trained on all images, by `kfold`; else None.
    """

    model: keras.Model
    plan: Plan
    assessment: Assessment | None
    phases: tuple[PhaseResult, ...]
    folds: Folds | None = None

    @property
    def accuracy(self) -> float:
        """Validation accuracy, 0 to 1; slightly optimistic, since it chose the epochs.

        After a cross-validation, it is that of the folds, which is not.
        """
        if self.folds:
            return self.folds.evaluation.accuracy
        return next(phase.after for phase in reversed(self.phases) if phase.kept)

    def __str__(self) -> str:
        done = [self.folds.evaluation.summary] if self.folds else map(str, self.phases)
        return "\n".join([str(self.plan), *done])


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as JSON with its format number."""
    files.write_json(path, {"format": FORMAT, **record})


def read_record(path: Path, make: Callable[[dict], Record], remedy: str) -> Record:
    """Reads what `write_record` wrote.

    Args:
        path: Path of the file.
        make: Function that makes a value of the record.
        remedy: What to do about a bad file.

    Raises:
        CheckpointError: The file is damaged or has another format.
    """
    bad = CheckpointError(f"cannot read {path}, which is damaged; {remedy}")
    with files.refusing_damage(bad):
        record = files.read_json(path)
        files.check_format(path, record, FORMAT, CheckpointError, remedy)
        return make({k: value for k, value in record.items() if k != "format"})
