"""Fine-tuning near the pretrained weights: layer-wise learning-rate decay, and L2-SP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import keras
from keras import ops

from cnnzoo import graph
from cnnzoo.graph.keras_internals import graph_nodes, producer, scale_updates


def layerwise_lr_decay(model: keras.Model, decay: float) -> None:
    """Sets a learning rate per stage in the model's optimizer; call it after `compile`.

    The classifier and the last stage have the optimizer's rate, and each earlier stage
    has `decay` times the rate of the next. The optimizer remains a stock Keras object.
    """
    scale_updates(model.optimizer, _scales(model, decay))


def _scales(model: keras.Model, decay: float) -> list[float]:
    """A factor per trainable weight, in the optimizer's order."""
    stages = list(graph.stages(model).values())
    ends = [producer(tensor).name for tensor in stages]
    depth: dict[str, int] = {}  # number of stage ends before a layer
    for place, end in enumerate(ends):
        for name in graph.ancestors(model, end):
            depth.setdefault(name, place)
    last = len(ends) - 1
    of: Mapping[int, float] = {
        id(weight): decay ** (last - min(last, depth.get(layer.name, last)))
        for layer in model.layers
        for weight in layer.weights
    }
    return [of[id(weight)] for weight in model.trainable_variables]


@contextmanager
def l2_sp(model: keras.Model, decay: float | None) -> Iterator[None]:
    """Context with an L2 penalty on the change of weights from their values now (L2-SP).

    Classifiers are excluded, since they are not pretrained: Li et al. 2018,
    https://arxiv.org/abs/1802.01483, section 3.
    """
    if decay is None:
        yield
        return
    ends = {id(output) for output in model.outputs}
    excluded = {
        id(weight)
        for node in graph_nodes(model)
        if any(id(output) in ends for output in node.outputs)
        for weight in getattr(node.operation, "weights", ())
    }
    held = [weight for weight in model.trainable_weights if id(weight) not in excluded]
    before = [weight.regularizer for weight in held]
    for weight in held:
        weight.regularizer = _FromStart(decay, ops.convert_to_numpy(weight))
    try:
        yield
    finally:
        for weight, regularizer in zip(held, before, strict=True):
            weight.regularizer = regularizer


class _FromStart(keras.Regularizer):
    def __init__(self, decay: float, start):
        self._decay = decay
        self._start = start

    def __call__(self, x):
        start = ops.convert_to_tensor(self._start, x.dtype)
        return self._decay * ops.sum(ops.square(x - start))
