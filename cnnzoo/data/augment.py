"""More training images from the ones there are: what may change, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnzoo.data.affine import FILL_MODES, FillMode
from cnnzoo.data.arrays import Images
from cnnzoo.data.preprocess import featurewise
from cnnzoo.errors import UsageError, unknown
from cnnzoo.spec import Preprocess
from cnnzoo.system.validation import is_number

NORMALISING = (
    "featurewise_center",
    "featurewise_std_normalization",
    "samplewise_center",
    "samplewise_std_normalization",
    "preprocessing_function",
    "statistics",
)
"""The fields of `Augment` that are no matter of chance."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How images may change at random while a network trains, and are normalised.

    The names, units and defaults are those of Keras's ImageDataGenerator; every image
    draws its own numbers, uniformly. Of the pixels of 0 to 255 come float32 pixels that
    are not rounded; brightness, which goes through 8 bits there, differs by 1 or 2.
    In Keras 3 the generator's height shifts go along the width, the others along the
    height, and the centre of an oblong image is misplaced; here they are right. A
    channel that does not vary is centred only by `featurewise_std_normalization`. There
    is no whitening, and no rescaling: that is the model's preprocessing.

    What normalises is done to validation images too, but `evaluate` and `predict` do
    not know of it: prefer `preprocessing=` of `cnnzoo.build`, which a model carries.

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
        featurewise_center: take off the mean of each channel over the training images.
        featurewise_std_normalization: also divide by the deviation.
        samplewise_center: take off the mean of each image.
        samplewise_std_normalization: also divide by its deviation.
        preprocessing_function: takes and returns an image, (h, w, c) float32, after the
            random changes and before the other normalisations.
        statistics: what `fitted_to` measured; leave it to that.

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
    featurewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_center: bool = False
    samplewise_std_normalization: bool = False
    preprocessing_function: Callable[[np.ndarray], np.ndarray] | None = None
    statistics: Preprocess | None = None

    def __post_init__(self) -> None:
        for name, (fits, expected) in _RULES.items():
            value = _plain(getattr(self, name))
            object.__setattr__(self, name, value)  # the class is frozen
            if not fits(value):
                raise UsageError(
                    f"cannot augment with this {name}: expected {expected}, found "
                    f"{str(value)[:100]!r}, so pass such a value"
                )
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

    @property
    def featurewise(self) -> bool:
        """Whether the mean, at least, of each channel is taken off."""
        return self.featurewise_center or self.featurewise_std_normalization

    @property
    def normalises(self) -> bool:
        """Whether anything is done to every image in the same way."""
        samplewise = self.samplewise_center or self.samplewise_std_normalization
        own = self.preprocessing_function is not None
        return self.featurewise or samplewise or own

    @property
    def idle(self) -> bool:
        """Whether it leaves every image as it is."""
        return not (self.random or self.normalises)

    def fitted_to(self, images: np.ndarray) -> Augment:
        """The same, with the statistics of the training images for `featurewise_*`.

        Args:
            images: (n, h, w, c), as they are before any change.

        Raises:
            UsageError: `images` is no such array, is empty, or is not finite.
        """
        return replace(self, statistics=featurewise(images))

    def without_randomness(self) -> Augment:
        """What normalises, alone: for validation images."""
        return Augment(**{name: getattr(self, name) for name in NORMALISING})

    def check_measured(self) -> None:
        """Checks that there are statistics where they are needed.

        Raises:
            UsageError: there are none.
        """
        if self.featurewise and self.statistics is None:
            raise UsageError(
                "cannot normalise featurewise: expected the statistics of the training "
                "images, found none, so pass augment.fitted_to(images)"
            )


def shifted(images: Images, pixels: int) -> Images:
    """The images, and four copies of each: moved up, left, right and down.

    Args:
        pixels: how far, at least 1; what leaves the image is lost, and zeros enter.

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


def _number(value: Any, low: float = 0, high: float = inf) -> bool:
    return is_number(value) and low <= value < high


def _numbers(value: Any, low: float = 0) -> bool:
    return isinstance(value, tuple) and all(_number(one, low) for one in value)


def _shift(value: Any) -> bool:
    return _number(value) or (_numbers(value, -inf) and len(value) > 0)


def _range(value: Any) -> bool:
    return _numbers(value) and len(value) == 2 and value[0] <= value[1]


def _zoom(value: Any) -> bool:
    return _number(value, high=1) or (_range(value) and value[0] > 0)


def _brightness(value: Any) -> bool:
    return value is None or _range(value)


def _elastic(value: Any) -> bool:
    return value is None or (_numbers(value) and len(value) == 2 and value[1] > 0)


def _function(value: Any) -> bool:
    return value is None or callable(value)


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


_SHIFTS = "a number of at least 0, or a sequence of numbers"
_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "rotation_range": (_number, "degrees of at least 0"),
        "width_shift_range": (_shift, _SHIFTS),
        "height_shift_range": (_shift, _SHIFTS),
        "shear_range": (partial(_number, high=90), "degrees of at least 0 and below 90"),
        "zoom_range": (
            _zoom,
            "a number of at least 0 and below 1, or two factors above 0, the smaller one "
            "first",
        ),
        "brightness_range": (
            _brightness,
            "two factors of at least 0, the smaller one first",
        ),
        "channel_shift_range": (_number, "a number of at least 0"),
        "elastic": (_elastic, "alpha, at least 0, and sigma, above 0"),
        "cval": (partial(_number, low=-inf), "a number"),
        "preprocessing_function": (_function, "a function of an image"),
    }
    | {
        name: (_switch, "True or False")
        for name in ("horizontal_flip", "vertical_flip", *NORMALISING[:4])
    }
)
