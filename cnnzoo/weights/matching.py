"""Matching of the tensors of a source with the weights of a model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import CLASSIFIERS, PREDICTIONS, is_aux, is_head, is_trunk
from cnnzoo.weights.tensors import (
    ArraySource,
    Key,
    Tensor,
    Tensors,
    WeightSource,
    kind,
    variables,
)
from cnnzoo.weights.torch_layout import SHIFTED
from cnnzoo.weights.translation import translate

FLOATS = ("bfloat16", "float16", "float32", "float64")
MAPS = 4  # dimensions of a convolution's kernel
LARGEST_HEAD = 14  # tensors: three dense layers, two of them with a normalisation
BACKGROUND = (1001,)  # classes of TensorFlow's networks, of which the first is none


class Pair(NamedTuple):
    """A weight of the model, with its name and layer, and the tensor to load into it."""

    name: str
    layer: keras.Layer
    variable: keras.Variable
    tensor: Tensor


class Match(NamedTuple):
    """Tensors for a model.

    Attributes:
        pairs: Weights of the model, with the tensors to load.
        skipped: Tensors of heads that are not loaded.
        new: Names of the weights that keep their values.
        source: The source, with our names of layers.
    """

    pairs: list[Pair]
    skipped: list[Tensor]
    new: list[str]
    source: WeightSource


def match_tensors(
    model: keras.Model,
    source: WeightSource | ArraySource,
    *,
    new_head: bool | None = False,
) -> Match:
    """Finds the tensor of each weight of a model.

    Args:
        new_head: Whether the model keeps its own classifier, and other layers of the
            head that do not fit; None if only those that do not fit.

    Raises:
        WeightFileError: The source does not fit the model.
    """
    source = translate(model, source)
    own, tensors = variables(model), source.tensors
    stem = next((key for key, (_, v) in own.items() if len(v.shape) == MAPS), None)
    pairs, problems = [], []  # problems with the names of their layers
    for key, (layer, variable) in own.items():
        name = f"{key.layer}/{variable.name}"
        if key in tensors:
            pair = Pair(name, layer, variable, tensors[key])
            pairs.append(_adapted(pair, key == stem))
        text = _misfit(pairs[-1]) if key in tensors else f"{name} is missing"
        problems += [(key.layer, text)] if text else []
    new = set()  # layers that keep their values
    if new_head is not False:
        new = {name for name, _ in problems if is_head(name) or is_aux(name)}
    if new_head:
        new |= {key.layer for key in own if key.layer.endswith(CLASSIFIERS)}
    skipped, left = _others(tensors, own)
    head = {
        key: tensor
        for key, tensor in left.items()
        if len(tensor.shape) < MAPS and not is_trunk(key.layer)
    }
    if (new_head or new) and len(head) <= LARGEST_HEAD:
        skipped += head.values()
        left = {key: tensor for key, tensor in left.items() if key not in head}
    skipped += [pair.tensor for pair in pairs if pair.layer.name in new]
    texts = [text for layer, text in problems if layer not in new]
    texts += [f"{tensor.name} is not in the model" for tensor in left.values()]
    if texts:
        raise WeightFileError(
            f"{source.name} does not fit {model.name}, which is unchanged: "
            f"{'; '.join(texts[:5])[:500]} ({len(texts)} differences); "
            f"{_advice(own, tensors)}"
        )
    pairs = [pair for pair in pairs if pair.layer.name not in new]
    kept = [f"{key.layer}/{v.name}" for key, (_, v) in own.items() if key.layer in new]
    return Match(pairs, skipped, kept, source)


def _adapted(pair: Pair, stem: bool) -> Pair:
    """The tensor for other channels or another epsilon, or without the first class."""
    tensor, shape = pair.tensor, tuple(pair.variable.shape)
    theirs = tensor.shape
    if pair.layer.name == PREDICTIONS and theirs[-1:] == (shape[-1] + 1,) == BACKGROUND:
        change = "taken without the first of 1001 classes"
        shape = (*theirs[:-1], shape[-1])

        def read() -> np.ndarray:
            return tensor.read()[..., 1:]

    elif stem and theirs != shape == (*theirs[:2], shape[2], *theirs[3:]):
        channels, wanted = theirs[2], shape[2]
        how = "summed over" if wanted == 1 else f"spread to {wanted}"
        change = f"{how} channels"

        def read() -> np.ndarray:
            kernel = tensor.read()
            if wanted == 1:
                return kernel.sum(axis=2, keepdims=True)
            spread = np.take(kernel, np.arange(wanted) % channels, axis=2)
            return spread * np.asarray(channels / wanted, kernel.dtype)

    elif pair.variable.name == "moving_variance" and tensor.epsilon is not None:
        more = tensor.epsilon - pair.layer.epsilon
        change = SHIFTED if more else tensor.change

        def read() -> np.ndarray:
            return tensor.read() + np.float32(more) if more else tensor.read()

    else:
        return pair
    return pair._replace(tensor=replace(tensor, shape=shape, change=change, read=read))


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
    tensors: Tensors, own: Mapping[Key, object]
) -> tuple[list[Tensor], dict[Key, Tensor]]:
    """Tensors without a weight in the model: of heads that it lacks, and all others."""
    layers = {key.layer for key in own}
    skipped, left = [], {}
    for key, tensor in tensors.items():
        aux = is_aux(key.layer) and not any(map(is_aux, layers))
        head = is_head(key.layer) and PREDICTIONS not in layers
        if key not in own and (aux or head):
            skipped.append(tensor)
        elif key not in own:
            left[key] = tensor
    return skipped, left


def _advice(own: Mapping[Key, tuple], tensors: Tensors) -> str:
    """Advice for a source that does not fit the model."""
    theirs = {key.layer for key in tensors}
    missing = {key.layer for key in own if key.layer not in theirs}
    key = Key(PREDICTIONS, "0")
    head = tensors.get(key)
    if not missing and key in own and head and head.shape:
        units = head.shape[-1]
        if units != own[key][1].shape[-1]:
            return (
                f"its classifier has {units} outputs, so build the model with as many "
                "classes, or with include_top=False, or pass new_head=True; on the "
                "command line, give the .keras file of the model itself"
            )
    if missing and all(map(is_aux, missing)):
        return (
            "it has no auxiliary classifiers, so load it into a model built with "
            "aux_heads=False"
        )
    if missing and all(is_aux(n) or is_head(n) for n in missing):
        return (
            "it has no such top, so build with include_top=False, load its trunk with "
            "new_head=True, or pass a Keras model with a top of its own to cnnzoo.adopt"
        )
    return (
        "build the network with the options that it was saved with, or pass "
        "new_head=True if only the head is another"
    )
