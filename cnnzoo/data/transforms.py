"""Random transformations of a batch, which depend on (seed, epoch, batch) alone.

`sample_params` draws the random parameters of every image, `apply` transforms the images
by them, and `apply_augment` does both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnzoo.data.augment import Augment
from cnnzoo.data.pixels.affine import affine_maps, crop_maps, displacements, resample
from cnnzoo.data.pixels.colours import CHANGES, add_lighting, change_brightness, jitter
from cnnzoo.errors import UsageError

# Streams of random numbers.
_AUGMENT_STREAM, _MIXUP_STREAM, _COLOUR_STREAM, _CROP_STREAM = 1, 2, 3, 4
_TRIES = 10  # boxes that are tried for a cut


@dataclass(frozen=True, eq=False)
class TransformParams:
    """Parameters of the transformation of each image of a batch.

    Attributes:
        rotation: Angles in degrees, (b,).
        shift: Shifts along the height and along the width in pixels, (b, 2).
        shear: Angles in degrees, (b,).
        zoom: Factors of height and width, (b, 2); values above 1 shrink the content.
        flips: Whether to flip upside down and left to right, (b, 2).
        channel_shift: Values added to the pixels, (b,); None for no change.
        brightness: Factors of the pixels after that, (b,); None for no change.
        colours: Values and order of changes of colours, with that of the brightness; see
            `pixels.colours.jitter`. None for none but the brightness.
        lighting: Multiples of the principal components, (b, 3); None for no change.
        crop: Boxes in pixels, (b, 4): first row, first column, height and width; None for
            the whole image.
        displacement: Distance of each pixel's source downwards and to the right in
            pixels, (b, 2, h, w), float32; None for none.
    """

    rotation: np.ndarray
    shift: np.ndarray
    shear: np.ndarray
    zoom: np.ndarray
    flips: np.ndarray
    channel_shift: np.ndarray | None = None
    brightness: np.ndarray | None = None
    colours: tuple[np.ndarray, np.ndarray] | None = None
    lighting: np.ndarray | None = None
    crop: np.ndarray | None = None
    displacement: np.ndarray | None = None


def apply_augment(
    images: np.ndarray, augment: Augment, seed: int, epoch: int, batch: int
) -> np.ndarray:
    """Applies random transformations to a batch for training.

    Args:
        images: Pixels of 0 to 255, (b, h, w, c), integers or floats.
        augment: Ranges of the transformations.
        seed: Random seed of all epochs, at least 0.
        epoch: Number of the epoch, from 0.
        batch: Number of the batch in the epoch, from 0.

    Returns:
        Pixels (b, h, w, c), float32, equal for equal arguments; `images` itself, of any
        dtype, if `augment` changes nothing.

    Raises:
        UsageError: Colours of images without three channels are to change.
    """
    if not augment.random:
        return images
    check_channels(augment, images.shape[3])
    params = sample_params(augment, images.shape, seed, epoch, batch)
    return apply(images, augment, params)


def check_channels(augment: Augment, channels: int) -> None:
    """Raises UsageError if colours of images without three channels are to change."""
    if augment.tints and channels != 3:
        raise UsageError(
            "cannot change the saturation, the hue or the lighting of images with "
            f"{channels} channels: expected 3, so leave these changes out"
        )


def sample_params(
    augment: Augment, shape: Sequence[int], seed: int, epoch: int, batch: int
) -> TransformParams:
    """Draws the random parameters of a batch.

    Ten numbers of 0 to 1 are drawn for each image in turn, whatever `augment` is, so that
    no option changes the random numbers of another. They are for rotation, height shift,
    width shift, shear, height zoom, width zoom, vertical flip, horizontal flip, channel
    shift and brightness. Elastic noise follows, image by image, first along the height.
    Colours and boxes have random numbers of their own.

    Args:
        shape: Shape of the images, (b, h, w, c).
        seed, epoch, batch: As in `apply_augment`.
    """
    count, height, width = shape[:3]
    # Without the last number, batch 0 would have the random numbers of the order of the
    # images, since NumPy treats [seed, epoch] and [seed, epoch, 0] as equal seeds.
    rng = np.random.default_rng([seed, epoch, batch, _AUGMENT_STREAM])
    uniform = rng.random((count, 10))
    signed = 2 * uniform - 1
    low, high = augment.zoom
    flips = np.array([augment.vertical_flip, augment.horizontal_flip])
    shifts = (
        _shift(augment.height_shift_range, height, signed[:, 1]),
        _shift(augment.width_shift_range, width, signed[:, 2]),
    )
    params = TransformParams(
        rotation=signed[:, 0] * augment.rotation_range,
        shift=np.stack(shifts, axis=1),
        shear=signed[:, 3] * augment.shear_range,
        zoom=low + (high - low) * uniform[:, 4:6],
        flips=(uniform[:, 6:8] < 0.5) & flips,
    )
    if augment.channel_shift_range:
        added = signed[:, 8] * augment.channel_shift_range
        params = replace(params, channel_shift=added)
    if augment.brightness_range is not None:
        low, high = augment.brightness_range
        params = replace(params, brightness=low + (high - low) * uniform[:, 9])
    if augment.contrast_range or augment.tints:
        own = np.random.default_rng([seed, epoch, batch, _COLOUR_STREAM])
        params = replace(params, **_colours(augment, uniform[:, 9], own))
    if augment.crop_scale is not None:
        own = np.random.default_rng([seed, epoch, batch, _CROP_STREAM])
        params = replace(params, crop=_boxes(augment, shape, own))
    if augment.elastic is not None:
        noise = 2 * rng.random((count, 2, height, width), np.float32) - 1
        field = displacements(noise, *augment.elastic)
        params = replace(params, displacement=field)
    return params


def _colours(augment: Augment, shares: np.ndarray, rng: np.random.Generator) -> dict:
    """The parameters of colours; `shares`, (b,), of 0 to 1 are for the brightness."""
    count, turn = len(shares), augment.hue_range
    factors = (augment.brightness_range, augment.contrast_range, augment.saturation_range)
    low, high = np.transpose([*(limits or (1, 1) for limits in factors), (-turn, turn)])
    values = low + (high - low) * np.column_stack((shares, rng.random((count, 3))))
    order = rng.permuted(np.tile(np.arange(len(CHANGES)), (count, 1)), axis=1)
    lighting = augment.lighting * rng.standard_normal((count, 3))
    lighting = lighting if augment.lighting else None
    return {"brightness": None, "colours": (values, order), "lighting": lighting}


def _boxes(augment: Augment, shape: Sequence[int], rng: np.random.Generator):
    """Random boxes, (b, 4), as `TransformParams.crop`; see `Augment.crop_scale`."""
    count, *sides = shape[:3]
    uniform, places = rng.random((count, _TRIES, 2)), rng.random((count, 2))
    (least, most), (narrow, wide) = augment.crop_scale or (1, 1), augment.crop_ratio
    area = np.prod(sides) * (least + (most - least) * uniform[..., 0])
    ratio = narrow * (wide / narrow) ** uniform[..., 1]
    tried = np.sqrt(np.stack((area / ratio, area * ratio), axis=2))
    largest = np.clip((sides[1] / narrow, sides[0] * wide), 1, sides)
    sizes = np.rint(np.insert(tried, _TRIES, largest, axis=1))
    first = ((sizes > 0) & (sizes <= sides)).all(2).argmax(1)
    size = sizes[np.arange(count), first]
    return np.concatenate((np.floor(places * (sides - size + 1)), size), axis=1)


def apply(images: np.ndarray, augment: Augment, params: TransformParams) -> np.ndarray:
    """Transforms images by given parameters.

    All geometric transformations are one interpolation. The channel shift, the colours
    and the lighting follow.

    Args:
        images: Images, (b, h, w, c), integers or floats.
        augment: Augmentation with the fill mode of gaps, and whether pixels move.

    Returns:
        A new (b, h, w, c) float32 array.
    """
    if augment.moves:
        n = params
        maps = affine_maps(n.rotation, n.shift, n.shear, n.zoom, n.flips)
        if n.crop is not None:
            maps = crop_maps(maps, n.crop, images.shape[1:3])
        pixels = resample(images, maps, n.displacement, augment.fill_mode, augment.cval)
    else:
        pixels = images.astype(np.float32)
    rows = pixels.reshape(len(pixels), -1)
    if params.channel_shift is not None:
        lowest, highest = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
        rows += params.channel_shift[:, None].astype(np.float32)
        np.clip(rows, lowest, highest, out=rows)
    if params.brightness is not None:
        change_brightness(pixels, params.brightness)
    if params.colours is not None:
        jitter(pixels, *params.colours)
    if params.lighting is not None:
        add_lighting(pixels, params.lighting)
    return pixels


def mixup(
    images: np.ndarray,
    labels: np.ndarray,
    alpha: float,
    seed: int,
    epoch: int,
    batch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Applies mixup to a batch (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).

    Each image is blended with another of the batch, by one factor for the whole batch
    from Beta(alpha, alpha). Partners and factor depend on the last three arguments alone.

    Args:
        images: Images, (b, h, w, c), integers or floats.
        labels: Probabilities, (b, classes), or of one class, (b,).
        alpha: Parameter above 0; small values leave most batches nearly unchanged.
        seed, epoch, batch: As in `apply_augment`.

    Returns:
        Two float32 arrays of the same shapes.
    """
    rng = np.random.default_rng([seed, epoch, batch, _MIXUP_STREAM])
    share = np.float32(rng.beta(alpha, alpha))
    partners = rng.permutation(len(images))

    def blended(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        return share * values + (1 - share) * values[partners]

    return blended(images), blended(labels)


def _shift(wanted: float | Sequence[float], side: int, signed: np.ndarray) -> np.ndarray:
    """Pixels, (b,), from numbers of -1 to 1, (b,); see `Augment.width_shift_range`."""
    if isinstance(wanted, int | tuple):
        steps = np.asarray(wanted if isinstance(wanted, tuple) else range(wanted))
        if len(steps) == 0:
            return np.zeros(len(signed))
        choice = (np.abs(signed) * len(steps)).astype(int)
        pixels = np.sign(signed) * steps[np.minimum(choice, len(steps) - 1)]
    else:
        pixels = signed * wanted
    return pixels * side if np.max(np.abs(wanted)) < 1 else pixels
