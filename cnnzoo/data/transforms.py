"""Random changes carried out on a batch, from (seed, epoch, batch) alone.

Random numbers are kept apart from what is done with them: `sample_params` gives the
numbers of every image, `apply` uses them, and `apply_augment` is both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnzoo.data.affine import affine_maps, displacements, resample
from cnnzoo.data.augment import Augment

_AUGMENT_STREAM, _MIXUP_STREAM = 1, 2  # of random numbers


@dataclass(frozen=True, eq=False)
class TransformParams:
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


def apply_augment(
    images: np.ndarray, augment: Augment, seed: int, epoch: int, batch: int
) -> np.ndarray:
    """Returns a batch as a network is to be trained on it.

    Args:
        images: (b, h, w, c), pixels of 0 to 255, integers or floats.
        augment: what may happen to them.
        seed: of all epochs, at least 0.
        epoch: from 0.
        batch: its number in the epoch, from 0.

    Returns:
        (b, h, w, c) float32, the same for the same arguments; `images` itself, of
        whatever dtype, where `augment` asks for nothing.

    """
    if not augment.random:
        return images
    params = sample_params(augment, images.shape, seed, epoch, batch)
    return apply(images, augment, params)


def sample_params(
    augment: Augment, shape: Sequence[int], seed: int, epoch: int, batch: int
) -> TransformParams:
    """Draws the numbers of a batch.

    Ten numbers of 0 to 1 are drawn for the first image, then for the next, and so on,
    whatever is asked for, so that one option does not change what another draws. They
    stand for rotation, height shift, width shift, shear, height zoom, width zoom,
    vertical flip, horizontal flip, channel shift and brightness. Elastic noise follows,
    image by image, first along the height.

    Args:
        shape: (b, h, w, c).
        seed, epoch, batch: as in `apply_augment`.
    """
    count, height, width = shape[:3]
    # Without the last number, NumPy would draw for batch 0 what the order of the images
    # is drawn from: it takes [seed, epoch] and [seed, epoch, 0] for the same.
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
    if augment.elastic is not None:
        noise = 2 * rng.random((count, 2, height, width), np.float32) - 1
        field = displacements(noise, *augment.elastic)
        params = replace(params, displacement=field)
    return params


def apply(images: np.ndarray, augment: Augment, params: TransformParams) -> np.ndarray:
    """Moves and recolours images by given params.

    All that moves pixels is one interpolation. Then come the channel shift and the
    brightness.

    Args:
        images: (b, h, w, c), integers or floats.
        augment: tells what fills the gaps, and whether anything moves.

    Returns:
        A new (b, h, w, c) float32 array.
    """
    if augment.moves:
        n = params
        maps = affine_maps(n.rotation, n.shift, n.shear, n.zoom, n.flips)
        pixels = resample(images, maps, n.displacement, augment.fill_mode, augment.cval)
    else:
        pixels = images.astype(np.float32)
    rows = pixels.reshape(len(pixels), -1)
    if params.channel_shift is not None:
        lowest, highest = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
        rows += params.channel_shift[:, None].astype(np.float32)
        np.clip(rows, lowest, highest, out=rows)
    if params.brightness is not None:
        rows *= params.brightness[:, None].astype(np.float32)
        np.clip(rows, 0, 255, out=rows)
    return pixels


def mixup(
    images: np.ndarray,
    labels: np.ndarray,
    alpha: float,
    seed: int,
    epoch: int,
    batch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Blends a batch with itself in another order, as Zhang et al. 2018 do (https://arxiv.org/abs/1710.09412).

    One share for the whole batch is drawn from Beta(alpha, alpha), and one partner for
    each image; both follow from the last three arguments.

    Args:
        images: (b, h, w, c), integers or floats.
        labels: (b, classes) shares of 0 to 1, or (b,) probabilities of one class.
        alpha: above 0; a small one leaves most batches nearly as they are.
        seed, epoch, batch: as in `apply_augment`.

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
