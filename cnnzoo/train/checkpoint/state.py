"""Complete state of a training, from which it can be continued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import keras
import numpy as np
from keras import ops
from keras.callbacks import Callback, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

from cnnzoo.errors import ResumeMismatchError
from cnnzoo.graph.keras_internals import set_batch_count
from cnnzoo.system import files
from cnnzoo.train.callbacks import BestCheckpoint
from cnnzoo.train.checkpoint.store import CheckpointStore, StoredCheckpoint

BEST = "best/"  # prefix of the arrays that belong to a callback
STATE_ATTRIBUTES = {
    EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    ModelCheckpoint: ("best",),
}
"""Attributes of Keras's callbacks that are their state."""


@runtime_checkable
class Stateful(Protocol):
    """A callback whose state can be saved in a checkpoint."""

    def get_state(self) -> dict:
        """The state as JSON can hold it."""
        ...

    def set_state(self, state: dict) -> None: ...


@dataclass(frozen=True)
class TrainState:
    """The state of a training at one moment.

    Attributes:
        arrays: Variables of the model (with seeds of Dropout), the optimizer, the metrics
            and the EMA, and the states of the backend's random generators.
        callbacks: Class name and state of each callback that has one.
    """

    arrays: Mapping[str, np.ndarray]
    callbacks: Sequence[tuple[str, dict]]

    @property
    def is_finite(self) -> bool:
        """Whether all weights of the model are finite."""
        return all(
            np.isfinite(array).all()
            for name, array in self.arrays.items()
            if name.startswith("model/") and array.dtype.kind == "f"
        )


@dataclass(frozen=True)
class TrainingSession:
    """All objects that change while a model trains.

    Attributes:
        model: Compiled model.
        callbacks: Callbacks in their order.
        ema: Moving averages of the weights.
        within_epoch: Whether checkpoints are also written in the middle of an epoch,
            and so include the metrics so far.
    """

    model: keras.Model
    callbacks: Sequence[Callback]
    ema: Sequence[keras.Variable] = ()
    within_epoch: bool = True

    def capture(self) -> TrainState:
        """Returns the current state."""
        arrays = {n: ops.convert_to_numpy(v) for n, v in self._variables().items()}
        arrays |= generator_states() | self._best_weights()
        return TrainState(arrays, [(k, _get_state(c)) for k, c in self._stateful()])

    def restore(self, state: TrainState, where: object) -> None:
        """Restores a state.

        Args:
            state: State from `capture`.
            where: Location of the state, for messages.

        Raises:
            ResumeMismatchError: The state is of another training; nothing is changed.
        """
        variables, stateful = self._variables(), self._stateful()
        here = {**variables, **generator_states()}
        for name in [*here, *(n for n in state.arrays if not n.startswith(BEST))]:
            _check_array(name, here.get(name), state.arrays.get(name), where)
        expected = [kind for kind, _ in stateful]
        found = [kind for kind, _ in state.callbacks]
        if found != expected:
            raise ResumeMismatchError(
                f"{where} does not fit this training: expected callbacks {expected}, "
                f"found {found[:20]}; give the same ones, or train into another folder"
            )
        for name, variable in variables.items():
            variable.assign(state.arrays[name])
        set_generator_states(state.arrays)
        pairs = zip(stateful, state.callbacks, strict=True)
        for (_, callback), (_, values) in pairs:
            _set_state(callback, values)
        for prefix, callback in self._weight_keepers():
            best = [n for n in sorted(state.arrays) if n.startswith(prefix)]
            callback.best_weights = [state.arrays[n] for n in best] or None
        set_batch_count(self.callbacks, self.model.optimizer)

    def save(self, store: CheckpointStore, step: int, facts: Mapping) -> bool:
        """Adds a checkpoint to a store, unless weights of the model are not finite.

        Args:
            store: Store of this training.
            step: Number of the checkpoint.
            facts: Further values, which JSON can hold.

        Returns:
            Whether the checkpoint was written.
        """
        state = self.capture()
        if state.is_finite:  # weights can become NaN before the loss does
            store.write(step, state.arrays, {**facts, "callbacks": state.callbacks})
        return state.is_finite

    def load(self, store: CheckpointStore) -> StoredCheckpoint | None:
        """Restores the newest checkpoint and returns it; None if there is none.

        Raises:
            CheckpointError: All checkpoints are damaged.
            ResumeMismatchError: The checkpoints are of another training.
        """
        files.sweep(store.folder)  # temporary files of killed processes
        saved = store.newest()
        if saved is not None:
            state = TrainState(saved.arrays, saved.facts["callbacks"])
            self.restore(state, store.folder / saved.name)
        return saved

    def _variables(self) -> dict[str, keras.Variable]:
        """All variables by number, since Keras's paths depend on layers made before."""
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        parts = {
            "model": self.model.variables,
            "optimizer": optimizer.variables,
            "metrics": self.model.metrics_variables if self.within_epoch else (),
            "ema": self.ema,
        }
        return {
            f"{part}/{i:05d}": variable
            for part, variables in parts.items()
            for i, variable in enumerate(variables)
        }

    def _best_weights(self) -> dict[str, np.ndarray]:
        """The weights of the best epoch that callbacks keep."""
        return {
            f"{prefix}{i:05d}": np.asarray(array)
            for prefix, callback in self._weight_keepers()
            for i, array in enumerate(callback.best_weights or ())
        }

    def _weight_keepers(self) -> list[tuple[str, EarlyStopping | BestCheckpoint]]:
        """Callbacks that may hold weights, each with the prefix of its arrays."""
        return [
            (f"{BEST}{number:02d}/", callback)
            for number, callback in enumerate(self.callbacks)
            if isinstance(callback, EarlyStopping | BestCheckpoint)
        ]

    def _stateful(self) -> list[tuple[str, Callback]]:
        return [(type(c).__name__, c) for c in self.callbacks if is_stateful(c)]


def is_stateful(callback: Callback) -> bool:
    """Whether a checkpoint can hold the state of the callback."""
    return isinstance(callback, (Stateful, *STATE_ATTRIBUTES))


def generator_states() -> dict[str, np.ndarray]:
    """The states of PyTorch's random generators, which Keras's Dropout uses there.

    Other backends have none: the seed of a layer is one of the model's variables.
    """
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return {f"generator/{i:05d}": state.numpy() for i, state in enumerate(states)}


def set_generator_states(arrays: Mapping[str, np.ndarray]) -> None:
    """Restores PyTorch's random generators to states from `generator_states`."""
    if keras.backend.backend() != "torch":
        return
    import torch

    states = [torch.from_numpy(arrays[name].copy()) for name in generator_states()]
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(states[1:])


def _check_array(name: str, variable, array: np.ndarray | None, where: object) -> None:
    expected = None if variable is None else (tuple(variable.shape), str(variable.dtype))
    found = None if array is None else (array.shape, array.dtype.name)
    if expected != found:
        raise ResumeMismatchError(
            f"{where} does not fit this training: expected {_describe(expected)} as "
            f"{name}, found {_describe(found)}; train into another folder"
        )


def _describe(facts: tuple | None) -> str:
    return "nothing" if facts is None else f"{facts[1]} of shape {facts[0]}"


def _get_state(callback: Callback) -> dict:
    if isinstance(callback, Stateful):
        return callback.get_state()
    return {name: _plain(getattr(callback, name)) for name in _attributes(callback)}


def _set_state(callback: Callback, state: dict) -> None:
    if isinstance(callback, Stateful):
        callback.set_state(state)
        return
    for name in _attributes(callback):
        setattr(callback, name, state[name])


def _attributes(callback: Callback) -> tuple[str, ...]:
    return next(n for kind, n in STATE_ATTRIBUTES.items() if isinstance(callback, kind))


def _plain(value: object) -> object:
    """NumPy numbers and tensors as Python numbers."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return np.asarray(value).item()
