"""What stays as it is while the rest of a network learns, and the proof that it stayed.

On Keras 3.0 to 3.15 `base(x, training=False)` keeps neither batch normalisation nor
dropout from learning inside `fit`, and a layer's `trainable = True` resets those inside
it. So flags are set layer by layer, batch normalisation last, and nothing is believed:
`check_frozen` compares bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Literal, get_args

import keras
from keras import layers, ops
from keras.layers import BatchNormalization

from cnnzoo import graph
from cnnzoo.errors import TrainingError, UsageError, unknown
from cnnzoo.fast import accelerate

Norm = Literal["frozen", "affine", "train"]
STATISTICS = ("moving_mean", "moving_variance")
DROPOUTS = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.AlphaDropout,
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
        hashes: SHA-256 of every weight that must not change, by its layer and name.
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
    model: keras.Model, until: str | None = None, *, norm: Norm | None = None
) -> FreezeReport:
    """Freezes a layer and all that it depends on; what is behind it learns.

    A model that was compiled is compiled again, with a new optimiser of the same
    settings; a layer's own earlier flags are forgotten.

    Args:
        until: the last layer to freeze; None freezes none.
        norm: of batch normalisation in the frozen part, or everywhere where `until` is
            None: "frozen" keeps its statistics, scales and offsets; "affine" lets
            scales and offsets learn and keeps the statistics; "train" lets all learn.
            None for "frozen" in a frozen part, and "train" where there is none. Dropout
            is off in the frozen part.

    Returns:
        What `check_frozen` compares with.

    Raises:
        UsageError: there is no such layer or mode, or what the model was compiled with
            cannot be written down.
    """
    norm = norm or ("frozen" if until is not None else "train")
    if norm not in get_args(Norm):
        raise unknown("mode of batch normalisation", norm, get_args(Norm))
    inside = set(graph.ancestors(model, until)) if until is not None else set()
    held = _leaves([layer for layer in model.layers if layer.name in inside])
    config = _compiled(model)
    _unfreeze(model)
    for layer in held:
        layer.trainable = False
        if isinstance(layer, DROPOUTS):
            layer.call = MethodType(_at_inference, layer)
    for layer in held if until is not None else _leaves(model.layers):
        if isinstance(layer, BatchNormalization):
            _set_norm(layer, norm)
    if config is not None:
        model.compile_from_config(config)
    return _report(model, until, norm)


def unfreeze(model: keras.Model) -> None:
    """Lets every layer learn again, as it was built; compiles anew what was compiled."""
    config = _compiled(model)
    _unfreeze(model)
    if config is not None:
        model.compile_from_config(config)


def check_frozen(before: FreezeReport, model: keras.Model) -> None:
    """Compares every frozen weight with what it was, byte by byte.

    Raises:
        TrainingError: one has changed.
    """
    now = _hashes(model)
    changed = [name for name, digest in before.hashes.items() if now.get(name) != digest]
    if changed:
        raise TrainingError(
            f"{len(changed)} frozen weights of {model.name!r} have changed, such as "
            f"{changed[0]}; load the weights anew, and freeze them after compiling"
        )


def _unfreeze(model: keras.Model) -> None:
    for layer in _leaves(model.layers):
        if _is_ours(vars(layer).get("call")):
            del layer.call
        layer.trainable = True
    if "compile" in vars(model):  # it was accelerated, and ours took the place of that
        accelerate(model)


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
    """How the model was compiled; None where it was not.

    Raises:
        UsageError: that cannot be written down.
    """
    if not model.compiled:
        return None
    config = model.get_compile_config()
    if not config or "optimizer" not in config:
        raise UsageError(
            f"model {model.name!r} was compiled with what Keras cannot write down; "
            "freeze it first and compile it then"
        )
    return config


def _report(model: keras.Model, until: str | None, norm: Norm) -> FreezeReport:
    learning = {id(weight) for weight in model.trainable_weights}
    frozen = tuple(
        layer.name
        for layer in _leaves(model.layers)
        if layer.weights and not any(id(w) in learning for w in layer.weights)
    )
    trainable, total = graph.parameters(model)[1], model.count_params()
    return FreezeReport(until, norm, frozen, trainable, total, _hashes(model))


def _hashes(model: keras.Model) -> dict[str, str]:
    """Of every weight that does not learn, moving statistics that move left out."""
    learning = {id(weight) for weight in model.trainable_weights}
    return {
        f"{layer.name}/{weight.name}": hashlib.sha256(
            ops.convert_to_numpy(weight.value).tobytes()
        ).hexdigest()
        for layer in _leaves(model.layers)
        for weight in layer.weights
        if id(weight) not in learning and not _moves(layer, weight)
    }


def _moves(layer: keras.Layer, weight: keras.Variable) -> bool:
    moving = isinstance(layer, BatchNormalization) and weight.name in STATISTICS
    stays = not layer.trainable or _is_ours(vars(layer).get("call"))
    return (moving and not stays) or weight.name == "seed_generator_state"


def _leaves(found: Sequence[keras.Layer]) -> list[keras.Layer]:
    """The layers, those of nested models in place of the models."""
    leaves = []
    for layer in found:
        leaves += _leaves(layer.layers) if isinstance(layer, keras.Model) else [layer]
    return leaves
