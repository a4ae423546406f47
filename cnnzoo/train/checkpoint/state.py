"""What a training is at one moment: all that it takes to go on as if nothing happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import keras
import numpy as np
from keras import ops

from cnnzoo.errors import ResumeMismatchError
from cnnzoo.train.checkpoint import random_state

BEST = "best/"  # of the names of arrays that a callback keeps
# What Keras's callbacks remember, by the names of their attributes.
REMEMBERED = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


@runtime_checkable
class Remembers(Protocol):
    """A callback of which a checkpoint holds something."""

    def memory(self) -> dict:
        """What JSON can hold."""
        ...

    def remember(self, memory: dict) -> None: ...


@dataclass(frozen=True)
class Snapshot:
    """Attributes:
    arrays: of the model with the seeds of its Dropout, the optimiser, the metrics, and
        what the backend draws from.
    callbacks: kind and memory of each that remembers something.
    """

    arrays: Mapping[str, np.ndarray]
    callbacks: Sequence[tuple[str, dict]]

    @property
    def is_finite(self) -> bool:
        """Whether the model's weights are numbers."""
        return all(
            np.isfinite(array).all()
            for name, array in self.arrays.items()
            if name.startswith("model/") and array.dtype.kind == "f"
        )


@dataclass(frozen=True)
class Training:
    """All that changes while a model trains.

    Attributes:
        model: compiled.
        callbacks: in their order.
        averages: of the weights.
        within_epoch: whether the figures of an epoch under way belong to it.
    """

    model: keras.Model
    callbacks: Sequence[keras.callbacks.Callback]
    averages: Sequence[keras.Variable] = ()
    within_epoch: bool = True

    def take(self) -> Snapshot:
        """Everything as it is now."""
        arrays = {n: ops.convert_to_numpy(v) for n, v in self._variables().items()}
        arrays |= random_state.take() | self._best_weights()
        return Snapshot(arrays, [(k, _memory(c)) for k, c in self._remembering()])

    def put(self, snapshot: Snapshot, where: object) -> None:
        """Everything as it was then.

        Args:
            where: the snapshot's place, for messages.

        Raises:
            ResumeMismatchError: it is another training's; nothing is changed.
        """
        variables, remembering = self._variables(), self._remembering()
        here = {**variables, **random_state.take()}
        for name in [*here, *(n for n in snapshot.arrays if not n.startswith(BEST))]:
            _check(name, here.get(name), snapshot.arrays.get(name), where)
        expected = [kind for kind, _ in remembering]
        found = [kind for kind, _ in snapshot.callbacks]
        if found != expected:
            raise ResumeMismatchError(
                f"{where} does not fit this training: expected callbacks {expected}, "
                f"found {found[:20]}; give the same ones, or train into another folder"
            )
        for name, variable in variables.items():
            variable.assign(snapshot.arrays[name])
        random_state.put(snapshot.arrays)
        pairs = zip(remembering, snapshot.callbacks, strict=True)
        for (_, callback), (_, memory) in pairs:
            _remember(callback, memory)
        for prefix, callback in self._with_best_weights():
            best = [n for n in sorted(snapshot.arrays) if n.startswith(prefix)]
            callback.best_weights = [snapshot.arrays[n] for n in best] or None

    def _variables(self) -> dict[str, keras.Variable]:
        """All of them, by numbers: Keras's paths count the layers made before."""
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        parts = {
            "model": self.model.variables,
            "optimizer": optimizer.variables,
            "metrics": self.model.metrics_variables if self.within_epoch else (),
            "averages": self.averages,
        }
        return {
            f"{part}/{i:05d}": variable
            for part, variables in parts.items()
            for i, variable in enumerate(variables)
        }

    def _best_weights(self) -> dict[str, np.ndarray]:
        """Those that `EarlyStopping(restore_best_weights=True)` puts back at the end."""
        return {
            f"{prefix}{i:05d}": np.asarray(array)
            for prefix, callback in self._with_best_weights()
            for i, array in enumerate(callback.best_weights or ())
        }

    def _with_best_weights(self) -> list[tuple[str, keras.callbacks.EarlyStopping]]:
        """Such callbacks, each with how the names of its arrays begin."""
        return [
            (f"{BEST}{number:02d}/", callback)
            for number, callback in enumerate(self.callbacks)
            if isinstance(callback, keras.callbacks.EarlyStopping)
        ]

    def _remembering(self) -> list[tuple[str, keras.callbacks.Callback]]:
        return [
            (type(callback).__name__, callback)
            for callback in self.callbacks
            if has_memory(callback)
        ]


def has_memory(callback: keras.callbacks.Callback) -> bool:
    """Whether a checkpoint holds something of it."""
    return isinstance(callback, (Remembers, *REMEMBERED))


def _check(name: str, variable, array: np.ndarray | None, where: object) -> None:
    expected = None if variable is None else (tuple(variable.shape), str(variable.dtype))
    found = None if array is None else (array.shape, array.dtype.name)
    if expected != found:
        raise ResumeMismatchError(
            f"{where} does not fit this training: expected {_described(expected)} as "
            f"{name}, found {_described(found)}; train into another folder"
        )


def _described(facts: tuple | None) -> str:
    return "nothing" if facts is None else f"{facts[1]} of shape {facts[0]}"


def _memory(callback: keras.callbacks.Callback) -> dict:
    if isinstance(callback, Remembers):
        return callback.memory()
    return {name: _plain(getattr(callback, name)) for name in _remembered(callback)}


def _remember(callback: keras.callbacks.Callback, memory: dict) -> None:
    if isinstance(callback, Remembers):
        callback.remember(memory)
        return
    for name in _remembered(callback):
        setattr(callback, name, memory[name])


def _remembered(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return next(n for kind, n in REMEMBERED.items() if isinstance(callback, kind))


def _plain(value: object) -> object:
    """NumPy's numbers, and tensors, as Python's."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return np.asarray(value).item()
