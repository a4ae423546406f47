"""Models without models in them: copies of any graph with one input and one output."""

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor, layers, ops, tree

from cnnzoo.errors import UsageError
from cnnzoo.graph.keras_internals import graph_nodes, producer, runs_its_graph


def redraw(
    model: keras.Model,
    inputs: Sequence[KerasTensor],
    rename: Callable[[str], str],
    copies: dict[int, tuple[keras.Operation, keras.Operation]],
) -> list[KerasTensor]:
    """Calls copies of what a model and the models in it consist of on other tensors.

    Only the weights are not copied. Statistics that a `Normalization` has adapted to
    become its arguments.

    The `training=` that an inner model was called with is not kept: in `fit`, Keras up to
    3.15 does not obey it either.

    Args:
        model: Functional or built sequential model.
        inputs: One tensor per input of the model.
        rename: Function of a name that returns the name of the copy.
        copies: Operations and their copies, by id; those made here are added.

    Returns:
        One tensor per output of the model.

    Raises:
        UsageError: The model, or one in it, is subclassed and keeps no graph, or a layer
            has no config to copy it by.
    """
    if not runs_its_graph(model):
        raise UsageError(
            f"model {model.name!r} is a subclass with a call of its own, so its graph is "
            "unknown; expected a functional or sequential model, so write it as one"
        )
    values = {  # an inner model casts its inputs
        id(old): new if new.dtype == old.dtype else ops.cast(new, old.dtype)
        for old, new in zip(model.inputs, inputs, strict=True)
    }
    for node in graph_nodes(model):
        if not node.input_tensors:
            continue
        op = node.operation
        if isinstance(op, keras.Model):
            tensors = [values[id(tensor)] for tensor in node.input_tensors]
            outputs = redraw(op, tensors, rename, copies)
        else:
            if id(op) not in copies:
                copies[id(op)] = op, _copy(op, rename(op.name))
            args, kwargs = node.arguments.fill_in(values)
            outputs = tree.flatten(copies[id(op)][1](*args, **kwargs))
        values |= {id(t): new for t, new in zip(node.outputs, outputs, strict=True)}
    return [values[id(tensor)] for tensor in model.outputs]


def flat_copy(model: keras.Model) -> keras.Model:
    """A copy with its own weights, in which inner models are replaced by their layers.

    Its outputs are bit-equal. Layers keep their names, and `trainable`; of several with
    one name, as in different inner models, the later get a number.

    Raises:
        UsageError: As by `redraw`.
    """
    images = model.inputs[0]
    start = keras.Input(images.shape[1:], dtype=images.dtype, name=producer(images).name)
    names, copies = {start.name}, {}

    def unused(name: str) -> str:
        while name in names:
            name += "_1"
        names.add(name)
        return name

    output = redraw(model, [start], unused, copies)[0]
    flat = keras.Model(start, output, name=model.name)
    for old, new in copies.values():
        if getattr(new, "weights", ()):
            new.set_weights(old.get_weights())
    return flat


def _copy(op: keras.Operation, name: str) -> keras.Operation:
    try:
        config = {**op.get_config(), "name": name}
        if isinstance(op, layers.Normalization) and op.weights:
            mean, variance, _ = op.get_weights()
            config |= {"mean": mean.tolist(), "variance": variance.tolist()}
        return type(op).from_config(config)
    except Exception as error:  # a layer of the user's own may raise anything
        raise UsageError(
            f"the layer {op.name!r} cannot be copied ({type(error).__name__}); expected "
            f"a config that makes it again, so give {type(op).__name__} a get_config"
        ) from error
