"""Freezing a part of a network during training, and checking that it did not change.

On Keras 3.0 to 3.15, `base(x, training=False)` turns off neither batch normalization nor
dropout inside `fit`, and setting `trainable = True` on a layer resets the layers in it.
So flags are set layer by layer, batch normalization last, and `check_frozen` compares the
weights byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
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
# Layers that are random in training, or that change non-trainable weights. Augmentation
# layers are left as they are, since a model that contains them needs them in training.
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
    """The frozen part of a network, with hashes of its weights.

    Attributes:
        until: Name of the last frozen layer; None if no layer is frozen.
        norm: Mode of batch normalization in the frozen part.
        frozen: Names of the layers without trainable weights.
        trainable: Number of trainable parameters.
        total: Number of parameters.
        hashes: SHA-256 of every weight that must not change, by its position and path.
        parts: Numbers of trainable and of all parameters, from the end of each stage to
            that of the next, by the name of its last layer; for a prepared network.
    """

    until: str | None
    norm: Norm
    frozen: tuple[str, ...]
    trainable: int
    total: int
    hashes: Mapping[str, str]
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        share = 100 * self.trainable / max(1, self.total)
        where = f"up to {self.until}" if self.until else "nowhere"
        text = (
            f"frozen {where}: {len(self.frozen)} layers, batch normalization "
            f"{self.norm}; {self.trainable:,} of {self.total:,} parameters are trained "
            f"({share:.1f} %)"
        )
        parts = (f"  up to {end}: {n:,} of {m:,}" for end, (n, m) in self.parts.items())
        return "\n".join([text, *parts])


def freeze(
    model: keras.Model,
    until: str | None = None,
    *,
    norm: Norm | None = None,
    norm_after: Norm = "train",
) -> FreezeReport:
    """Freezes a layer and all layers that it depends on; the layers after it are trained.

    A compiled model is compiled again, with a new optimizer of the settings that Keras
    serializes, which do not include `exclude_from_weight_decay`. Earlier `trainable`
    flags of layers are overwritten.

    Args:
        until: Name of the last layer to freeze; None to freeze none.
        norm: Mode of batch normalization in the frozen part, or everywhere if `until` is
            None: "frozen" keeps statistics, scales and offsets; "affine" trains scales
            and offsets and keeps the statistics; "train" updates all of them. None for
            "frozen" in a frozen part, and "train" if there is none. Dropout, noise and
            spectral normalization run there as at inference.
        norm_after: Mode of batch normalization after the frozen part.

    Returns:
        Report to pass to `check_frozen`.

    Raises:
        UsageError: There is no such layer or mode, the layer is called at several
            places, or Keras cannot restore what the model was compiled with. The model
            is unchanged then.
    """
    norm = norm or ("frozen" if until is not None else "train")
    for mode in (norm, norm_after):
        if mode not in get_args(Norm):
            raise unknown("mode of batch normalization", mode, get_args(Norm))
    inside = set(graph.ancestors(model, until)) if until is not None else set()
    _check_once(model, until)
    held = [layer for layer in model.layers if layer.name in inside]
    arguments = _compiled(model)
    _unfreeze(model)
    for layer in held:
        layer.trainable = False  # also of the layers in it
    parts = flatten_layers(held)
    for layer in parts:
        if isinstance(layer, AT_INFERENCE):
            layer.call = MethodType(_at_inference, layer)
    inner = {id(layer) for layer in parts}
    for layer in flatten_layers(model.layers):
        if isinstance(layer, BatchNormalization):
            within = until is None or id(layer) in inner
            _set_norm(layer, norm if within else norm_after)
    if arguments is not None:
        model.compile(**arguments)
    return _report(model, until, norm)


def unfreeze(model: keras.Model) -> None:
    """Makes every layer trainable, as it was built; compiles a compiled model again."""
    arguments = _compiled(model)
    _unfreeze(model)
    if arguments is not None:
        model.compile(**arguments)


def check_frozen(before: FreezeReport, model: keras.Model) -> None:
    """Checks byte by byte that no frozen weight has changed.

    Raises:
        TrainingError: A frozen weight has changed.
    """
    now = _hashes(model.weights)
    changed = [name for name, digest in before.hashes.items() if now.get(name) != digest]
    if changed:
        raise TrainingError(
            f"{len(changed)} frozen weights of {model.name!r} have changed, such as "
            f"{changed[0]}; load the weights anew, and freeze them after compiling"
        )


def _unfreeze(model: keras.Model) -> None:
    model.trainable = True  # otherwise no layer in it is trained, whatever its own flag
    for layer in flatten_layers(model.layers):
        layer.trainable = True
        if _runs_at_inference(layer):
            del layer.call
    if "compile" in vars(model):  # it was accelerated before its `call` was replaced
        accelerate(model)


def _check_once(model: keras.Model, until: str | None) -> None:
    """Raises UsageError for a layer that is called at several places."""
    calls = [node.operation.name for node in graph_nodes(model)].count(until)
    if calls > 1:
        raise UsageError(
            f"{model.name!r} calls the layer {until!r} {calls} times, so it is unclear "
            "where to stop freezing; name another layer, or build one layer per place"
        )


def _set_norm(layer: BatchNormalization, norm: Norm) -> None:
    layer.trainable = norm != "frozen"
    if norm == "affine":
        layer.call = MethodType(_at_inference, layer)


def _at_inference(self, inputs, training=False, **options):
    return type(self).call(self, inputs, training=False, **options)


def _runs_at_inference(layer: keras.Layer) -> bool:
    """Whether `freeze` replaced the layer's `call`."""
    return getattr(vars(layer).get("call"), "__func__", None) is _at_inference


def _compiled(model: keras.Model) -> dict | None:
    """Arguments to compile the model with again; None if it was not compiled.

    Raises:
        UsageError: Keras cannot restore them.
    """
    if not model.compiled:
        return None
    try:
        config = model.get_compile_config()
        return keras.saving.deserialize_keras_object(config)
    except Exception as error:
        raise UsageError(
            f"model {model.name!r} was compiled with objects that Keras cannot "
            f"restore ({str(error)[:200]}); freeze it before compile, then compile it"
        ) from error


def _report(model: keras.Model, until: str | None, norm: Norm) -> FreezeReport:
    trained = {id(weight) for weight in model.trainable_weights}
    # After the frozen part, layers may change non-trainable weights, such as statistics.
    changing, kept = set[int](), set[int]()
    for layer in flatten_layers(model.layers):
        weights = {id(weight) for weight in layer.non_trainable_weights}
        fixed = not layer.trainable or _runs_at_inference(layer)
        if isinstance(layer, BatchNormalization) and fixed:
            kept |= weights
        elif layer.trainable:
            changing |= weights
    frozen = tuple(
        layer.name
        for layer in model.layers
        if layer.weights and not any(id(weight) in trained for weight in layer.weights)
    )
    trainable, total = graph.parameters(model)[1], model.count_params()
    hashes = _hashes(model.weights, without=trained | (changing - kept))
    return FreezeReport(until, norm, frozen, trainable, total, hashes)


def _hashes(
    weights: Sequence[keras.Variable], without: Set[int] = frozenset()
) -> dict[str, str]:
    """SHA-256 of every weight by position and path, since layers may share a name."""
    return {
        f"{i}: {weight.path}": hashlib.sha256(
            ops.convert_to_numpy(weight.value).tobytes()
        ).hexdigest()
        for i, weight in enumerate(weights)
        if id(weight) not in without
    }
