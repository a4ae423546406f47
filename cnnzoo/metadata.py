"""The metadata of a model that `build` made: `model.cnnzoo`."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from cnnzoo.errors import UsageError
from cnnzoo.spec import Geometry, Preprocess, Spec


@dataclass(frozen=True)
class ModelMetadata:
    """What `model.cnnzoo` is, for a model that `build` or `load` made.

    Attributes:
        spec: Description of the network.
        catalog_name: Name in the catalog; None for a spec of the caller's.
        options: Arguments of `build` that make the same graph again.
        preprocessing: Preprocessing that the pixels need, before the model or, where
            `options["include_preprocessing"]`, inside it.
        class_names: One name per class, in the order of the outputs; None if unknown.
        geometry: How pictures of other sizes become the model's; None to stretch them.
        on_tensor: Whether the network stands on layers of the caller's (`input_tensor`).
    """

    spec: Spec
    catalog_name: str | None
    options: Mapping[str, object]
    preprocessing: Preprocess
    class_names: tuple[str, ...] | None = None
    geometry: Geometry | None = None
    on_tensor: bool = False

    @property
    def outside(self) -> Preprocess | None:
        """The preprocessing that the caller owes the model; None where it has its own."""
        return None if self.options["include_preprocessing"] else self.preprocessing


def metadata_of(model: keras.Model) -> ModelMetadata:
    """The metadata of the model.

    Raises:
        UsageError: The model was not made by `build` or `load`.
    """
    if not isinstance(getattr(model, "cnnzoo", None), ModelMetadata):
        raise UsageError(
            f"model {model.name!r} does not come from cnnzoo.build or cnnzoo.load, so "
            "its classes and preprocessing are unknown; build it there, or load it with "
            "cnnzoo.load"
        )
    return model.cnnzoo


def geometry_of(model: keras.Model) -> Geometry | None:
    """How pictures become the model's size; None to stretch them, as for other models."""
    metadata = getattr(model, "cnnzoo", None)
    return metadata.geometry if isinstance(metadata, ModelMetadata) else None


def catalog_name_of(model: keras.Model) -> str | None:
    """The model's name in the catalog; None for one that is not from there."""
    metadata = getattr(model, "cnnzoo", None)
    return metadata.catalog_name if isinstance(metadata, ModelMetadata) else None
