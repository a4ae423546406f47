"""What stays as it is while the rest of a network learns, and the proof that it stayed.

On Keras 3.0 to 3.15 `base(x, training=False)` keeps neither batch normalisation nor
dropout from learning inside `fit`, and a layer's `trainable = True` resets those inside
it. So flags are set layer by layer, batch normalisation last, and nothing is believed:
`check_frozen` compares bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from types import MethodType
from typing import Literal, get_args

import keras
from keras import layers, ops
from keras.layers import BatchNormalization

from cnnzoo import graph
from cnnzoo.errors import TrainingError, UsageError, unknown
from cnnzoo.fast import accelerate
from cnnzoo.graph.keras_internals import flatten_layers, graph_nodes

Norm = Literal["frozen", "affine", "train"]
# What is random in training, or moves what it does not learn. Layers that make random
# versions of images are no part of this: who has them in a model wants them there.
AT_INFERENCE = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.AlphaDropout,
    layers.GaussianNoise,
    layers.SpectralNormalization,
)


@dataclass(frozen=True)
class FreezeReport:
    """What was frozen, and its weights as they were.

    Attributes:
        until: the last frozen layer; None where none is.
        norm: what batch normalisation does there.
        frozen: the layers of which no weight learns.
        trainable: how many numbers learn.
        total: how many numbers there are.
        hashes: SHA-256 of every weight that must not change, by its place and path.
    """

    until: str | None
    norm: Norm
    frozen: tuple[str, ...]
    trainable: int
    total: int
    hashes: Mapping[str, str]

    def __str__(self) -> str:
        share = 100 * self.trainable / max(1, self.total)
        where = f"up to {self.until}" if self.until else "nowhere"
        return (
            f"frozen {where}: {len(self.frozen)} layers, batch normalisation "
            f"{self.norm}; {self.trainable:,} of {self.total:,} numbers learn "
            f"({share:.1f} %)"
        )


def freeze(
    model: keras.Model,
    until: str | None = None,
    *,
    norm: Norm | None = None,
    behind: Norm = "train",
) -> FreezeReport:
    """Freezes a layer and all that it depends on; what is behind it learns.

    A model that was compiled is compiled again, with a new optimiser of the settings
    that Keras writes down, which leave out `exclude_from_weight_decay`; a layer's own
    earlier flags are forgotten.

    Args:
        until: the last layer to freeze; None freezes none.
        norm: of batch normalisation in the frozen part, or everywhere where `until` is
            None: "frozen" keeps its statistics, scales and offsets; "affine" lets
            scales and offsets learn and keeps the statistics; "train" lets all learn.
            None for "frozen" in a frozen part, and "train" where there is none.
            Dropout, noise and spectral normalisation are there as at inference.
        behind: of batch normalisation behind the frozen part.

    Returns:
        What `check_frozen` compares with.

    Raises:
        UsageError: there is no such layer or mode, the layer is called at several
            places, or what the model was compiled with cannot be made anew; nothing has
            changed then.
    """
    norm = norm or ("frozen" if until is not None else "train")
    for mode in (norm, behind):
        if mode not in get_args(Norm):
            raise unknown("mode of batch normalisation", mode, get_args(Norm))
    inside = set(graph.ancestors(model, until)) if until is not None else set()
    _check_once(model, until)
    held = [layer for layer in model.layers if layer.name in inside]
    arguments = _compiled(model)
    _unfreeze(model)
    for layer in held:
        layer.trainable = False  # and what is in it
    parts = flatten_layers(held)
    for layer in parts:
        if isinstance(layer, AT_INFERENCE):
            layer.call = MethodType(_at_inference, layer)
    inner = {id(layer) for layer in parts}
    for layer in flatten_layers(model.layers):
        if isinstance(layer, BatchNormalization):
            within = until is None or id(layer) in inner
            _set_norm(layer, norm if within else behind)
    if arguments is not None:
        model.compile(**arguments)
    return _report(model, until, norm)


def unfreeze(model: keras.Model) -> None:
    """Lets every layer learn again, as it was built; compiles anew what was compiled."""
    arguments = _compiled(model)
    _unfreeze(model)
    if arguments is not None:
        model.compile(**arguments)


def check_frozen(before: FreezeReport, model: keras.Model) -> None:
    """Compares every frozen weight with what it was, byte by byte.

    Raises:
        TrainingError: one has changed.
    """
    now = _hashes(model.weights)
    changed = [name for name, digest in before.hashes.items() if now.get(name) != digest]
    if changed:
        raise TrainingError(
            f"{len(changed)} frozen weights of {model.name!r} have changed, such as "
            f"{changed[0]}; load the weights anew, and freeze them after compiling"
        )


def _unfreeze(model: keras.Model) -> None:
    model.trainable = True  # or nothing in it learns, whatever its own flag
    for layer in flatten_layers(model.layers):
        layer.trainable = True
        if _is_ours(vars(layer).get("call")):
            del layer.call
    if "compile" in vars(model):  # it was accelerated, and ours took the place of that
        accelerate(model)


def _check_once(model: keras.Model, until: str | None) -> None:
    """Raises UsageError for a layer that is called at several places."""
    calls = [node.operation.name for node in graph_nodes(model)].count(until)
    if calls > 1:
        raise UsageError(
            f"{model.name!r} calls the layer {until!r} {calls} times, so nobody knows up "
            "to where to freeze; name another, or use a layer of its own at each place"
        )


def _set_norm(layer: BatchNormalization, norm: Norm) -> None:
    layer.trainable = norm != "frozen"
    if norm == "affine":
        layer.call = MethodType(_by_statistics, layer)


def _at_inference(self, inputs, training=False):
    return type(self).call(self, inputs, training=False)


def _by_statistics(self, inputs, training=False, mask=None):
    return type(self).call(self, inputs, training=False, mask=mask)


def _is_ours(call: object) -> bool:
    return getattr(call, "__func__", None) in (_at_inference, _by_statistics)


def _compiled(model: keras.Model) -> dict | None:
    """What to compile the model with again; None where it was not compiled.

    Raises:
        UsageError: Keras cannot make that anew.
    """
    if not model.compiled:
        return None
    try:
        config = model.get_compile_config()
        return keras.saving.deserialize_keras_object(config)
    except Exception as error:
        raise UsageError(
            f"model {model.name!r} was compiled with what Keras cannot make anew "
            f"({str(error)[:200]}); freeze it before compile, and compile it then"
        ) from error


def _report(model: keras.Model, until: str | None, norm: Norm) -> FreezeReport:
    learning = {id(weight) for weight in model.trainable_weights}
    parts = flatten_layers(model.layers)
    # Behind what is frozen a layer may move what it does not learn, such as statistics.
    moving = {
        id(weight)
        for layer in parts
        if layer.trainable
        for weight in layer.non_trainable_weights
    }
    held = {
        id(weight)
        for layer in parts
        if isinstance(layer, BatchNormalization) and _stays(layer)
        for weight in layer.non_trainable_weights
    }
    frozen = tuple(
        layer.name
        for layer in model.layers
        if layer.weights and not any(id(w) in learning for w in layer.weights)
    )
    trainable, total = graph.parameters(model)[1], model.count_params()
    hashes = _hashes(model.weights, without=learning | (moving - held))
    return FreezeReport(until, norm, frozen, trainable, total, hashes)


def _hashes(
    weights: Sequence[keras.Variable], without: Set[int] = frozenset()
) -> dict[str, str]:
    """Of every weight by its place and path; two layers may bear one name."""
    return {
        f"{i}: {weight.path}": hashlib.sha256(
            ops.convert_to_numpy(weight.value).tobytes()
        ).hexdigest()
        for i, weight in enumerate(weights)
        if id(weight) not in without
    }


def _stays(layer: BatchNormalization) -> bool:
    return not layer.trainable or _is_ours(vars(layer).get("call"))
