"""Augmentation of training images: the random changes and their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnzoo.data.arrays import Images
from cnnzoo.data.pixels.affine import FILL_MODES, FillMode
from cnnzoo.errors import check_known
from cnnzoo.system.validation import (
    AT_LEAST_ZERO,
    Rule,
    check_values,
    is_at_least_zero,
    is_fraction,
    is_number,
    optional,
)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of images during training.

    The names, units and defaults are those of Keras's ImageDataGenerator, or those of
    torchvision's ColorJitter and RandomResizedCrop for what it lacks; the parameters of
    every image are drawn independently, and uniformly unless stated otherwise.
    Pixels of 0 to 255 become float32 without rounding; brightness, which Keras computes
    in 8 bits, differs by 1 or 2. Keras 3's generator applies height shifts along the
    width and width shifts along the height, and misplaces the centre of images that are
    not square; this is corrected here. Rescaling and normalisation are part of the
    model's preprocessing:
    see `preprocessing=` of `cnnzoo.build`.

    Attributes:
        rotation_range: Maximum angle in degrees, in both directions.
        width_shift_range: Maximum shift in both directions, a float below 1 as a share of
            the width, other floats in pixels; an int n for -(n - 1) to n - 1 whole
            pixels; a sequence of values to choose from, with either sign, as shares of
            the width if all are below 1 in size.
        height_shift_range: The same along the height.
        shear_range: Maximum angle in degrees, below 90, in both directions.
        zoom_range: Range of factors: z for 1 - z to 1 + z, or a pair. Values above 1
            shrink the content; height and width have factors of their own.
        brightness_range: Range of factors of the pixels, which are clipped to 0 to 255;
            None for no change.
        contrast_range: The same for the distance of the pixels from the mean grey of the
            image; see `cnnzoo.data.pixels.colours`. With this, a saturation, a hue or
            lighting, the four changes are applied in a random order, as by torchvision.
        saturation_range: The same for the distance of RGB pixels from their grey.
        hue_range: Maximum turn of the hue of RGB pixels in both directions, 0 to 0.5 of
            the whole circle.
        lighting: Standard deviation of the multiples of ImageNet's principal components
            that are added to the RGB pixels of an image; 0.1 in AlexNet's paper.
        channel_shift_range: Maximum value added to all pixels of an image, in both
            directions; pixels are clipped to the range of that image.
        crop_scale: Range of the share of the image's area, 0 to 1, that a box cut at
            random has, which is enlarged to the image's size; None for no cut. The first
            of ten random boxes is used that fits into the image, else the largest of
            these proportions, as by torchvision's RandomResizedCrop.
        crop_ratio: Range of the width of the box divided by its height.
        horizontal_flip: Whether half of the images are flipped left to right.
        vertical_flip: Whether half of the images are flipped upside down.
        elastic: Factor and smoothness of random distortion, (alpha, sigma) in pixels,
            such as (34, 4) for MNIST; see `pixels.affine.displacements`.
        fill_mode: Values of pixels from outside the image: `nearest`, `constant`,
            `reflect` or `wrap`; see `pixels.affine.resample`.
        cval: Value of pixels from outside the image with `constant`.

    Raises:
        UsageError: A value is of the wrong type or out of its range.
    """

    rotation_range: float = 0
    width_shift_range: float | Sequence[float] = 0.0
    height_shift_range: float | Sequence[float] = 0.0
    shear_range: float = 0.0
    zoom_range: float | Sequence[float] = 0.0
    brightness_range: Sequence[float] | None = None
    contrast_range: Sequence[float] | None = None
    saturation_range: Sequence[float] | None = None
    hue_range: float = 0.0
    lighting: float = 0.0
    channel_shift_range: float = 0.0
    crop_scale: Sequence[float] | None = None
    crop_ratio: Sequence[float] = (3 / 4, 4 / 3)
    horizontal_flip: bool = False
    vertical_flip: bool = False
    elastic: Sequence[float] | None = None
    fill_mode: FillMode = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, _plain(value))  # the class is frozen
        check_values("augment", vars(self), _RULES)
        check_known("fill mode", self.fill_mode, FILL_MODES)

    @property
    def zoom(self) -> tuple[float, float]:
        """The smallest and the largest zoom factor."""
        if isinstance(self.zoom_range, Sequence):
            low, high = self.zoom_range
            return low, high
        return 1 - self.zoom_range, 1 + self.zoom_range

    @property
    def moves(self) -> bool:
        """Whether pixels may move within the image."""
        turned = self.rotation_range or self.shear_range or self.zoom != (1, 1)
        shifted = np.any(self.width_shift_range) or np.any(self.height_shift_range)
        flipped = self.horizontal_flip or self.vertical_flip or self.crop_scale
        return bool(turned or shifted or flipped or (self.elastic and self.elastic[0]))

    @property
    def tints(self) -> bool:
        """Whether colours may change, for which images need three channels."""
        return bool(self.saturation_range or self.hue_range or self.lighting)

    @property
    def random(self) -> bool:
        """Whether images may change at all."""
        grey = self.channel_shift_range or self.brightness_range or self.contrast_range
        return bool(self.moves or grey or self.tints)


def add_shifted_copies(images: Images, pixels: int) -> Images:
    """Returns the images, and four copies of each: moved up, left, right and down.

    Args:
        pixels: Distance in pixels, at least 1; gaps are filled with zeros.

    Returns:
        Five times as many images; the originals come first.
    """
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = np.pad(images.images, around)
    height, width = images.images.shape[1:3]
    corners = ((1, 1), (2, 1), (1, 2), (1, 0), (0, 1))  # of the cut, in units of `pixels`
    copies = [
        padded[:, pixels * y : pixels * y + height, pixels * x : pixels * x + width]
        for y, x in corners
    ]
    rows = np.tile(np.arange(len(images)), len(corners))
    return replace(images.take(rows), images=np.concatenate(copies))


def _plain(value: Any) -> Any:
    """NumPy numbers as Python numbers, and sequences as tuples."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return tuple(map(_plain, value))
    return value


def _is_sequence(value: Any, count: int | None = None) -> bool:
    """Whether `value` is a sequence of `count` finite numbers; None for at least one."""
    whole = isinstance(value, tuple) and all(map(is_number, value))
    return whole and (len(value) == count if count else len(value) > 0)


def _is_range(value: Any) -> bool:
    return _is_sequence(value, 2) and 0 <= value[0] <= value[1]


def _is_span(value: Any) -> bool:
    return _is_range(value) and value[0] > 0


def _is_zoom(value: Any) -> bool:
    return is_fraction(value) or _is_span(value)


_SWITCH: Rule = (lambda value: isinstance(value, bool), "True or False")
_SHIFT: Rule = (
    lambda value: is_at_least_zero(value) or _is_sequence(value),
    "a number of at least 0, or a sequence of numbers",
)
_FACTORS: Rule = (_is_range, "two factors of at least 0, the smaller one first")
_RULES: dict[str, Rule] = {
    "rotation_range": (is_at_least_zero, "degrees of at least 0"),
    "width_shift_range": _SHIFT,
    "height_shift_range": _SHIFT,
    "shear_range": (
        lambda value: is_at_least_zero(value) and value < 90,
        "degrees of at least 0 and below 90",
    ),
    "zoom_range": (
        _is_zoom,
        "a number from 0 to below 1, or two factors above 0, the smaller one first",
    ),
    "brightness_range": optional(_FACTORS),
    "contrast_range": optional(_FACTORS),
    "saturation_range": optional(_FACTORS),
    "hue_range": (lambda value: is_at_least_zero(value) and value <= 0.5, "0 to 0.5"),
    "lighting": AT_LEAST_ZERO,
    "crop_scale": optional(
        (lambda value: _is_span(value) and value[1] <= 1, "two shares above 0, up to 1")
    ),
    "crop_ratio": (_is_span, "two proportions above 0, the smaller one first"),
    "channel_shift_range": AT_LEAST_ZERO,
    "horizontal_flip": _SWITCH,
    "vertical_flip": _SWITCH,
    "elastic": optional(
        (
            lambda value: _is_sequence(value, 2) and value[0] >= 0 < value[1],
            "alpha, at least 0, and sigma, above 0",
        )
    ),
    "cval": (is_number, "a number"),
}
