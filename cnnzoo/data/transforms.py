"""Random changes carried out on a batch, from (seed, epoch, batch) alone.

What is drawn is kept apart from what is done with it: `drawn` gives the numbers of every
image, `changed` applies them, `normalised` is the same for every image, and `augmented`
is all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnzoo.data.affine import affine_maps, displacements, resampled
from cnnzoo.data.augment import Augment
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.errors import UsageError

_EPSILON = 1e-6  # ImageDataGenerator's, added to deviations
_STREAM = 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """What happens to each image of a batch.

    Attributes:
        rotation: (b,) degrees.
        shift: (b, 2) pixels, along the height and along the width.
        shear: (b,) degrees.
        zoom: (b, 2) factors of height and width; above 1 shrinks.
        flips: (b, 2) booleans, upside down and left to right.
        channel_shift: (b,) what is added to the pixels; None for no change.
        brightness: (b,) what they are then multiplied by; None for no change.
        displacement: (b, 2, h, w) float32, pixels, by which each pixel comes from a
            lower row and a column more to the right; None for none.
    """

    rotation: np.ndarray
    shift: np.ndarray
    shear: np.ndarray
    zoom: np.ndarray
    flips: np.ndarray
    channel_shift: np.ndarray | None = None
    brightness: np.ndarray | None = None
    displacement: np.ndarray | None = None


def augmented(
    images: np.ndarray, augment: Augment, seed: int, epoch: int, batch: int
) -> np.ndarray:
    """A batch as it is to be learnt from.

    Args:
        images: (b, h, w, c), pixels of 0 to 255, integers or floats.
        augment: what may happen to them.
        seed: of all epochs, at least 0.
        epoch: from 0.
        batch: its number in the epoch, from 0.

    Returns:
        (b, h, w, c) float32, the same for the same arguments; `images` itself, of
        whatever dtype, where `augment` asks for nothing.

    Raises:
        UsageError: `augment` has no statistics and needs them, or its
            `preprocessing_function` gives another shape.
    """
    if augment.random:
        numbers = drawn(augment, images.shape, seed, epoch, batch)
        images = changed(images, augment, numbers)
    return normalised(images, augment) if augment.normalises else images


def drawn(
    augment: Augment, shape: Sequence[int], seed: int, epoch: int, batch: int
) -> Drawn:
    """Draws the numbers of a batch.

    Ten numbers of 0 to 1 are drawn for the first image, then for the next, and so on,
    whatever is asked for, so that one option does not change what another draws. They
    stand for rotation, height shift, width shift, shear, height zoom, width zoom,
    vertical flip, horizontal flip, channel shift and brightness. Elastic noise follows,
    image by image, first along the height.

    Args:
        shape: (b, h, w, c).
        seed, epoch, batch: as in `augmented`.
    """
    count, height, width = shape[:3]
    # Without the last number, NumPy would draw for batch 0 what the order of the images
    # is drawn from: it takes [seed, epoch] and [seed, epoch, 0] for the same.
    rng = np.random.default_rng([seed, epoch, batch, _STREAM])
    uniform = rng.random((count, 10))
    signed = 2 * uniform - 1
    low, high = augment.zoom
    flips = np.array([augment.vertical_flip, augment.horizontal_flip])
    shifts = (
        _shift(augment.height_shift_range, height, signed[:, 1]),
        _shift(augment.width_shift_range, width, signed[:, 2]),
    )
    numbers = Drawn(
        rotation=signed[:, 0] * augment.rotation_range,
        shift=np.stack(shifts, axis=1),
        shear=signed[:, 3] * augment.shear_range,
        zoom=low + (high - low) * uniform[:, 4:6],
        flips=(uniform[:, 6:8] < 0.5) & flips,
    )
    if augment.channel_shift_range:
        added = signed[:, 8] * augment.channel_shift_range
        numbers = replace(numbers, channel_shift=added)
    if augment.brightness_range is not None:
        low, high = augment.brightness_range
        numbers = replace(numbers, brightness=low + (high - low) * uniform[:, 9])
    if augment.elastic is not None:
        noise = 2 * rng.random((count, 2, height, width), np.float32) - 1
        field = displacements(noise, *augment.elastic)
        numbers = replace(numbers, displacement=field)
    return numbers


def changed(images: np.ndarray, augment: Augment, numbers: Drawn) -> np.ndarray:
    """Moves and recolours images by given numbers.

    All that moves pixels is one interpolation. Then come the channel shift and the
    brightness.

    Args:
        images: (b, h, w, c), integers or floats.
        augment: tells what fills the gaps, and whether anything moves.

    Returns:
        A new (b, h, w, c) float32 array.
    """
    if augment.moves:
        n = numbers
        maps = affine_maps(n.rotation, n.shift, n.shear, n.zoom, n.flips)
        pixels = resampled(images, maps, n.displacement, augment.fill_mode, augment.cval)
    else:
        pixels = images.astype(np.float32)
    rows = pixels.reshape(len(pixels), -1)
    if numbers.channel_shift is not None:
        lowest, highest = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
        rows += numbers.channel_shift[:, None].astype(np.float32)
        np.clip(rows, lowest, highest, out=rows)
    if numbers.brightness is not None:
        rows *= numbers.brightness[:, None].astype(np.float32)
        np.clip(rows, 0, 255, out=rows)
    return pixels


def normalised(images: np.ndarray, augment: Augment) -> np.ndarray:
    """Does to each image what is no matter of chance.

    Its own function first, then samplewise and then featurewise normalisation.

    Args:
        images: (b, h, w, c), integers or floats.

    Returns:
        A new (b, h, w, c) float32 array.

    Raises:
        UsageError: as in `augmented`.
    """
    augment.check_measured()
    pixels = images.astype(np.float32)
    if augment.preprocessing_function is not None:
        for row, image in enumerate(pixels):
            own = np.asarray(augment.preprocessing_function(image))
            if own.shape != image.shape:
                raise UsageError(
                    "cannot use this preprocessing_function: expected an image of "
                    f"{image.shape}, found {own.shape}, so return one of the same shape"
                )
            pixels[row] = own
    axes = (1, 2, 3)
    if augment.samplewise_center or augment.samplewise_std_normalization:
        pixels -= pixels.mean(axes, keepdims=True)
    if augment.samplewise_std_normalization:
        pixels /= pixels.std(axes, keepdims=True) + np.float32(_EPSILON)
    if augment.statistics is not None and augment.featurewise:
        how = augment.statistics
        if not augment.featurewise_std_normalization:
            how = replace(how, std=(1.0,))
        pixels = preprocess_input(pixels, how)
    return pixels


def _shift(wanted: float | Sequence[float], side: int, signed: np.ndarray) -> np.ndarray:
    """(b,) pixels from (b,) numbers of -1 to 1; see `Augment.width_shift_range`."""
    if isinstance(wanted, int | tuple):
        steps = np.asarray(wanted if isinstance(wanted, tuple) else range(wanted))
        if len(steps) == 0:
            return np.zeros(len(signed))
        choice = (np.abs(signed) * len(steps)).astype(int)
        pixels = np.sign(signed) * steps[np.minimum(choice, len(steps) - 1)]
    else:
        pixels = signed * wanted
    return pixels * side if np.max(np.abs(wanted)) < 1 else pixels
