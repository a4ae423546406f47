"""The builders by their usual names, VGG16(...) and so on.

Each is `build` with a catalog name. What it takes is a class of `cnnzoo.zoo.options`, by
which editors, type checkers and `help()` know every keyword and its type.
"""

import inspect
from collections.abc import Callable
from typing import ParamSpec

import keras

from cnnzoo.models.catalog import SPECS
from cnnzoo.models.index import model_info
from cnnzoo.spec import Spec
from cnnzoo.zoo import build
from cnnzoo.zoo.options import (
    BuildOptions,
    CifarResNetOptions,
    InceptionOptions,
    LeNetOptions,
    MLPOptions,
    SimpleCNNOptions,
    SmallResNetOptions,
    StemOptions,
    arguments_doc,
)

P = ParamSpec("P")
_SPECS = {name.replace("_", ""): spec for name, spec in SPECS.items()}


def _builder(name: str, options: Callable[P, BuildOptions]) -> Callable[P, keras.Model]:
    """`build` of the network that bears this name in the catalog's spelling."""
    spec = _SPECS[name.lower()]
    signature = inspect.signature(options).replace(return_annotation=keras.Model)
    make: Callable[..., keras.Model] = build

    def builder(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
        return make(spec.name, *args, **kwargs)

    builder.__name__ = builder.__qualname__ = name
    builder.__signature__ = signature
    builder.__doc__ = _docstring(spec)
    return builder


def _docstring(spec: Spec) -> str:
    """What the catalog knows of the network, and what its arguments mean."""
    info = model_info(spec.name)
    height, width, channels = info.input_shape
    source = info.paper and f"{info.paper.title}, {info.paper.year}, {info.paper.url}"
    own = spec.configure and f"Own options: {inspect.getdoc(spec.configure)}\n\n"
    return f"""Builds `{info.name}`: {info.parameters:,} parameters at \
{height}x{width}x{channels}, {info.classes} classes.

Images (b, h, w, c) of at least {info.min_size}x{info.min_size} pixels and any number of
channels.

{own or ""}Args:
{arguments_doc()}

Returns:
    A `keras.Model`, images to probabilities (b, classes).

Raises:
    UsageError: An argument is invalid.

Differences: {info.differences or "none known."}
Source: {source or "our own design"}.
"""


LeNet5 = _builder("LeNet5", LeNetOptions)
LeNetGAP = _builder("LeNetGAP", BuildOptions)
MLP = _builder("MLP", MLPOptions)
SimpleCNN = _builder("SimpleCNN", SimpleCNNOptions)
ShapesCNN = _builder("ShapesCNN", BuildOptions)
AlexNet = _builder("AlexNet", StemOptions)
CaffeNet = _builder("CaffeNet", StemOptions)
ZFNet = _builder("ZFNet", StemOptions)
ZFNet512 = _builder("ZFNet512", StemOptions)
NiN = _builder("NiN", StemOptions)
VGG11 = _builder("VGG11", StemOptions)
VGG13 = _builder("VGG13", StemOptions)
VGG16 = _builder("VGG16", StemOptions)
VGG19 = _builder("VGG19", StemOptions)
VGG11BN = _builder("VGG11BN", StemOptions)
VGG13BN = _builder("VGG13BN", StemOptions)
VGG16BN = _builder("VGG16BN", StemOptions)
VGG19BN = _builder("VGG19BN", StemOptions)
SmallVGG = _builder("SmallVGG", BuildOptions)
VerySmallVGG = _builder("VerySmallVGG", BuildOptions)
InceptionV1 = _builder("InceptionV1", InceptionOptions)
GoogLeNet = InceptionV1
InceptionV2 = _builder("InceptionV2", InceptionOptions)
InceptionV3 = _builder("InceptionV3", InceptionOptions)
InceptionV4 = _builder("InceptionV4", InceptionOptions)
InceptionResNetV1 = _builder("InceptionResNetV1", InceptionOptions)
InceptionResNetV2 = _builder("InceptionResNetV2", InceptionOptions)
Xception = _builder("Xception", StemOptions)
ResNet18 = _builder("ResNet18", StemOptions)
ResNet34 = _builder("ResNet34", StemOptions)
ResNet50 = _builder("ResNet50", StemOptions)
ResNet101 = _builder("ResNet101", StemOptions)
ResNet152 = _builder("ResNet152", StemOptions)
ResNet18V2 = _builder("ResNet18V2", StemOptions)
ResNet34V2 = _builder("ResNet34V2", StemOptions)
ResNet50V2 = _builder("ResNet50V2", StemOptions)
ResNet101V2 = _builder("ResNet101V2", StemOptions)
ResNet152V2 = _builder("ResNet152V2", StemOptions)
ResNet20 = _builder("ResNet20", CifarResNetOptions)
ResNet32 = _builder("ResNet32", CifarResNetOptions)
ResNet44 = _builder("ResNet44", CifarResNetOptions)
ResNet56 = _builder("ResNet56", CifarResNetOptions)
ResNet110 = _builder("ResNet110", CifarResNetOptions)
SmallResNet = _builder("SmallResNet", SmallResNetOptions)
