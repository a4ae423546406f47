"""Weights of any source under our names of layers: names, then layouts."""

from collections.abc import Collection, Iterable
from dataclasses import replace

import keras

from cnnzoo.layer_names import HEAD, PREDICTIONS, aux
from cnnzoo.weights.alignment import by_order
from cnnzoo.weights.sources import keras_applications
from cnnzoo.weights.sources.recognition import is_auxiliary, recognise
from cnnzoo.weights.tensors import ArraySource, Key, WeightSource
from cnnzoo.weights.torch_layout import Conversion

BY_ORDER = "no known names, so layers by order and shape"


def translate(model: keras.Model, source: WeightSource | ArraySource) -> WeightSource:
    """The tensors for the model's layers, with what is left over under other names.

    Raises:
        WeightFileError: The source belongs to another network, or its modules fit the
            layers in several ways.
    """
    layers = [layer.name for layer in model.layers if layer.weights]
    if isinstance(source, WeightSource):
        return _renamed(model, source, layers)
    found, names, notes = recognise(model, source), {}, source.notes
    if found:
        table, prefix = found.table, found.prefix
        names = {layer: table.name(layer) for layer in (*layers, *HEAD)}
        names = {layer: f"{prefix}{name}" for layer, name in names.items() if name}
    else:
        names, notes = by_order(model, source), (*notes, BY_ORDER)
    modules = {name.rpartition(".")[0] for name in source.arrays}
    kernels = (name for name, array in source.arrays.items() if len(array.shape) == 2)
    dense = [name.removesuffix(".weight") for name in kernels]
    names = _with_classifier(names, modules, dense)
    conversion = Conversion(model, source, names)
    tensors = dict(conversion.tensors())
    heads = {name: layer for layer, name in names.items() if layer not in layers}
    for name, array in source.arrays.items():
        if name not in conversion.used and array.shape:  # others are counters
            module, _, role = name.rpartition(".")
            other = f"{aux(1)}_{module}" if is_auxiliary(name) else module
            tensors.setdefault(Key(heads.get(module, other), role), array)
    return WeightSource(
        source.name,
        tensors,
        preprocessing=found and found.table.preprocessing,
        notes=notes,
        family=found.table.family if found else "",
        prefix=found.prefix if found else "",
    )


def _renamed(
    model: keras.Model, source: WeightSource, layers: Collection[str]
) -> WeightSource:
    """A source of Keras's layers, which have our names, Keras's own, or unknown ones."""
    theirs = dict.fromkeys(key.layer for key in source.tensors)
    name_map = keras_applications.name_map_of(model)
    family, notes = keras_applications.FAMILY, source.notes
    if theirs.keys() & set(layers) - {PREDICTIONS}:
        names, family = dict(zip(layers, layers, strict=True)), source.family
    else:
        names = name_map.names(model, theirs, source.name) if name_map else {}
    if not theirs.keys() & {*names.values()}:
        names = by_order(model, source)
        family, notes = "", (*notes, BY_ORDER)
    kernels = (key for key, tensor in source.tensors.items() if len(tensor.shape) == 2)
    names = _with_classifier(names, theirs, [key.layer for key in kernels])
    ours = {name: layer for layer, name in names.items()}
    tensors = {
        Key(ours.get(key.layer, key.layer), key.place): tensor
        for key, tensor in source.tensors.items()
    }
    return replace(source, tensors=tensors, family=family, notes=notes)


def _with_classifier(
    names: dict[str, str], theirs: Collection[str], dense: Iterable[str]
) -> dict[str, str]:
    """The names with that of the classifier, which people replace by one of their own."""
    if not names or names.get(PREDICTIONS) in theirs:
        return names
    taken = {*names.values()}
    free = [name for name in dense if name not in taken and not is_auxiliary(name)]
    return names | ({PREDICTIONS: free[0]} if len(free) == 1 else {})
