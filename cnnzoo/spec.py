"""Spec: all that tells one network from another.

A family file makes one `Spec` a row of its table; `cnnzoo.build` turns it into a
`keras.Model`. A network of your own is a `Spec` too: pass it to `build`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from keras import KerasTensor

    from cnnzoo.blocks import Conv


@dataclass(frozen=True)
class Preprocess:
    """How pixels of 0 to 255 become what a network was trained on.

    `(channels in order * scale - mean) / std`, where `mean` and `std` have one value for
    each channel, or one for all. With `samplewise`, each image is then brought to mean 0
    and deviation 1 on its own.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    samplewise: bool = False


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


Activation = str | Callable[..., object] | None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One network, as `build` needs it.

    Attributes:
        name: the catalog name, lower case.
        family: the name of the family's file.
        trunk: images to features.
        head: features to probabilities.
        conv: how the network draws convolutions: activation, normalisation, ...
        input_shape: the paper's height, width and channels, in pixels.
        classes: the paper's number of classes.
        preprocessing: a mode of `cnnzoo.preprocess_input`, or a `Preprocess`.
        paper: the publication; None for a design of our own.
        parameters: the published count, with or without moving statistics, as its source
            counts; None where none is published.
        macs: the published multiply-adds for one image; None likewise.
        differences: where the graph differs from the paper's, in a sentence.
        floor: a smallest side that is set rather than computed, pixels.
        variant: makes this row again with the family's own keyword options.
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
    floor: int = 1
    variant: Callable[..., Spec] | None = None
