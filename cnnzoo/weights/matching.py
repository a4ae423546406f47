"""Matching of the tensors of a source with the weights of a model."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import keras

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

Names = Mapping[str, str]  # of our layers: their names in the source


class Pair(NamedTuple):
    """A weight of the model, with its name and layer, and the tensor to load into it."""

    name: str
    layer: keras.Layer
    variable: keras.Variable
    tensor: Tensor


def match_tensors(
    model: keras.Model, source: WeightSource
) -> tuple[list[Pair], list[Tensor]]:
    """Every weight of the model with its tensor, and the tensors that are skipped.

    Raises:
        WeightFileError: The source does not fit the model.
    """
    own, tensors = variables(model), source.tensors
    layers = {key.layer for key in own}
    names = _names(model, layers, source)
    pairs, problems = [], []
    for (ours, place), (layer, variable) in own.items():
        name = f"{ours}/{variable.name}"
        tensor = tensors.get(Key(names.get(ours, ""), place))
        if tensor is None:
            problems.append(f"{name} is missing")
        else:
            pairs.append(Pair(name, layer, variable, tensor))
    problems += [text for pair in pairs if (text := _misfit(pair))]
    skipped, left = _others(tensors, own, names)
    problems += [f"{tensor.name} is not in the model" for tensor in left]
    if problems:
        raise WeightFileError(
            f"{source.name} does not fit {model.name}, which is unchanged: "
            f"{'; '.join(problems[:5])[:500]} ({len(problems)} differences); "
            f"{_advice(own, names, tensors)}"
        )
    return pairs, skipped


def _names(model: keras.Model, layers: Collection[str], source: WeightSource) -> Names:
    """Our own names, or those of keras.applications if the source has none of ours."""
    theirs = {key.layer for key in source.tensors}
    name_map = keras_applications.name_map_of(model)
    if name_map is None or theirs & (set(layers) - {PREDICTIONS}):
        return {name: name for name in layers}
    return name_map.names(layers, theirs, source.name)


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
                "classes, or with include_top=False"
            )
    if missing and all(map(is_aux, missing)):
        return (
            "it has no auxiliary classifiers, so load it into a model built with "
            "aux_heads=False"
        )
    if missing and all(is_aux(n) or is_head(n) for n in missing):
        return "it has no top, so load it into a model built with include_top=False"
    return "build the network with the options that it was saved with"
