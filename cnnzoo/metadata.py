"""The metadata of a model that `build` or `adopt` made: `model.cnnzoo`.

Pickle and `copy.deepcopy` keep them, by a `__reduce__` of the instance; its class does
not change. `keras.models.clone_model` asks the class alone, so write afterwards
`clone.cnnzoo = model.cnnzoo`, or copy by `copy.deepcopy`, which keeps the weights too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import keras

from cnnzoo.calibration import TEMPERATURE
from cnnzoo.errors import UsageError
from cnnzoo.fast import accelerate
from cnnzoo.spec import Geometry, Preprocess, Spec
from cnnzoo.system.validation import check_values


@dataclass(frozen=True)
class ModelMetadata:
    """What `model.cnnzoo` is, for a model that `build`, `load` or `adopt` made.

    Attributes:
        spec: Description of the network.
        catalog_name: Name in the catalog; None for a spec of the caller's.
        options: Arguments of `build` that make the same graph again.
        preprocessing: Preprocessing that the pixels need, before the model or, where
            `options["include_preprocessing"]`, inside it.
        class_names: One name per class, in the order of the outputs; None if unknown.
        geometry: How pictures of other sizes become the model's; None to stretch them.
        on_tensor: Whether the network stands on layers of the caller's (`input_tensor`).
        weights: Name of the file or other source that the weights were last loaded from,
            whatever training came after; None for none.
        temperature: T of the probabilities p^(1/T), scaled to a sum of 1, that `predict`
            and `evaluate` of cnnzoo give, 0.05 to 20; `keras.Model.predict` gives p. It
            is 1.0 until `train.Run`, `transfer.fit` or `inference.calibrate` fits it, and
            again for other weights (`load_weights`) and a new classifier.

    Raises:
        UsageError: The temperature is out of range.
    """

    spec: Spec
    catalog_name: str | None
    options: Mapping[str, object]
    preprocessing: Preprocess
    class_names: tuple[str, ...] | None = None
    geometry: Geometry | None = None
    on_tensor: bool = False
    weights: str | None = field(default=None, compare=False)
    temperature: float = 1.0

    def __post_init__(self):
        check_values("describe a model", vars(self), {"temperature": TEMPERATURE})

    @property
    def outside(self) -> Preprocess | None:
        """Preprocessing to apply before the model; None if the model includes it."""
        return None if self.options["include_preprocessing"] else self.preprocessing


def attach(model: keras.Model, metadata: ModelMetadata) -> None:
    """Gives a model its metadata, which its pickles and deep copies have too."""
    model.cnnzoo = metadata
    model.__reduce__ = MethodType(_reduce, model)


def _reduce(self: Any) -> tuple:
    is_fast = "compile" in vars(self)  # by `accelerate`
    return _restore, (*self.__class__.__reduce__(self), self.cnnzoo, is_fast)


def _restore(make: Callable, arguments: tuple, metadata: ModelMetadata, is_fast: bool):
    model = make(*arguments)
    attach(model, metadata)
    return accelerate(model) if is_fast else model


def find_metadata(model: keras.Model) -> ModelMetadata | None:
    """The metadata of the model; None if it was not made by cnnzoo."""
    found = getattr(model, "cnnzoo", None)
    return found if isinstance(found, ModelMetadata) else None


def metadata_of(model: keras.Model) -> ModelMetadata:
    """The metadata of the model.

    Raises:
        UsageError: The model was not made by `build`, `load` or `adopt`.
    """
    if found := find_metadata(model):
        return found
    raise UsageError(
        f"model {model.name!r} does not come from cnnzoo.build or cnnzoo.load, so its "
        "classes and preprocessing are unknown; pass it to cnnzoo.adopt"
    )


def geometry_of(model: keras.Model) -> Geometry | None:
    """How pictures become the model's size; None to stretch them, as for other models."""
    found = find_metadata(model)
    return found and found.geometry


def catalog_name_of(model: keras.Model) -> str | None:
    """The model's name in the catalog; None for one that is not from there."""
    found = find_metadata(model)
    return found and found.catalog_name
