"""The builders by their usual names, VGG16(...) and so on.

Each is `build` with a catalog name. The signature that all share is written once, as
the Protocol `Builder`, for editors, type checkers and `help()`; a family with options
of its own adds them in a Protocol of its own.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, Unpack

import keras
from keras import KerasTensor

from cnnzoo.layers.blocks import Activation
from cnnzoo.models.catalog import SPECS
from cnnzoo.models.cifar_resnet import Shortcut
from cnnzoo.models.index import ModelInfo, model_info
from cnnzoo.models.lenet import Subsampling
from cnnzoo.spec import Preprocess, Stem
from cnnzoo.zoo import build

Weights = str | Path | None
Shape = tuple[int | None, ...] | None
Pooling = Literal["avg", "max"] | None
Initializer = str | keras.Initializer | None


class Builder(Protocol):
    """What every builder takes; `cnnzoo.build` tells what the arguments mean."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        input_tensor: KerasTensor | None = None,
        input_shape: Shape = None,
        pooling: Pooling = None,
        classes: int | None = None,
        classifier_activation: Activation = "softmax",
        name: str | None = None,
        *,
        include_preprocessing: bool = False,
        preprocessing: str | Preprocess | None = None,
        dropout: float | None = None,
        activation: Activation = None,
        kernel_initializer: Initializer = None,
        weight_decay: float | None = None,
        class_names: Sequence[str] | None = None,
    ) -> keras.Model: ...


class Common(TypedDict, total=False):
    """The same arguments behind `weights`, for the Protocols below."""

    input_tensor: KerasTensor | None
    input_shape: Shape
    pooling: Pooling
    classes: int | None
    classifier_activation: Activation
    name: str | None
    include_preprocessing: bool
    preprocessing: str | Preprocess | None
    dropout: float | None
    activation: Activation
    kernel_initializer: Initializer
    weight_decay: float | None
    class_names: Sequence[str] | None


class LeNetBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        subsampling: Subsampling = "max",
        **common: Unpack[Common],
    ) -> keras.Model: ...


class MLPBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        depth: int = 2,
        width: int = 512,
        **common: Unpack[Common],
    ) -> keras.Model: ...


class SimpleCNNBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        filters: Sequence[int] = (32, 64),
        pools: int = 1,
        dense: Sequence[int] = (128,),
        batch_norm: bool = False,
        global_pooling: bool = False,
        **common: Unpack[Common],
    ) -> keras.Model: ...


class StemBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        stem: Stem = "paper",
        **common: Unpack[Common],
    ) -> keras.Model: ...


class InceptionBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        stem: Stem = "paper",
        aux_heads: bool = False,
        **common: Unpack[Common],
    ) -> keras.Model: ...


class CifarResNetBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        shortcut: Shortcut = "A",
        **common: Unpack[Common],
    ) -> keras.Model: ...


class SmallResNetBuilder(Protocol):
    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = None,
        *,
        shared_slope: bool = False,
        last_gamma: float = 0.2,
        **common: Unpack[Common],
    ) -> keras.Model: ...


def _builder(name: str) -> Any:
    """`build` of the network that bears this name in the catalog's spelling."""
    spec = next(s for s in SPECS.values() if s.name.replace("_", "") == name.lower())
    signature = inspect.signature(Builder.__call__)
    _, *shared = signature.parameters.values()
    signature = signature.replace(parameters=[*shared, *spec.own_options.values()])

    def builder(*args: Any, **kwargs: Any) -> keras.Model:
        return build(spec.name, **signature.bind(*args, **kwargs).arguments)

    builder.__name__ = builder.__qualname__ = name
    builder.__signature__ = signature
    builder.__doc__ = _docstring(model_info(spec.name), spec.configure)
    return builder


def _docstring(info: ModelInfo, configure: Any) -> str:
    """What the catalog knows of the network, and what `build` says of its arguments."""
    height, width, channels = info.input_shape
    source = info.paper and f"{info.paper.title}, {info.paper.year}, {info.paper.url}"
    build_says = inspect.getdoc(build) or ""
    _, _, arguments = build_says.partition("    model: a catalog name, or a `Spec`.\n")
    arguments, _, _ = arguments.partition("    **options:")
    lines = [
        f"Builds `{info.name}`: {info.parameters:,} parameters at "
        f"{height}x{width}x{channels}, {info.classes} classes.",
        "",
        f"Images (b, h, w, c) of at least {info.min_size}x{info.min_size} pixels and any "
        "number of channels.",
        *(["", "Own options: " + (inspect.getdoc(configure) or "")] if configure else []),
        "",
        "Args:",
        arguments.rstrip(),
        "",
        "Returns: probabilities (b, classes), rows sum to 1, or what the arguments ask.",
        "Raises: cnnzoo.UsageError for an argument that cannot be right.",
        f"Differs: {info.differences or 'in nothing known.'}",
        f"Source: {source or 'our own design'}.",
    ]
    return "\n".join(lines)


LeNet5: LeNetBuilder = _builder("LeNet5")
LeNetGAP: Builder = _builder("LeNetGAP")
MLP: MLPBuilder = _builder("MLP")
SimpleCNN: SimpleCNNBuilder = _builder("SimpleCNN")
ShapesCNN: Builder = _builder("ShapesCNN")
AlexNet: StemBuilder = _builder("AlexNet")
CaffeNet: StemBuilder = _builder("CaffeNet")
ZFNet: StemBuilder = _builder("ZFNet")
ZFNet512: StemBuilder = _builder("ZFNet512")
NiN: StemBuilder = _builder("NiN")
VGG11: StemBuilder = _builder("VGG11")
VGG13: StemBuilder = _builder("VGG13")
VGG16: StemBuilder = _builder("VGG16")
VGG19: StemBuilder = _builder("VGG19")
VGG11BN: StemBuilder = _builder("VGG11BN")
VGG13BN: StemBuilder = _builder("VGG13BN")
VGG16BN: StemBuilder = _builder("VGG16BN")
VGG19BN: StemBuilder = _builder("VGG19BN")
SmallVGG: Builder = _builder("SmallVGG")
VerySmallVGG: Builder = _builder("VerySmallVGG")
InceptionV1: InceptionBuilder = _builder("InceptionV1")
GoogLeNet: InceptionBuilder = InceptionV1
InceptionV2: InceptionBuilder = _builder("InceptionV2")
InceptionV3: InceptionBuilder = _builder("InceptionV3")
InceptionV4: InceptionBuilder = _builder("InceptionV4")
InceptionResNetV1: InceptionBuilder = _builder("InceptionResNetV1")
InceptionResNetV2: InceptionBuilder = _builder("InceptionResNetV2")
Xception: StemBuilder = _builder("Xception")
ResNet18: StemBuilder = _builder("ResNet18")
ResNet34: StemBuilder = _builder("ResNet34")
ResNet50: StemBuilder = _builder("ResNet50")
ResNet101: StemBuilder = _builder("ResNet101")
ResNet152: StemBuilder = _builder("ResNet152")
ResNet18V2: StemBuilder = _builder("ResNet18V2")
ResNet34V2: StemBuilder = _builder("ResNet34V2")
ResNet50V2: StemBuilder = _builder("ResNet50V2")
ResNet101V2: StemBuilder = _builder("ResNet101V2")
ResNet152V2: StemBuilder = _builder("ResNet152V2")
ResNet20: CifarResNetBuilder = _builder("ResNet20")
ResNet32: CifarResNetBuilder = _builder("ResNet32")
ResNet44: CifarResNetBuilder = _builder("ResNet44")
ResNet56: CifarResNetBuilder = _builder("ResNet56")
ResNet110: CifarResNetBuilder = _builder("ResNet110")
SmallResNet: SmallResNetBuilder = _builder("SmallResNet")
