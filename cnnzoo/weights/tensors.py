"""Sources of weights: tensors by layer and place, which are read on demand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnnzoo.errors import SaveError, WeightFileError
from cnnzoo.layer_names import is_preprocess

if TYPE_CHECKING:
    import keras

POOL = "pool"  # what stands between two modules


class Key(NamedTuple):
    """The name of a layer, and a weight's place among its weights: "0", "1", ..."""

    layer: str
    place: str


@dataclass(frozen=True)
class Tensor:
    """An array that is read on demand.

    Attributes:
        name: Names of layer and weight in the source.
        shape: Shape of the array.
        dtype: Type of its values, such as "float32".
        read: Function that reads the array.
        kind: Kind of the layer, as `kind` names it; None if unknown.
        weight: Name that Keras gives the weight, such as "kernel"; None if unknown.
        change: What is done to it on the way, such as "transposed"; "" for nothing.
        epsilon: Epsilon of its normalisation, for a variance; None if unknown.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    kind: str | None = None
    weight: str | None = None
    change: str = ""
    epsilon: float | None = None


Tensors = Mapping[Key, Tensor]


@dataclass(frozen=True)
class WeightSource:
    """Tensors by layer, in Keras's layout.

    Attributes:
        name: Name of the source in messages, such as the path of a file.
        tensors: Tensors by layer and place.
        network: Catalog name of the network that they belong to; None if unknown.
        preprocessing: Mode that the weights need; None if unknown.
        notes: What was recognised, each in a few words.
        family: Where its names come from, such as "torchvision"; "" for our own.
        prefix: What stands in front of all names, such as "module.".
        ordered: Whether the tensors are in the order of the layers.
    """

    name: str
    tensors: Tensors
    network: str | None = None
    preprocessing: str | None = None
    notes: tuple[str, ...] = ()
    family: str = ""
    prefix: str = ""
    ordered: bool = False


@dataclass(frozen=True)
class ArraySource:
    """Arrays of another library, by name, in PyTorch's layout.

    Kernels are (out, in, h, w), dense ones (out, in). A name is that of a module, a dot,
    and `weight`, `bias`, `running_mean` or `running_var`.

    Attributes:
        name: Name of the source in messages, such as the path of a file.
        arrays: Arrays by name.
        notes: What was recognised, each in a few words.
        ordered: Whether the arrays are in the order of the modules.
        channels_last: Names of dense kernels whose inputs are flattened (h, w, c).
        epsilons: Epsilons of normalisations, by module, where they are known.
        graph: Modules that feed each module, in order, where they are known; behind a
            pool, `POOL` is one of them.
    """

    name: str
    arrays: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    ordered: bool = False
    channels_last: frozenset[str] = frozenset()
    epsilons: Mapping[str, float] = field(default_factory=dict)
    graph: Mapping[str, tuple[str, ...]] | None = None


def damaged(source: object, found: str) -> WeightFileError:
    """The error for a file that is not as it was written."""
    return WeightFileError(
        f"{source} {found}; it was cut or damaged, so get it again, unless it is a file "
        "of another kind"
    )


def inner_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model, and those of the models in it in place of these."""
    from keras import Model

    for layer in model.layers:
        yield from inner_layers(layer) if isinstance(layer, Model) else [layer]


def variables(model: keras.Model) -> dict[Key, tuple[keras.Layer, keras.Variable]]:
    """The weights of a model and of those in it, each with its layer.

    Of layers of one name, as two inner models may have them, the later get a sign.
    """
    found: dict[Key, tuple[keras.Layer, keras.Variable]] = {}
    for layer in inner_layers(model):
        name = layer.name
        while Key(name, "0") in found:
            name += "_"
        found |= {Key(name, str(i)): (layer, v) for i, v in enumerate(layer.weights)}
    return found


def nonfinite_weights(model: keras.Model) -> list[str]:
    """Weights that hold NaN or infinity, as "layer/weight"."""
    from keras import backend, ops

    return [
        f"{layer.name}/{variable.name}"
        for layer, variable in variables(model).values()
        if backend.is_float_dtype(variable.dtype)
        and not ops.all(ops.isfinite(variable.value))
    ]


def check_finite(model: keras.Model) -> None:
    """Raises SaveError if a weight is NaN or infinite, which no file may hold."""
    if bad := nonfinite_weights(model):
        raise SaveError(
            f"{model.name} has {len(bad)} weights that hold NaN or infinity, such as "
            f"{bad[0]}, so nothing was written; train again with a lower learning rate"
        )


def digest(weights: Iterable[keras.Variable]) -> str:
    """SHA-256 of the values of weights, in hexadecimal digits."""
    from keras import ops

    hashed = hashlib.sha256()
    for weight in weights:
        hashed.update(ops.convert_to_numpy(weight.value).tobytes())
    return hashed.hexdigest()


def snake_case(class_name: str) -> str:
    """The name of a class as Keras spells it in files, such as "conv2d_transpose"."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def kind(layer: keras.Layer) -> str:
    """The kind of a layer, as Keras spells its class."""
    return snake_case(type(layer).__name__)


def pixel_notes(kind: str, config: Mapping) -> list[str]:
    """What the config of a layer tells of the pixels that it takes, if anything."""
    name, what = str(config.get("name")), "runs code of its own"
    if kind == "rescaling" and not is_preprocess(name):
        scale, offset = config.get("scale"), config.get("offset")
        what = f"takes pixels times {scale!r:.40} plus {offset!r:.40}"
    elif kind != "lambda":
        return []
    return [f"its {name!r:.80} {what}, which is to be done likewise"]


def of_model(model: keras.Model) -> WeightSource:
    """The weights of a model, as a source."""
    from cnnzoo.metadata import catalog_name_of

    tensors = {
        key: Tensor(
            name=f"{layer.name}/{variable.name}",
            kind=kind(layer),
            weight=variable.name,
            shape=tuple(variable.shape),
            dtype=variable.dtype,
            read=variable.numpy,
            epsilon=getattr(layer, "epsilon", None),
        )
        for key, (layer, variable) in variables(model).items()
    }
    parts = inner_layers(model)
    notes = tuple(note for part in parts for note in pixel_notes(kind(part), vars(part)))
    name = f"the model {model.name!r}"
    return WeightSource(name, tensors, catalog_name_of(model), notes=notes, ordered=True)
