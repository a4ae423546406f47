"""Pictures seen through an affine map: where each pixel comes from, and what is there.

Everything is NumPy in float32, so the pictures are the same to the bit on every backend.
Positions are (row, column) in pixels; the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

FillMode = Literal["nearest", "constant", "reflect", "wrap"]
FILL_MODES: tuple[str, ...] = get_args(FillMode)

# Pixels of one channel that are resampled at once: their temporaries stay in a core's
# cache, which was twice as fast as the whole batch at once for 16 images of 224x224x3.
_BLOCK = 16384


def affine_maps(
    rotation: np.ndarray,
    shift: np.ndarray,
    shear: np.ndarray,
    zoom: np.ndarray,
    flips: np.ndarray,
) -> np.ndarray:
    """The map of each image, from a pixel of the result to its place in the image.

    Around the centre of the image, a position is flipped, zoomed, sheared, shifted and
    rotated, in this order.

    Args:
        rotation: (b,) degrees.
        shift: (b, 2) pixels, along the height and along the width.
        shear: (b,) degrees that the columns lean by; the rows stay.
        zoom: (b, 2) factors of the positions, of height and width: above 1 shrinks.
        flips: (b, 2) booleans, upside down and left to right.

    Returns:
        (b, 2, 3) float64: a linear part, and a shift in pixels in the last column.
    """
    turn, lean = np.deg2rad(rotation), np.deg2rad(rotation + shear)
    cos, sin = np.cos(turn), np.sin(turn)
    signed = np.where(flips, -zoom, zoom)
    maps = np.empty((len(rotation), 2, 3))
    maps[:, 0, 0] = np.cos(lean) * signed[:, 0]
    maps[:, 0, 1] = sin * signed[:, 1]
    maps[:, 1, 0] = -np.sin(lean) * signed[:, 0]
    maps[:, 1, 1] = cos * signed[:, 1]
    maps[:, 0, 2] = cos * shift[:, 0] + sin * shift[:, 1]
    maps[:, 1, 2] = cos * shift[:, 1] - sin * shift[:, 0]
    return maps


def displacements(noise: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """Random fields for elastic distortion: noise, smoothed and then scaled.

    Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks
    Applied to Visual Document Analysis, 2003. The fields die out towards the border, as
    if the noise were 0 outside.

    Args:
        noise: (..., h, w) float32, -1 to 1.
        alpha: factor of the smoothed noise, in pixels. Uniform noise comes out with a
            deviation of about 0.16 * alpha / sigma pixels.
        sigma: deviation of the Gaussian that smooths, in pixels.

    Returns:
        (..., h, w) float32, pixels.
    """
    height, width = noise.shape[-2:]
    smooth = _gaussian(height, sigma) @ noise @ _gaussian(width, sigma)
    return smooth * np.float32(alpha)


def resample(
    images: np.ndarray,
    maps: np.ndarray,
    displacement: np.ndarray | None,
    fill_mode: FillMode,
    cval: float,
) -> np.ndarray:
    """Looks every pixel up at its place, with bilinear interpolation.

    Args:
        images: (b, h, w, c), integers or floats.
        maps: (b, 2, 3), as from `affine_maps`.
        displacement: (b, 2, h, w) float32, pixels added to the mapped rows and columns;
            None for none.
        fill_mode: what lies outside the image, as in `scipy.ndimage`: `nearest` the
            nearest pixel, `constant` the value `cval`, `reflect` the mirrored image,
            `wrap` the repeated one, whose first line lies upon its last.
        cval: the value outside for `constant`.

    Returns:
        (b, h, w, c) float32.
    """
    result = np.empty(images.shape, np.float32)
    count, height, width = images.shape[:3]
    from_row, from_column = _lines(maps, height, width)
    step = max(1, _BLOCK // (height * width))
    for start in range(0, count, step):
        block = slice(start, start + step)
        # (2, b, h, w): the rows and the columns that the pixels come from
        places = from_row[:, block, :, None] + from_column[:, block, None, :]
        if displacement is not None:
            places += np.moveaxis(displacement[block], 1, 0)
        outside = _fold(places, fill_mode)
        _interpolate(images[block], places, result[block])
        if outside is not None:
            np.copyto(result[block], np.float32(cval), where=outside[..., None])
    return result


def _gaussian(side: int, sigma: float) -> np.ndarray:
    """(side, side) float32: a matrix that smooths a line, with zeros around it."""
    reach = int(4 * sigma + 0.5)  # beyond it a Gaussian is below 0.0004 of its peak
    distances = np.abs(np.arange(side)[:, None] - np.arange(side))
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    matrix = np.exp(-0.5 * np.square(distances / sigma)) / weights.sum()
    matrix[distances > reach] = 0
    return matrix.astype(np.float32)


def _lines(maps: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What a pixel's row and what its column adds to its place.

    Returns:
        (2, b, h) and (2, b, w) float32; their sums are the mapped rows and columns.
    """
    centre = np.array([height - 1, width - 1]) / 2
    rows = np.arange(height) - centre[0]
    columns = np.arange(width) - centre[1]
    offset = np.moveaxis(maps[:, :, 2] + centre, 1, 0)
    linear = np.moveaxis(maps[:, :, :2], 0, 1)
    # Summed in float64 first, so that the float32 places err by one rounding each.
    from_row = linear[:, :, 0, None] * rows + offset[:, :, None]
    from_column = linear[:, :, 1, None] * columns
    return from_row.astype(np.float32), from_column.astype(np.float32)


def _fold(places: np.ndarray, fill_mode: FillMode) -> np.ndarray | None:
    """Moves (2, b, h, w) places into the image, in place.

    Returns:
        For `constant`, (b, h, w) booleans: whether a place was outside. Else None.
    """
    outside = None
    if fill_mode == "constant":
        outside = np.zeros(places.shape[1:], bool)
    for line, side in zip(places, places.shape[2:], strict=True):
        last = np.float32(side - 1)
        if outside is not None:
            outside |= (line < 0) | (line > last)
        elif fill_mode == "reflect":
            line += np.float32(0.5)
            line -= np.float32(2 * side) * np.floor(line / np.float32(2 * side))
            np.minimum(line, np.float32(2 * side) - line, out=line)
            line -= np.float32(0.5)
        elif fill_mode == "wrap" and last > 0:
            beyond = (line < 0) | (line > last)
            np.subtract(line, last * np.floor(line / last), out=line, where=beyond)
        np.clip(line, 0, last, out=line)
    return outside


def _interpolate(images: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Fills (b, h, w, c) `out` from places inside the image; spoils `places`."""
    count, height, width, channels = images.shape
    whole = np.floor(places)
    places -= whole
    down, right = places
    row, column = whole.astype(np.int32)  # NumPy is slow from floats to 64 bits
    row *= width + 1
    row += column
    index = row + np.arange(count)[:, None, None] * ((height + 1) * (width + 1))
    # One more row and column than the image: a place on the last has a neighbour, too,
    # of weight 0, and a whole place gives its pixel exactly.
    plane = np.empty((count, height + 1, width + 1), np.float32)
    flat = plane.reshape(-1)
    # Channel by channel, since NumPy is slow on a last axis of 3.
    for channel in range(channels):
        plane[:, :height, :width] = images[..., channel]
        plane[:, height, :width] = plane[:, height - 1, :width]
        plane[:, :, width] = plane[:, :, width - 1]
        above = _between(flat, index, right)
        below = _between(flat[width + 1 :], index, right)
        below -= above
        below *= down
        np.add(above, below, out=out[..., channel])


def _between(flat: np.ndarray, index: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Values at `index` of a line of pixels, and `share` of the way to the next ones."""
    # "clip" only because it is faster than "raise": every index is inside.
    value = flat.take(index, mode="clip")
    following = flat[1:].take(index, mode="clip")
    following -= value
    following *= share
    value += following
    return value
