"""Layers of a model and modules of a source without known names, by order and shape.

Modules of equal shape go in the order of the graph. Where two such layers stand side by
side, the order says nothing; then the source's own graph must tell them apart, or the
source is refused.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import keras
from keras import layers

from cnnzoo.errors import WeightFileError
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.layer_names import HEAD, is_head
from cnnzoo.weights.tensors import ArraySource, WeightSource

Label = tuple  # the shape of a kernel in Keras's layout, or a word and a number
NORM = "normalisation"
POOL = ("pool",)
NORM_TENSORS = 3  # at least, of one dimension


class Unit(NamedTuple):
    """A layer or a module with weights, or a pool.

    Attributes:
        name: Name of the layer or the module.
        label: What it is, and its shape.
        parents: Names of the units that feed it, without others between.
        ancestors: Names of all units in front of it.
    """

    name: str
    label: Label
    parents: tuple[str, ...] = ()
    ancestors: frozenset[str] = frozenset()


def by_order(model: keras.Model, source: ArraySource | WeightSource) -> dict[str, str]:
    """The module for each layer of the model; empty if they do not fit.

    Where only the trunk fits, the last dense modules stand for those of the head.

    Raises:
        WeightFileError: Two modules fit two layers in either way.
    """
    theirs = _source_units(source)
    graph = isinstance(source, ArraySource) and source.graph is not None
    kinds = {unit.label[0] for unit in theirs}
    ours = _model_units(model, pools=graph, norms=NORM in kinds)
    trunk = [unit for unit in ours if not is_head(unit.name)]
    dense = [unit for unit in theirs if len(unit.label) == 2 and unit.label[0] != NORM]
    maps = [unit for unit in theirs if unit not in dense[-len(HEAD) :]]
    head = dict(zip(HEAD, (unit.name for unit in reversed(dense)), strict=False))
    for one, two, rest in ((ours, theirs, {}), (trunk, maps, head)):
        mine, other = _groups(one, graph), _groups(two, graph)
        counts = ({key: len(units) for key, units in g.items()} for g in (mine, other))
        if one and next(counts) == next(counts):
            free = graph or source.ordered
            pairs = ((mine[key], other[key]) for key in mine if key[0] != POOL)
            return _paired(model, source.name, pairs, free) | rest
    return {}


def _paired(
    model: keras.Model,
    source: str,
    groups: Iterable[tuple[list[Unit], list[Unit]]],
    ordered: bool,
) -> dict[str, str]:
    """Units of equal label by their order, which must be sure on both sides.

    Args:
        ordered: Whether the source's order is that of its modules; else names must have
            it, by differing in their numbers alone.
    """
    pairs = {}
    for ours, theirs in groups:
        chain = all(a.name in b.ancestors for a, b in pairwise(ours))
        words = {re.sub(r"_?\d+", "", unit.name) for unit in theirs}
        if len(ours) > 1 and not (chain and (ordered or len(words) == 1)):
            raise WeightFileError(
                f"{source} has {theirs[0].name} and {theirs[1].name}, which fit "
                f"{ours[0].name} and {ours[1].name} of {model.name} in either way; "
                "expected known names or one order, so give a file of torchvision, "
                "timm or keras.applications, or one that cnnzoo saved"
            )
        pairs |= {a.name: b.name for a, b in zip(ours, theirs, strict=True)}
    return pairs


def _groups(units: Sequence[Unit], graph: bool) -> dict[tuple, list[Unit]]:
    """Units by their labels, and by those around them, in their order.

    In a graph, that is all in front of them and behind; else a normalisation's front.
    """
    labels = {unit.name: unit.label for unit in units}
    front: dict[str, int] = {}
    behind: dict[str, list[int]] = defaultdict(list)
    for unit in units:
        front[unit.name] = hash((unit.label, *sorted(front.get(p, 0) for p in unit.parents)))
    around = {}
    for unit in reversed(units):
        around[unit.name] = hash((unit.label, *sorted(behind[unit.name])))
        for parent in unit.parents:
            behind[parent].append(around[unit.name])
    found, before = defaultdict(list), None
    for unit in units:
        last = labels.get(unit.parents[0]) if unit.parents else before
        key = (front[unit.name], around[unit.name]) if graph else (last,) * _is_norm(unit)
        found[unit.label, key].append(unit)
        before = unit.label
    return found


def _is_norm(unit: Unit) -> bool:
    return unit.label[0] == NORM


def _with_parents(
    steps: Iterable[tuple[str | None, Label, Iterable, Iterable]],
) -> list[Unit]:
    """The units of a graph, in its order.

    Args:
        steps: For each call its unit's name or None, its label, and what identifies its
            inputs and outputs.
    """
    front: dict = defaultdict(tuple)  # of a tensor: the units that feed it
    units: dict[str, Unit] = {}
    for name, label, inputs, outputs in steps:
        feeding = tuple(dict.fromkeys(unit for x in inputs for unit in front[x]))
        if name is not None:
            above = frozenset(feeding).union(*(units[f].ancestors for f in feeding))
            units[name] = Unit(name, label, feeding, above)
            feeding = (name,)
        front |= dict.fromkeys(outputs, feeding)
    return list(units.values())


def _model_units(model: keras.Model, *, pools: bool, norms: bool) -> list[Unit]:
    """The layers of a model that have weights, with pools and normalisations or not."""

    def label(layer: keras.Operation) -> Label | None:
        if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
            return POOL if pools else None
        weights = getattr(layer, "weights", ())
        if isinstance(layer, layers.BatchNormalization):
            return (NORM, weights[0].shape[0]) if norms else None
        return tuple(weights[0].shape) if weights else None

    return _with_parents(
        (
            None if (found := label(node.operation)) is None else node.operation.name,
            found or (),
            map(id, node.input_tensors),
            map(id, node.outputs),
        )
        for node in graph_nodes(model)
    )


def _source_units(source: ArraySource | WeightSource) -> list[Unit]:
    """The modules of a source that have weights, in their order."""
    found: dict[str, Label] = {}
    if isinstance(source, WeightSource):
        shapes: dict[str, list] = defaultdict(list)
        for key, tensor in source.tensors.items():
            shapes[key.layer].append(tensor.shape)
        for name, (first, *rest) in shapes.items():
            norm = len(first) == 1 and len(rest) >= NORM_TENSORS - 1
            found[name] = (NORM, *first) if norm else first
    else:
        for name, array in source.arrays.items():
            module, _, role = name.rpartition(".")
            if role == "running_mean":
                found[module] = (NORM, *array.shape)
            elif role == "weight" and array.shape:
                found.setdefault(module, (*array.shape[2:], *array.shape[1::-1]))
        if source.graph is not None:
            return _with_parents(
                (name, found.get(name, POOL), parents, [name])
                for name, parents in source.graph.items()
            )
    names = found if source.ordered else sorted(found, key=_numbers)
    return [Unit(name, found[name]) for name in names]


def _numbers(name: str) -> list[str | int]:
    """What to sort by, so that 10 comes behind 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
