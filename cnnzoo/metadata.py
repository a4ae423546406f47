"""What `build` notes on a model: `model.cnnzoo`."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from cnnzoo.errors import UsageError
from cnnzoo.spec import Preprocess, Spec


@dataclass(frozen=True)
class ModelMetadata:
    """What `model.cnnzoo` tells of a model that `build` made.

    Attributes:
        spec: the network.
        catalog_name: its name in the catalog; None for a spec of the caller's.
        options: the arguments of `build` that make the same graph again.
        preprocessing: what the pixels must go through before the model, or inside it
            where `options["include_preprocessing"]`.
        class_names: one a class, in the order of the outputs; None until they are known.
        on_tensor: whether layers of the caller's stand in front, as an `input_tensor`.
    """

    spec: Spec
    catalog_name: str | None
    options: Mapping[str, object]
    preprocessing: Preprocess
    class_names: tuple[str, ...] | None = None
    on_tensor: bool = False

    @property
    def outside(self) -> Preprocess | None:
        """The preprocessing that the caller owes the model; None where it has its own."""
        return None if self.options["include_preprocessing"] else self.preprocessing


def metadata_of(model: keras.Model) -> ModelMetadata:
    """What `build` noted on the model.

    Raises:
        UsageError: the model was not made by `build` or `load`.
    """
    if not isinstance(getattr(model, "cnnzoo", None), ModelMetadata):
        raise UsageError(
            f"model {model.name!r} does not come from cnnzoo.build or cnnzoo.load, so "
            "its classes and preprocessing are unknown; build it there, or load it with "
            "cnnzoo.load"
        )
    return model.cnnzoo


def catalog_name_of(model: keras.Model) -> str | None:
    """The catalog's name of a network; None for one that is not from there."""
    built = getattr(model, "cnnzoo", None)
    return built.catalog_name if isinstance(built, ModelMetadata) else None
