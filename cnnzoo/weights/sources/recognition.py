"""Which table of names fits the arrays of another library, and behind which prefix."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import keras

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import PREDICTIONS, aux, head, is_aux, is_head
from cnnzoo.weights.sources import onnx_zoo, timm, torchvision
from cnnzoo.weights.sources.renaming import ModuleNames
from cnnzoo.weights.tensors import ArraySource

TABLES: tuple[Mapping[str, ModuleNames], ...] = (
    torchvision.NAMES,
    timm.NAMES,
    onnx_zoo.NAMES,
)
COUNTER = "num_batches_tracked"  # which normalisations of PyTorch have beside their means
LEAST, SURE = 0.5, 0.9  # share of the layers that a table of names must find
HEAD = (PREDICTIONS, head("dense1"), head("dense2"))


def modules_of(names: Iterable[str]) -> set[str]:
    """The modules that arrays belong to, those around them included."""
    found = set()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:i]) for i in range(1, len(parts)))
    return found


def prefixes(names: Collection[str]) -> list[str]:
    """What at least half of the names start with, such as "module."; "" is the first."""
    counts = Counter(
        name[: match.end()] for name in names for match in re.finditer(r"[./]", name)
    )
    return ["", *(p for p, count in counts.items() if 2 * count >= len(names))]


def share(table: ModuleNames, layers: Collection[str], modules: Collection[str]) -> float:
    """The share of the layers whose modules are there."""
    return sum(table.name(layer) in modules for layer in layers) / max(1, len(layers))


def recognise(
    model: keras.Model, source: ArraySource
) -> tuple[ModuleNames | None, ArraySource]:
    """The table of names that fits, and the source without the prefix of its names.

    Raises:
        WeightFileError: The names are those of a network that is another one here.
    """
    spec = getattr(model, "cnnzoo", None) and model.cnnzoo.spec.name
    layers = [layer.name for layer in model.layers if layer.weights]
    layers = [name for name in layers if not is_head(name) and not is_aux(name)]
    views = [(prefix, without(source, prefix)) for prefix in prefixes([*source.arrays])]
    seen = [(modules_of(view.arrays), prefix, view) for prefix, view in views]

    def best(tables: Iterable[ModuleNames]) -> tuple[float, int, ModuleNames] | None:
        rated = [
            (share(table, layers, modules), -i, table)
            for table in tables
            for i, (modules, _, _) in enumerate(seen)
        ]
        return max(rated, key=lambda rating: rating[:2], default=None)

    own = best(_own(spec, source))
    if own and own[0] >= LEAST:
        _, _, view = seen[-own[1]]
        return own[2], replace(view, notes=(*view.notes, f"names of {own[2].family}"))
    rival = best({id(t): t for table in TABLES for t in table.values()}.values())
    if rival and rival[0] >= SURE:
        _refuse(model, source, rival[2])
    return None, seen[0][2]


def _own(spec: str | None, source: ArraySource) -> list[ModuleNames]:
    """The tables of a network; of two that differ in the head, the one that has it."""
    tables = [table[spec] for table in TABLES if spec in table]
    last = {table.name(PREDICTIONS) or "" for table in tables}
    modules = modules_of(source.arrays)
    there = {name for name in last if any(f".{m}".endswith(f".{name}") for m in modules)}
    return sorted(tables, key=lambda table: table.name(PREDICTIONS) not in there)


def without(source: ArraySource, prefix: str) -> ArraySource:
    """The source with the prefix taken from its names; counters are left out."""

    def short(name: str) -> str:
        return name.removeprefix(prefix)

    arrays = {short(n): t for n, t in source.arrays.items() if not n.endswith(COUNTER)}
    notes = (f"names without {prefix!r}",) if prefix else ()
    return replace(
        source,
        arrays=arrays,
        notes=(*source.notes, *notes),
        channels_last=frozenset(map(short, source.channels_last)),
        epsilons={short(name): value for name, value in source.epsilons.items()},
    )


def head_names(table: ModuleNames) -> dict[str, str]:
    """Their names of the layers of the head, each with ours."""
    return {name: layer for layer in HEAD if (name := table.name(layer))}


def layer_of(table: ModuleNames, module: str) -> str:
    """Our name for a module that the model lacks: of a head, or theirs."""
    if re.match(table.aux, f"{module}."):
        return f"{aux(1)}_{module}"
    return head_names(table).get(module, module)


def _refuse(model: keras.Model, source: ArraySource, table: ModuleNames) -> None:
    """Names the network whose graph the weights belong to."""
    fits = [name for tables in TABLES for name, t in tables.items() if t is table]
    own = model.cnnzoo.spec.name if hasattr(model, "cnnzoo") else model.name
    near = [name for name in fits if name.startswith(f"{own.partition('_')[0]}_")]
    build = ", ".join(near or fits)
    raise WeightFileError(
        f"{source.name} has {table.family}'s names of {build}, and {model.name} is "
        f"{own}, whose graph computes other numbers with them; build {build} instead"
    )
