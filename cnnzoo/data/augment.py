"""More training images from the ones there are: what may change, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnzoo.data.affine import FILL_MODES, FillMode
from cnnzoo.data.arrays import Images
from cnnzoo.errors import unknown
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
    """How images may change at random while a network trains.

    The names, units and defaults are those of Keras's ImageDataGenerator; every image
    draws its own numbers, uniformly. Pixels of 0 to 255 become float32 pixels that are
    not rounded; brightness, which goes through 8 bits there, differs by 1 or 2. In Keras
    3 the generator's height shifts go along the width, the others along the height, and
    the centre of an oblong image is misplaced; here they are right. Rescaling and
    normalisation belong to the model's preprocessing: see `preprocessing=` of
    `cnnzoo.build`.

    Attributes:
        rotation_range: degrees, to both sides.
        width_shift_range: a float below 1 is a share of the width, another float is
            pixels, to both sides; a whole number n means -(n - 1) to n - 1 whole pixels;
            a sequence is what to choose from, with either sign, shares of the width
            where all are below 1 in size.
        height_shift_range: the same along the height.
        shear_range: degrees, below 90, to both sides.
        zoom_range: z means 1 - z to 1 + z; a pair is the range itself. Above 1 shrinks
            what is seen; height and width draw their own.
        brightness_range: a pair of factors of the pixels, cut to 0 to 255; None leaves
            them.
        channel_shift_range: what is added to all pixels of an image, to both sides, cut
            to the range of that image.
        horizontal_flip: whether half of the images are flipped left to right.
        vertical_flip: whether half of the images are flipped upside down.
        elastic: (alpha, sigma) in pixels, a factor and a smoothness of random
            distortion, such as (34, 4) for MNIST; see `affine.displacements`.
        fill_mode: what enters where an image moved away: `nearest`, `constant`,
            `reflect` or `wrap`; see `affine.resampled`.
        cval: the pixel that enters with `constant`.

    Raises:
        UsageError: a value is of the wrong kind or out of its range.
    """

    rotation_range: float = 0
    width_shift_range: float | Sequence[float] = 0.0
    height_shift_range: float | Sequence[float] = 0.0
    shear_range: float = 0.0
    zoom_range: float | Sequence[float] = 0.0
    brightness_range: Sequence[float] | None = None
    channel_shift_range: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    elastic: Sequence[float] | None = None
    fill_mode: FillMode = "nearest"
    cval: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, _plain(value))  # the class is frozen
        check_values("augment", vars(self), _RULES)
        if self.fill_mode not in FILL_MODES:
            raise unknown("fill mode", self.fill_mode, FILL_MODES)

    @property
    def zoom(self) -> tuple[float, float]:
        """The smallest and the largest zoom factor."""
        if isinstance(self.zoom_range, Sequence):
            low, high = self.zoom_range
            return low, high
        return 1 - self.zoom_range, 1 + self.zoom_range

    @property
    def moves(self) -> bool:
        """Whether pixels may come from elsewhere in the image."""
        turned = self.rotation_range or self.shear_range or self.zoom != (1, 1)
        shifted = np.any(self.width_shift_range) or np.any(self.height_shift_range)
        flipped = self.horizontal_flip or self.vertical_flip
        return bool(turned or shifted or flipped or (self.elastic and self.elastic[0]))

    @property
    def random(self) -> bool:
        """Whether anything is left to chance."""
        colour = self.channel_shift_range or self.brightness_range is not None
        return bool(self.moves or colour)


def add_shifted_copies(images: Images, pixels: int) -> Images:
    """Returns the images, and four copies of each: moved up, left, right and down.

    Args:
        pixels: Distance, at least 1; what leaves the image is lost, and zeros enter.

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
    """NumPy's numbers as Python's, and sequences as tuples, which nobody can change."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return tuple(map(_plain, value))
    return value


def _is_sequence(value: Any, count: int | None = None) -> bool:
    """Whether it is a sequence of so many finite numbers; None for one or more."""
    whole = isinstance(value, tuple) and all(map(is_number, value))
    return whole and (len(value) == count if count else len(value) > 0)


def _is_range(value: Any) -> bool:
    return _is_sequence(value, 2) and 0 <= value[0] <= value[1]


def _is_zoom(value: Any) -> bool:
    return is_fraction(value) or (_is_range(value) and value[0] > 0)


_SWITCH: Rule = (lambda value: isinstance(value, bool), "True or False")
_SHIFT: Rule = (
    lambda value: is_at_least_zero(value) or _is_sequence(value),
    "a number of at least 0, or a sequence of numbers",
)
_RULES: Mapping[str, Rule] = MappingProxyType(
    {
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
        "brightness_range": optional(
            (_is_range, "two factors of at least 0, the smaller one first")
        ),
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
)
