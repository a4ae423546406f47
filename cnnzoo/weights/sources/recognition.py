"""Which table of names fits the arrays of another library, and behind which prefix."""

import re
from typing import NamedTuple

import keras

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import HEAD, is_aux, is_head
from cnnzoo.weights.sources.keras_applications import FAMILY
from cnnzoo.weights.sources.name_tables import NameTable, name_tables
from cnnzoo.weights.tensors import ArraySource

AUXILIARY = re.compile(r"aux|criterion|(^|[._])loss(?!\d)|class_weights")
LEAST, SURE = 0.5, 0.9  # share of the layers that a table of names must find


class Recognition(NamedTuple):
    """A table of names that a source may have.

    Attributes:
        share: Share of the trunk's layers whose modules are there, 0 to 1.
        heads: Number of the layers of the head whose modules are there.
        table: The names.
        prefix: What stands in front of all of them, such as "module.".
    """

    share: float
    heads: int
    table: NameTable
    prefix: str


def recognise(model: keras.Model, source: ArraySource) -> Recognition | None:
    """The table of names that fits; None if none does.

    Raises:
        WeightFileError: The names are those of a network that is another one here.
    """
    own = model.cnnzoo.spec.name if hasattr(model, "cnnzoo") else model.name
    names = [layer.name for layer in model.layers if layer.weights]
    trunk = [name for name in names if not is_head(name) and not is_aux(name)]
    modules = {
        name[: dot.start()] for name in source.arrays for dot in re.finditer(r"\.", name)
    }

    tables = [table for table in name_tables() if table.family != FAMILY]
    rated = [_rate(table, trunk, modules) for table in tables]
    rated = sorted(rated, key=lambda found: found[:2], reverse=True)
    fitting = (f for f in rated if f.share >= LEAST and own in f.table.networks)
    found, rival = next(fitting, None), rated[0]
    if found and (found.share == rival.share or rival.share < SURE):
        return found
    if rival.share >= SURE:
        fits = rival.table.networks
        near = [name for name in fits if name.startswith(f"{own.partition('_')[0]}_")]
        build = ", ".join(near or fits)
        raise WeightFileError(
            f"{source.name} has {rival.table.family}'s names of {build}, and "
            f"{model.name} is {own}, whose graph computes other numbers with them; "
            f"build {build} instead"
        )
    return None


def is_auxiliary(module: str) -> bool:
    """Whether a name is that of an auxiliary classifier or a loss in some library."""
    return bool(AUXILIARY.search(module.lower()))


def _rate(table: NameTable, trunk: list[str], modules: set[str]) -> Recognition:
    """How much of a network a table finds, behind the best prefix."""
    names = [table.name(layer) for layer in trunk]
    first = names[0] if names else None
    prefixes = {m.removesuffix(first) for m in modules if first and m.endswith(first)}
    best, prefix = max(
        ((sum(f"{p}{name}" in modules for name in names), p) for p in sorted(prefixes)),
        default=(0, ""),
    )
    heads = sum(f"{prefix}{table.name(layer)}" in modules for layer in HEAD)
    return Recognition(best / max(1, len(trunk)), heads, table, prefix)
