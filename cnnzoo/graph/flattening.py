"""Models without models in them: copies of any graph with one input and one output."""

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor, layers, tree

from cnnzoo.errors import UsageError
from cnnzoo.graph.keras_internals import graph_nodes, producer, runs_its_graph


def redraw(
    model: keras.Model,
    inputs: Sequence[KerasTensor],
    operation: Callable[[keras.Operation], keras.Operation] = lambda op: op,
) -> list[KerasTensor]:
    """Calls what a model consists of, and the models in it, on other tensors.

    The `training=` that an inner model was called with is not kept: in `fit`, Keras up to
    3.15 does not obey it either.

    Args:
        model: Functional or built sequential model.
        inputs: One tensor per input of the model.
        operation: Function of an operation that returns the one to call in its place.

    Returns:
        One tensor per output of the model.

    Raises:
        UsageError: The model, or one in it, is subclassed and keeps no graph.
    """
    if not runs_its_graph(model):
        raise UsageError(
            f"model {model.name!r} is a subclass with a call of its own, so its graph is "
            "unknown; expected a functional or sequential model, so write it as one"
        )
    values = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    for node in graph_nodes(model):
        if not node.input_tensors:
            continue
        if isinstance(node.operation, keras.Model):
            tensors = [values[id(tensor)] for tensor in node.input_tensors]
            outputs = redraw(node.operation, tensors, operation)
        else:
            args, kwargs = node.arguments.fill_in(values)
            outputs = tree.flatten(operation(node.operation)(*args, **kwargs))
        values |= {id(t): new for t, new in zip(node.outputs, outputs, strict=True)}
    return [values[id(tensor)] for tensor in model.outputs]


def flat_copy(model: keras.Model) -> keras.Model:
    """A copy with its own weights, in which inner models are replaced by their layers.

    Its outputs are bit-equal. Layers keep their names, and `trainable`; of several with
    one name, as in different inner models, the later get a number. The statistics that a
    `Normalization` has adapted to become its arguments.

    Raises:
        UsageError: The model is subclassed, or a layer has no config to copy it by.
    """
    images = model.inputs[0]
    start = keras.Input(images.shape[1:], dtype=images.dtype, name=producer(images).name)
    names, copies = {start.name}, {}

    def copied(op: keras.Operation) -> keras.Operation:
        if id(op) not in copies:
            name = op.name
            while name in names:
                name += "_1"
            names.add(name)
            copies[id(op)] = op, _copy(op, name)
        return copies[id(op)][1]

    flat = keras.Model(start, redraw(model, [start], copied)[0], name=model.name)
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
            f"the layer {op.name!r} cannot be copied ({str(error)[:300]}); expected a "
            f"config that makes it again, so give {type(op).__name__} a get_config"
        ) from error
