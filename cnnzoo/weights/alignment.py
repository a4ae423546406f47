"""Layers of a model and modules of a source without known names, by order and shape.

Modules of equal shape go in the order of the graph. Where two such layers stand side by
side, the order says nothing; then the source's own graph must tell them apart, or the
source is refused.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import keras
from keras import layers

from cnnzoo.errors import WeightFileError
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.layer_names import HEAD, is_head
from cnnzoo.weights.tensors import POOL, ArraySource, WeightSource

NORM = "normalisation"
NORM_TENSORS = 3  # at least, of one dimension
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)


class Unit(NamedTuple):
    """A layer or a module with weights.

    Attributes:
        name: Name of the layer or the module.
        label: Shape of its kernel in Keras's layout; `NORM` and a number for others.
        parents: Names of the units that feed it, without others between, and `POOL`.
        ancestors: Names of all units in front of it.
    """

    name: str
    label: tuple
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
    ours = _model_units(model, norms=any(unit.label[0] == NORM for unit in theirs))
    trunk = [unit for unit in ours if not is_head(unit.name)]
    dense = [unit for unit in theirs if len(unit.label) == 2 and unit.label[0] != NORM]
    maps = [unit for unit in theirs if unit not in dense[-len(HEAD) :]]
    head = dict(zip(HEAD, (unit.name for unit in reversed(dense)), strict=False))
    for one, two, rest in ((ours, theirs, {}), (trunk, maps, head)):
        mine, other = (_groups(units, graph, source.ordered) for units in (one, two))
        counts = [{key: len(g[key]) for key in g} for g in (mine, other)]
        if one and counts[0] == counts[1]:
            groups = [(mine[key], other[key]) for key in mine]
            return _paired(model, source, groups, graph or source.ordered) | rest
    return {}


def _paired(
    model: keras.Model,
    source: ArraySource | WeightSource,
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
                f"{source.name} has {theirs[0].name} and {theirs[1].name}, which fit "
                f"{ours[0].name} and {ours[1].name} of {model.name} in either way; "
                "expected known names or one order, so give a file of torchvision, "
                "timm or keras.applications, or one that cnnzoo saved"
            )
        pairs |= {a.name: b.name for a, b in zip(ours, theirs, strict=True)}
    return pairs


def _groups(units: Sequence[Unit], graph: bool, ordered: bool) -> dict[tuple, list[Unit]]:
    """Units by their labels, and by what is known of those around them.

    In a graph, that is all in front of them and behind; in an order, what stands in front
    of a normalisation.
    """
    labels = {unit.name: unit.label for unit in units}
    front: dict[str, int] = {}
    for unit in units:
        front[unit.name] = hash(
            (unit.label, *sorted(front.get(p, 0) for p in unit.parents))
        )
    behind: dict[str, list[int]] = defaultdict(list)
    found = defaultdict(list)
    for unit in reversed(units):
        for parent in unit.parents:
            behind[parent].append(hash((unit.label, *sorted(behind[unit.name]))))
    for unit in units:
        around: tuple = ()
        if graph:
            around = (front[unit.name], *sorted(behind[unit.name]))
        elif ordered and unit.label[0] == NORM:
            around = labels.get((*unit.parents, "")[0], ())
        found[unit.label, around].append(unit)
    return found


def _with_parents(
    steps: Iterable[tuple[str | None, tuple, Iterable, Iterable]],
) -> list[Unit]:
    """The units of a graph, in its order.

    Args:
        steps: For each call its unit's name, `POOL` or None; its label; and what
            identifies its inputs and outputs.
    """
    front: dict = defaultdict(tuple, {POOL: (POOL,)})  # of a tensor: what feeds it
    units: dict[str, Unit] = {POOL: Unit(POOL, ())}
    for name, label, inputs, outputs in steps:
        feeding = tuple(dict.fromkeys(unit for x in inputs for unit in front[x]))
        if name == POOL:
            feeding = tuple(dict.fromkeys((*feeding, POOL)))
        elif name is not None:
            above = frozenset(feeding).union(*(units[f].ancestors for f in feeding))
            units[name] = Unit(name, label, feeding, above)
            feeding = (name,)
        front |= dict.fromkeys(outputs, feeding)
    return [*units.values()][1:]


def _model_units(model: keras.Model, *, norms: bool) -> list[Unit]:
    """The layers of a model that have weights, normalisations only if wanted."""

    def step(layer: keras.Operation) -> tuple[str | None, tuple]:
        weights = getattr(layer, "weights", ())
        if not weights:
            return POOL if isinstance(layer, POOLS) else None, ()
        if isinstance(layer, layers.BatchNormalization):
            return layer.name if norms else None, (NORM, weights[0].shape[0])
        return layer.name, tuple(weights[0].shape)

    return _with_parents(
        (*step(node.operation), map(id, node.input_tensors), map(id, node.outputs))
        for node in graph_nodes(model)
    )


def _source_units(source: ArraySource | WeightSource) -> list[Unit]:
    """The modules of a source that have weights, in their order."""
    found: dict[str, tuple] = {}
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
            graph = source.graph.items()
            return _with_parents(
                (name, found[name], front, [name])
                for name, front in graph
                if name in found
            )
    names = [*found]
    if not source.ordered:  # names that are alike but for their numbers go by these
        names.sort(key=lambda name: [*map(int, re.findall(r"\d+", name))])
    return [Unit(name, found[name], (last,)) for last, name in pairwise(("", *names))]
