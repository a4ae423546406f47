"""What comes with weights: preprocessing, class names and geometry of their library."""

from collections.abc import Sequence
from dataclasses import replace

from cnnzoo.data.folders import imagenet
from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import CLASSIFIERS
from cnnzoo.metadata import ModelMetadata
from cnnzoo.spec import Preprocess, resolve
from cnnzoo.weights.sources import geometries
from cnnzoo.weights.tensors import WeightSource

IMAGENET_BIASES = {(1000,), (1001,)}  # of classifiers, of which one has the background


def with_preprocessing(
    metadata: ModelMetadata, source: WeightSource, model: str
) -> ModelMetadata:
    """The metadata with the preprocessing that weights of another library need.

    Args:
        model: Name of the model, for messages.

    Raises:
        WeightFileError: The model itself prepares pixels in another way.
    """
    mode: str | Preprocess | None = source.preprocessing
    if mode is None and source.family:
        mode = metadata.spec.preprocessing
    if mode is None or resolve(mode) == metadata.preprocessing:
        return metadata
    if metadata.outside is None:
        raise WeightFileError(
            f"{source.name} needs pixels prepared as {mode!r}, and {model}, which is "
            "unchanged, prepares them in another way; build it with "
            f"preprocessing={mode!r}"
        )
    return replace(metadata, preprocessing=resolve(mode))


def with_imagenet(
    metadata: ModelMetadata, source: WeightSource, new: Sequence[str]
) -> ModelMetadata:
    """The metadata with ImageNet's class names and geometry, if the weights have them.

    Args:
        new: Weights of the model's head that keep their values.
    """
    if not source.family or not is_imagenet(source):
        return metadata
    if not new:
        metadata = with_class_names(metadata, imagenet.class_names())
    own = geometries.geometry(source.family, metadata.spec.name)
    return replace(metadata, geometry=metadata.geometry or own)


def is_imagenet(source: WeightSource) -> bool:
    """Whether a source has no classifier, or one with as many classes as ImageNet."""
    return IMAGENET_BIASES.issuperset(
        tensor.shape
        for key, tensor in source.tensors.items()
        if key.layer.endswith(CLASSIFIERS) and len(tensor.shape) == 1
    )


def with_class_names(metadata: ModelMetadata, names: Sequence[str]) -> ModelMetadata:
    """The metadata with class names, if a classifier of as many classes has none."""
    fits = metadata.options["include_top"] and metadata.options["classes"] == len(names)
    if metadata.class_names is not None or not fits:
        return metadata
    return replace(metadata, class_names=tuple(names))
