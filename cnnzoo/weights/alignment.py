"""Layers of a model and modules of a source without known names, by order and shape.

Modules of equal shape go in the order of the graph. Where two such layers stand side by
side, the order says nothing; then the source's own graph must tell them apart, or the
source is refused.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import keras
from keras import layers

from cnnzoo.errors import WeightFileError
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.layer_names import is_head
from cnnzoo.weights.sources.recognition import HEAD
from cnnzoo.weights.tensors import ArraySource

Label = tuple
NORM = "normalisation"


@dataclass(frozen=True)
class Unit:
    """A layer or a module with weights.

    Attributes:
        name: Name of the layer or the module.
        label: What it is, and its shape as PyTorch has it, without sides of 1.
        parents: Names of the units that feed it, without others between.
        ancestors: Names of all units in front of it.
    """

    name: str
    label: Label
    parents: tuple[str, ...] = ()
    ancestors: frozenset[str] = frozenset()


def by_order(model: keras.Model, source: ArraySource) -> dict[str, str]:
    """The module for each layer of the model; empty if they do not fit.

    Raises:
        WeightFileError: Two modules fit two layers in either way.
    """
    ours, theirs = model_units(model), source_units(source)
    folded: dict[str, str] = {}  # normalisations without a module
    if not any(unit.label[0] == NORM for unit in theirs):
        folded = {unit.name: "" for unit in ours if unit.label[0] == NORM}
        ours = _without_norms(ours)
    trunk = [unit for unit in ours if not is_head(unit.name)]
    flat = {name for name, array in source.arrays.items() if len(array.shape) == 2}
    dense = [unit for unit in theirs if f"{unit.name}.weight" in flat][-len(HEAD) :]
    maps = [unit for unit in theirs if unit not in dense]
    names = dict(zip(sorted(HEAD)[-len(dense) :], (u.name for u in dense), strict=False))
    for one, two, head in ((ours, theirs, {}), (trunk, maps, names)):
        groups = _groups(one, two, source.graph is not None)
        if groups and one:
            return _paired(model, source, groups) | head | folded
    return {}


def _paired(
    model: keras.Model, source: ArraySource, groups: Iterable[tuple[list, list]]
) -> dict[str, str]:
    pairs = {}
    for ours, theirs in groups:
        for first, second in pairwise(ours):
            if first.name not in second.ancestors:
                raise WeightFileError(
                    f"{source.name} has {theirs[0].name} and {theirs[1].name}, which fit "
                    f"{first.name} and {second.name} of {model.name} in either way; "
                    "expected known names or one order, so give a file of torchvision, "
                    "timm or keras.applications, or one that cnnzoo saved"
                )
        pairs |= {a.name: b.name for a, b in zip(ours, theirs, strict=True)}
    return pairs


def _groups(
    ours: Sequence[Unit], theirs: Sequence[Unit], graph: bool
) -> list[tuple[list[Unit], list[Unit]]]:
    """Units that fit each other, in their orders; none if some fit nothing."""
    for label in (_behind, lambda units: [unit.label for unit in units]):
        mine, other = label(ours), label(theirs)
        if Counter(mine) != Counter(other):
            continue
        if graph:
            mine, other = _refined(ours, mine, theirs, other)
        found: Mapping[Label, tuple[list, list]] = defaultdict(lambda: ([], []))
        for units, labels, side in ((ours, mine, 0), (theirs, other, 1)):
            for unit, name in zip(units, labels, strict=True):
                found[name][side].append(unit)
        if all(len(a) == len(b) for a, b in found.values()):
            return list(found.values())
    return []


def _behind(units: Sequence[Unit]) -> list[Label]:
    """Labels in which a normalisation tells what stands in front of it."""
    labels = {unit.name: unit.label for unit in units}
    found, before = [], ()
    for unit in units:
        front = labels.get(unit.parents[0], ()) if unit.parents else before
        found.append((*unit.label, front) if unit.label[0] == NORM else unit.label)
        before = unit.label
    return found


def _refined(
    ours: Sequence[Unit], mine: list, theirs: Sequence[Unit], other: list
) -> tuple[list, list]:
    """Labels that also tell what stands around each unit, as far as a path leads.

    The colour refinement of Weisfeiler and Leman, on both graphs at once.
    """
    graphs, labels, count = (_edges(ours), _edges(theirs)), (mine, other), 0
    while len(known := {label for side in labels for label in side}) > count:
        count, numbers = len(known), {}
        around = [
            [
                (side[i], *(tuple(sorted(str(side[j]) for j in near)) for near in edges))
                for i, edges in enumerate(graph)
            ]
            for graph, side in zip(graphs, labels, strict=True)
        ]
        labels = [[numbers.setdefault(x, len(numbers)) for x in side] for side in around]
    return labels[0], labels[1]


def _edges(units: Sequence[Unit]) -> list[tuple[list[int], list[int]]]:
    """The places of each unit's parents and children."""
    at = {unit.name: i for i, unit in enumerate(units)}
    edges: list[tuple[list[int], list[int]]] = [([], []) for _ in units]
    for i, unit in enumerate(units):
        for parent in unit.parents:
            edges[i][0].append(at[parent])
            edges[at[parent]][1].append(i)
    return edges


def _without_norms(units: Sequence[Unit]) -> list[Unit]:
    """The units without normalisations, which another library put into kernels."""
    parents = {unit.name: unit.parents for unit in units if unit.label[0] == NORM}

    def through(names: Iterable[str]) -> tuple[str, ...]:
        steps = (through(parents[n]) if n in parents else (n,) for n in names)
        return tuple(dict.fromkeys(name for step in steps for name in step))

    kept = [unit for unit in units if unit.name not in parents]
    return [replace(unit, parents=through(unit.parents)) for unit in kept]


def with_parents(
    steps: Iterable[tuple[str | None, Label, Sequence, Sequence]],
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
        for output in outputs:
            front[output] = feeding
    return list(units.values())


def model_units(model: keras.Model) -> list[Unit]:
    """The layers of a model that have weights, in the graph's order."""
    return with_parents(
        (
            node.operation.name if getattr(node.operation, "weights", ()) else None,
            _label(node.operation),
            [id(tensor) for tensor in node.input_tensors],
            [id(tensor) for tensor in node.outputs],
        )
        for node in graph_nodes(model)
    )


def _label(layer: keras.Operation) -> Label:
    if isinstance(layer, layers.BatchNormalization):
        return NORM, layer.weights[0].shape[0] if layer.weights else 0
    if isinstance(layer, layers.SeparableConv2D):
        return ("separable",)
    if not getattr(layer, "weights", ()):
        return ()
    return shape_label(tuple(reversed(layer.weights[0].shape)))


def shape_label(shape: Sequence[int]) -> Label:
    """Outputs, inputs, then the sides: (w, h) or (h, w), in either order, unless 1."""
    out, *rest = shape
    sides = tuple(rest[1:])
    return (out, *rest[:1], *(sides if set(sides) - {1} else ()))


def source_units(source: ArraySource) -> list[Unit]:
    """The modules of a source that have weights, in their order."""
    found: dict[str, Label] = {}
    for name, array in source.arrays.items():
        module, _, role = name.rpartition(".")
        if role == "running_mean":
            found[module] = (NORM, array.shape[0])
        elif role == "weight" and array.shape:
            out, *rest = array.shape
            found.setdefault(module, shape_label((out, *rest[:1], *rest[:0:-1])))
    if source.graph is None:
        return [Unit(name, label) for name, label in found.items()]
    return with_parents(
        (name, found[name], parents, [name])
        for name, parents in source.graph.items()
        if name in found
    )
