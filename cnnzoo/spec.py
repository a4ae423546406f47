"""Spec: the description of a network, and how its pictures are prepared.

A family file makes one `Spec` per row of its table; `cnnzoo.build` turns it into a
`keras.Model`. A network of your own is a `Spec` too: pass it to `build`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from cnnzoo.errors import UsageError, check_known
from cnnzoo.system.validation import Rule, check_values, is_number, one_of, optional

if TYPE_CHECKING:
    from keras import KerasTensor

    from cnnzoo.layers.blocks import Activation, Conv


@dataclass(frozen=True)
class Preprocess:
    """How pixels of 0 to 255 become what a network was trained on.

    `(channels in order * scale - mean) / std`, where `mean` and `std` have one value per
    channel, or one for all. With `samplewise`, each image is then brought to mean 0
    and deviation 1 on its own.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    samplewise: bool = False


MODES: Mapping[str, Preprocess] = MappingProxyType(
    {
        "none": Preprocess(),
        "caffe": Preprocess(order="bgr", mean=(103.939, 116.779, 123.68)),
        "tf": Preprocess(mean=(1.0,), scale=1 / 127.5),
        "torch": Preprocess(
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255
        ),
        "unit": Preprocess(scale=1 / 255),
        "samplewise": Preprocess(samplewise=True),
    }
)
"""The modes known by name; `caffe` has its mean in the order blue, green, red."""


def resolve(mode: str | Preprocess) -> Preprocess:
    """The description that a mode's name stands for, or `mode` itself.

    Raises:
        UsageError: No mode has this name.
    """
    if isinstance(mode, Preprocess):
        return mode
    if mode == "featurewise":
        raise UsageError(
            "preprocessing mode 'featurewise' has no fixed numbers: expected a "
            "Preprocess, found the name, so measure it with "
            "preprocess.featurewise(images) and pass the result"
        )
    check_known("preprocessing mode", mode, MODES)
    return MODES[mode]


Fit = Literal["stretch", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic"]


def _is_value_range(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(is_number(bound, Integral) for bound in value)
        and 0 <= value[0] < value[1] <= 65535
    )


_GEOMETRY_RULES: dict[str, Rule] = {
    "fit": one_of(*get_args(Fit)),
    "crop_pct": (lambda x: is_number(x) and 0.1 <= x <= 1, "a number from 0.1 to 1"),
    "interpolation": one_of(*get_args(Interpolation)),
    "value_range": optional(
        (_is_value_range, "a pair of whole numbers from 0 to 65535, as (0, 4095)")
    ),
}


@dataclass(frozen=True)
class Geometry:
    """How a picture of any size becomes one of the size that a network takes.

    It is resized, with antialiasing, and its centre is cut out. torchvision's evaluation,
    with a shorter side of 256 and a crop of 224, is `Geometry("crop", 224 / 256)`.

    Attributes:
        fit: "stretch" changes the ratio of the sides, "crop" loses what is too long, and
            "pad" adds black borders.
        crop_pct: Share of each side that the centre keeps, 0.1 to 1: the picture is
            resized for the network's size divided by this share. The name is timm's.
        interpolation: "bilinear" or "bicubic".
        value_range: Values of pictures of 16 bits that become 0 and 255, such as
            (0, 4095) for 12 bits; None for (0, 65535). `scan` has the same argument.

    Raises:
        UsageError: A value is none of these.
    """

    fit: Fit = "stretch"
    crop_pct: float = 1.0
    interpolation: Interpolation = "bilinear"
    value_range: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_values("prepare pictures", vars(self), _GEOMETRY_RULES)
        if self.value_range is not None:
            low, high = map(int, self.value_range)
            object.__setattr__(self, "value_range", (low, high))


@dataclass(frozen=True)
class Paper:
    """Where a network was published."""

    title: str
    year: int
    url: str


class Trunk(Protocol):
    """Images (b, h, w, c) to features; knows no Input, class count or weights."""

    def __call__(self, x: KerasTensor, *, conv: Conv) -> KerasTensor: ...


class Head(Protocol):
    """Features to the outputs of `units` classifier units, (b, units)."""

    def __call__(
        self, x: KerasTensor, units: int, activation: Activation, *, conv: Conv
    ) -> KerasTensor: ...


class AuxTrunk(Protocol):
    """A stage's maps to what a classifier takes; layers start with `name`."""

    def __call__(self, x: KerasTensor, *, conv: Conv, name: str) -> KerasTensor: ...


Stem = Literal["paper", "small"]


@dataclass(frozen=True)
class AuxHead:
    """An auxiliary classifier, which gives early layers a gradient of their own.

    Attributes:
        after: Name of the layer whose output it sees.
        trunk: What draws the layers between that one and the classifier.
        dropout: Rate of its dropout, 0 to 1, where it has some.
        loss_weight: Weight of its loss in the sum that training minimises.
    """

    after: str
    trunk: AuxTrunk
    dropout: float = 0.7
    loss_weight: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One network, as `build` needs it.

    Attributes:
        name: Catalog name, lower case.
        family: Name of the family's file.
        trunk: What draws the layers from images to features.
        head: What draws the layers from features to probabilities.
        conv: How convolutions are drawn: activation, normalisation, ...
        input_shape: Height and width in pixels, and channels, in the paper.
        classes: Number of classes in the paper.
        preprocessing: Mode of `cnnzoo.preprocess_input`, or a `Preprocess`.
        paper: Publication; None for a design of our own.
        parameters: Published count, with or without moving statistics, as its source
            counts; None where none is published.
        macs: Published multiply-adds for one image; None where none are published.
        differences: How the graph differs from the paper's, in a sentence.
        min_size_floor: Smallest side, in pixels, below which no image is taken even
            where the graph allows it.
        aux_heads: Auxiliary classifiers that are drawn, in the order of the outputs.
        configure: Takes a spec and the family's own keyword options, and returns the spec
            with these; None for a family that has none.
    """

    name: str
    family: str
    trunk: Trunk
    head: Head
    conv: Conv
    input_shape: tuple[int, int, int]
    classes: int
    preprocessing: str | Preprocess
    paper: Paper | None = None
    parameters: int | None = None
    macs: int | None = None
    differences: str = ""
    min_size_floor: int = 1
    aux_heads: tuple[AuxHead, ...] = ()
    configure: Callable[..., Spec] | None = None

    @property
    def own_options(self) -> dict[str, inspect.Parameter]:
        """The keyword options that only this family has, with their defaults."""
        if self.configure is None:
            return {}
        _, *own = inspect.signature(self.configure).parameters.values()
        return {parameter.name: parameter for parameter in own}

    def with_trunk(self, **arguments: object) -> Spec:
        """The spec with these arguments for its trunk."""
        return replace(self, trunk=partial(self.trunk, **arguments))


def with_stem(spec: Spec, stem: Stem, **small: object) -> Spec:
    """The spec as it is, or for images of 28 to 64 pixels.

    Args:
        stem: "paper", or "small" for a stem that keeps the image's size.
        small: Arguments of the trunk for the small stem.

    Raises:
        UsageError: The stem is neither.
    """
    check_known("stem", stem, ("paper", "small"))
    if stem == "paper":
        return spec
    return replace(spec.with_trunk(**small), min_size_floor=1)
