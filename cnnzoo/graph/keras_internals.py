"""What is read of Keras's private API, here and in `fast/` alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MethodType

import keras
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional

from cnnzoo.errors import UsageError

PENDING = "uninitialized_variables"  # Keras's list of variables still without memory


def graph_nodes(model: keras.Model) -> list:
    """The calls that make up the model's graph, each after those it depends on.

    A node has `operation`, `input_tensors`, `outputs` and `arguments`.

    Raises:
        UsageError: The model keeps no graph.
    """
    functional = getattr(model, "_functional", None) or model  # a Sequential's own
    by_depth = getattr(functional, "_nodes_by_depth", None)
    if by_depth is None:
        raise UsageError(
            f"model {model.name!r} has no graph to read; expected a functional or a "
            f"built sequential model, got a {type(model).__name__}"
        )
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def operations(model: keras.Model) -> list[keras.Operation]:
    """The model's operations in the graph's order, those of nested models included."""
    found = []
    for node in graph_nodes(model):
        op = node.operation
        found += operations(op) if isinstance(op, keras.Model) else [op]
    return found


def runs_its_graph(model: keras.Model) -> bool:
    """Whether a call of the model runs its graph, not a `call` of the user's class."""
    return type(model).call in (Functional.call, keras.Sequential.call)


def flatten_layers(layers: Sequence[keras.Layer]) -> list[keras.Layer]:
    """The layers and all layers inside them."""
    return [part for layer in layers for part in layer._flatten_layers()]


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Tells `fit` where to begin, as Keras's BackupAndRestore does; None for 0."""
    model._initial_epoch = epoch


def set_batch_count(
    callbacks: Sequence[keras.callbacks.Callback], optimizer: keras.Optimizer
) -> None:
    """Lets each TensorBoard, which began to count batches at 0, go on at the optimizer's.

    These are more than its `iterations` if it accumulates the gradients of several.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss scale
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard):
            callback._global_train_batch = int(inner._iterations)


def producer(tensor: keras.KerasTensor) -> keras.Operation:
    """The operation whose output a tensor of a graph is."""
    return tensor._keras_history.operation


def scale_updates(optimizer: keras.Optimizer, scales: Sequence[float]) -> None:
    """Scales the learning rate of each variable; the optimizer's class stays the same.

    Args:
        scales: One factor per variable that the optimizer updates, in its order.
    """

    def scale_of(variable) -> float:
        return scales[optimizer._get_variable_index(variable)]

    if hasattr(optimizer, "_parallel_update_step"):  # on PyTorch: all variables at once
        steps = optimizer._parallel_update_step

        def scaled_together(self, gradients, variables, learning_rate):
            for scale in sorted(set(map(scale_of, variables))):
                pairs = zip(gradients, variables, strict=True)
                mine = [(g, v) for g, v in pairs if scale_of(v) == scale]
                steps(*map(list, zip(*mine, strict=True)), learning_rate * scale)

        optimizer._parallel_update_step = MethodType(scaled_together, optimizer)
        return
    step = optimizer.update_step

    def scaled(self, gradient, variable, learning_rate):
        step(gradient, variable, learning_rate * scale_of(variable))

    optimizer.update_step = MethodType(scaled, optimizer)


@contextmanager
def init_empty_weights() -> Iterator[None]:
    """Layers that are built inside have shapes and never get memory for their weights.

    Keras notes their variables, and the next scope to end, such as the one in which it
    infers the shapes of a layer, would allocate all of them: gigabytes after a look at
    the catalog. So they are taken off its list.
    """
    before = len(_pending())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del _pending()[before:]


def _pending() -> list:
    return global_state.get_global_attribute(PENDING, [], set_to_default=True)
