"""Arrays of another library as a source for one model: names, then layouts."""

from collections import Counter
from dataclasses import replace

import keras

from cnnzoo.layer_names import PREDICTIONS, is_aux
from cnnzoo.weights.alignment import by_order
from cnnzoo.weights.sources.keras_applications import name_map_of
from cnnzoo.weights.sources.recognition import head_names, layer_of, recognise
from cnnzoo.weights.sources.renaming import ModuleNames
from cnnzoo.weights.tensors import ArraySource, Key, WeightSource
from cnnzoo.weights.torch_layout import NORM_ROLES, Conversion

BY_ORDER = "no known names, so layers by order and shape"
UNKNOWN = ModuleNames("", ())


def translate(model: keras.Model, source: ArraySource) -> WeightSource:
    """The arrays as tensors of the model's layers, with what is left over.

    Raises:
        WeightFileError: The arrays belong to another network, or layers and modules fit
            each other in several ways.
    """
    table, source = recognise(model, source)
    layers = [layer.name for layer in model.layers if layer.weights]
    if table:
        modules = {name: theirs for name in layers if (theirs := table.name(name))}
        notes = source.notes
    else:
        table, modules = UNKNOWN, by_order(model, source)
        notes = (*source.notes, BY_ORDER)
    modules |= _classifier(source, modules, table)
    conversion = Conversion(model, source, modules)
    tensors = dict(conversion.tensors())
    heads = {module: layer for layer, module in modules.items() if layer not in layers}
    for name, array in source.arrays.items():
        if name not in conversion.used:
            module, _, role = name.rpartition(".")
            layer = heads.get(module) or layer_of(table, module)
            tensors.setdefault(Key(layer, role), array)
    return WeightSource(
        source.name,
        tensors,
        preprocessing=table.preprocessing,
        notes=notes,
        translated=True,
    )


def _classifier(
    source: ArraySource, modules: dict[str, str], table: ModuleNames
) -> dict[str, str]:
    """The module that stands for the classifier, if another one than in the table does.

    People put their own in its place, such as Dropout and Linear: `fc.1` for `fc`.
    """
    known = table.name(PREDICTIONS)
    if not known or f"{known}.weight" in source.arrays:
        return {}
    taken = {*modules.values(), *head_names(table)}
    dense = [
        module
        for name, array in source.arrays.items()
        if len(array.shape) == 2 and (module := name.removesuffix(".weight")) not in taken
    ]
    dense = [module for module in dense if not is_aux(layer_of(table, module))]
    return {PREDICTIONS: dense[0]} if len(dense) == 1 else {}


def by_names_or_order(model: keras.Model, source: WeightSource) -> WeightSource:
    """A source of Keras's, whose layers go by order where no names are known."""
    own = {layer.name for layer in model.layers if layer.weights} - {PREDICTIONS}
    known = name_map_of(model) or own & {key.layer for key in source.tensors}
    return source if known else translate(model, _as_arrays(source))


def _as_arrays(source: WeightSource) -> ArraySource:
    """The tensors of Keras's layers in PyTorch's layout."""
    arrays, dense = {}, set()
    counts = Counter(key.layer for key in source.tensors)
    for (layer, place), tensor in source.tensors.items():
        sides = len(tensor.shape)
        norm = sides == 1 and counts[layer] > len(NORM_ROLES) - 2
        roles = NORM_ROLES[-counts[layer] :] if norm else ("weight", "bias")
        if not place.isdigit() or int(place) >= len(roles):
            continue
        name = f"{layer}.{roles[int(place)]}"
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(sides, tuple(range(sides)))
        arrays[name] = replace(
            tensor,
            name=name,
            shape=tuple(tensor.shape[axis] for axis in axes),
            read=lambda tensor=tensor, axes=axes: tensor.read().transpose(axes),
        )
        dense |= {name} if sides == 2 else set()
    return ArraySource(source.name, arrays, channels_last=frozenset(dense))
