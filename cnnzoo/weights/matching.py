"""Matching of the tensors of a source with the weights of a model."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import PREDICTIONS, is_aux, is_head
from cnnzoo.weights.sources import keras_applications
from cnnzoo.weights.tensors import (
    Key,
    Tensor,
    Tensors,
    WeightSource,
    kind,
    variables,
)

FLOATS = ("bfloat16", "float16", "float32", "float64")
MAPS = 4  # dimensions of a convolution's kernel
WITH_BACKGROUND = 1001  # classes of TensorFlow's networks, of which the first is none

Names = Mapping[str, str]  # of our layers: their names in the source


class Pair(NamedTuple):
    """A weight of the model, with its name and layer, and the tensor to load into it."""

    name: str
    layer: keras.Layer
    variable: keras.Variable
    tensor: Tensor


def match_tensors(
    model: keras.Model, source: WeightSource, *, new_head: bool | None = False
) -> tuple[list[Pair], list[Tensor]]:
    """The weights of the model with their tensors, and the tensors that are skipped.

    Args:
        new_head: Whether the model keeps its own classifier, and other layers of the
            head that do not fit; None if only those that do not fit.

    Raises:
        WeightFileError: The source does not fit the model.
    """
    own, tensors = variables(model), source.tensors
    layers = {key.layer for key in own}
    names = _names(model, layers, source)
    stem = next((key for key, (_, v) in own.items() if len(v.shape) == MAPS), None)
    found, problems = [], []  # both with the names of layers
    for key, (layer, variable) in own.items():
        name = f"{key.layer}/{variable.name}"
        tensor = tensors.get(Key(names.get(key.layer, ""), key.place))
        if tensor is None:
            problems.append((key.layer, f"{name} is missing"))
            continue
        pair = _adapted(Pair(name, layer, variable, tensor), key == stem)
        found.append((key.layer, pair))
        problems += [(key.layer, text)] if (text := _misfit(pair)) else []
    new = _new_layers(layers, {layer for layer, _ in problems}, new_head)
    pairs = [pair for layer, pair in found if layer not in new]
    texts = [text for layer, text in problems if layer not in new]
    skipped, left = _others(tensors, own, names)
    if new_head is not False:
        head = [t for t in left if len(t.shape) < MAPS]
        skipped, left = skipped + head, [t for t in left if t not in head]
    skipped += [pair.tensor for layer, pair in found if layer in new]
    texts += [f"{tensor.name} is not in the model" for tensor in left]
    if texts:
        raise WeightFileError(
            f"{source.name} does not fit {model.name}, which is unchanged: "
            f"{'; '.join(texts[:5])[:500]} ({len(texts)} differences); "
            f"{_advice(own, names, tensors)}"
        )
    return pairs, skipped


def _new_layers(
    layers: Collection[str], unfit: Collection[str], new_head: bool | None
) -> set[str]:
    """The layers that keep their values: of the head, and only if they may."""
    if new_head is False:
        return set()
    last = {name for name in layers if new_head and name.endswith(PREDICTIONS)}
    return last | {name for name in unfit if is_head(name) or is_aux(name)}


def _adapted(pair: Pair, stem: bool) -> Pair:
    """The tensor for another number of channels, or without TensorFlow's first class."""
    tensor, shape = pair.tensor, tuple(pair.variable.shape)
    *front, inputs, outputs = (1, *tensor.shape) if tensor.shape else (1, 1)
    if pair.layer.name == PREDICTIONS and outputs == WITH_BACKGROUND == shape[-1] + 1:
        changed = replace(
            tensor,
            shape=(*tensor.shape[:-1], outputs - 1),
            change="taken without the first of 1001 classes",
            read=lambda: tensor.read()[..., 1:],
        )
        return pair._replace(tensor=changed)
    wanted = shape[-2] if stem else inputs
    if inputs == wanted or (*front[1:], wanted, outputs) != shape:
        return pair

    def read() -> np.ndarray:
        kernel = tensor.read()
        if wanted == 1:
            return kernel.sum(axis=2, keepdims=True)
        spread = np.take(kernel, np.arange(wanted) % inputs, axis=2)
        return spread * np.asarray(inputs / wanted, kernel.dtype)

    how = "summed over" if wanted == 1 else f"spread to {wanted}"
    changed = replace(tensor, shape=shape, change=f"{how} channels", read=read)
    return pair._replace(tensor=changed)


def _names(model: keras.Model, layers: Collection[str], source: WeightSource) -> Names:
    """Our own names, or those of keras.applications if the source has none of ours."""
    theirs = {key.layer for key in source.tensors}
    name_map = keras_applications.name_map_of(model)
    own = theirs & (set(layers) - {PREDICTIONS})
    if name_map is None or own or source.translated:
        return {name: name for name in layers}
    names = dict(name_map.names(layers, theirs, source.name))
    if names[PREDICTIONS] not in theirs:  # a classifier of the user's own
        rest = theirs - {*names.values()}
        dense = [name for name in rest if _is_dense(source.tensors.get(Key(name, "0")))]
        names |= {PREDICTIONS: dense[0]} if len(dense) == 1 else {}
    return names


def _is_dense(kernel: Tensor | None) -> bool:
    return kernel is not None and len(kernel.shape) == 2


def _misfit(pair: Pair) -> str | None:
    """Why a pair does not match, in a few words; None if it does."""
    name, layer, variable, tensor = pair
    if tensor.kind not in (None, kind(layer)):
        return f"{tensor.name} is of a {tensor.kind}, not of a {kind(layer)}"
    if tensor.weight not in (None, variable.name):
        return f"{tensor.name} stands where {name} is expected"
    if tensor.shape != tuple(variable.shape):
        return f"{name} has shape {tensor.shape}, not {tuple(variable.shape)}"
    if tensor.dtype not in FLOATS:
        return f"{name} has type {tensor.dtype}, not a float"
    return None


def _others(
    tensors: Tensors, own: Mapping[Key, object], names: Names
) -> tuple[list[Tensor], list[Tensor]]:
    """Tensors without a weight in the model: of heads that it lacks, and all others."""
    layers = {key.layer for key in own}
    ours = {theirs: name for name, theirs in names.items()}
    skipped, left = [], []
    for (layer, place), tensor in tensors.items():
        name = ours.get(layer, layer)
        if Key(name, place) in own:
            continue
        aux = is_aux(name) and not any(map(is_aux, layers))
        head = is_head(name) and PREDICTIONS not in layers
        (skipped if aux or head else left).append(tensor)
    return skipped, left


def _advice(own: Mapping[Key, tuple], names: Names, tensors: Tensors) -> str:
    """Advice for a source that does not fit the model."""
    theirs = {key.layer for key in tensors}
    missing = {key.layer for key in own if names.get(key.layer) not in theirs}
    key = Key(PREDICTIONS, "0")
    head = tensors.get(Key(names.get(PREDICTIONS, ""), "0"))
    if not missing and key in own and head and head.shape:
        units = head.shape[-1]
        if units != own[key][1].shape[-1]:
            return (
                f"its classifier has {units} outputs, so build the model with as many "
                "classes, or with include_top=False, or pass new_head=True"
            )
    if missing and all(map(is_aux, missing)):
        return (
            "it has no auxiliary classifiers, so load it into a model built with "
            "aux_heads=False"
        )
    if missing and all(is_aux(n) or is_head(n) for n in missing):
        return (
            "it has no top, so load it into a model built with include_top=False, or "
            "pass new_head=True"
        )
    return "build the network with the options that it was saved with"
