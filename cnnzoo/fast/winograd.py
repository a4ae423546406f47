"""3x3 convolutions of small images with a third of the multiplications.

Winograd's minimal filtering, after Lavin & Gray 2015, https://arxiv.org/abs/1509.09308:
a tile of m x m outputs costs (m + 2)² products of channels instead of 9 m². The images
are small enough to transform all tiles of an image by one matrix, so that the convolution
and its gradients consist of matrix products only.

The interpolation points have the smallest float32 error of many that were compared
(`python -m benchmarks.winograd_points`), about four times that of a direct convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import polynomial

POINTS = {2: (0, 1, -1), 3: (0, 3 / 4, -3 / 4, 2), 4: (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)}
TAPS = 3
WORTH = 0.75  # maximum share of the direct convolution's arithmetic; above it, not faster


@dataclass(frozen=True)
class Filtering:
    """Matrices for images of one size: `output @ ((kernel @ g) * (image @ x))`.

    Attributes:
        image: (products, tiles, height * width) transform of the image.
        kernel: (products, 9) transform of the kernel.
        output: (height * width, products, tiles) transform of the products.
    """

    image: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


@cache
def filtering(height: int, width: int) -> Filtering:
    """The matrices for height x width pixels, with "same" padding and 3x3 kernels."""
    rows, columns = _along(height), _along(width)

    def both(subscripts: str, part: str, *shape: int) -> np.ndarray:
        joined = np.einsum(subscripts, getattr(rows, part), getattr(columns, part))
        return joined.reshape(shape).astype(np.float32)

    products = len(rows.kernel) * len(columns.kernel)
    tiles = rows.image.shape[1] * columns.image.shape[1]
    pixels = height * width
    return Filtering(
        both("kty,lux->kltuyx", "image", products, tiles, pixels),
        both("ka,lb->klab", "kernel", products, TAPS**2),
        both("ykt,xlu->yxkltu", "output", pixels, products, tiles),
    )


def worth_it(height: int, width: int, channels: int, filters: int) -> bool:
    """Whether it is faster than the direct convolution, by the number of multiplications.

    The cost of a transform is its number of entries. The ratio of measured times is that
    of the multiplications.
    """
    pixels, products = height * width, _products(height) * _products(width)
    direct = TAPS**2 * pixels * channels * filters
    ours = products * channels * filters + products * pixels * (channels + filters)
    return ours <= WORTH * direct


def convolve(images, kernel):
    """The convolution with stride 1 and "same" padding, in TensorFlow.

    The gradient transforms the images again, which costs little. Transformed images are
    three times as large, and keeping them would take more memory than Keras needs.

    Args:
        images: (b, h, w, c) float32 with known h and w.
        kernel: (3, 3, c, filters) float32.

    Returns:
        (b, h, w, filters) outputs.
    """
    import tensorflow as tf

    # Without a graph, a variable would get its gradient twice: as argument, as variable.
    return tf.recompute_grad(_convolve)(images, tf.convert_to_tensor(kernel))


def _convolve(images, kernel):
    import tensorflow as tf

    _, height, width, channels = images.shape
    filters, pixels = kernel.shape[-1], height * width
    ways = filtering(height, width)
    products, tiles, _ = ways.image.shape
    batch = tf.shape(images)[0]

    # With pixels first, every transform is one product of two matrices.
    x = tf.transpose(tf.reshape(images, (batch, pixels, channels)), (1, 0, 2))
    x = tf.reshape(x, (pixels, batch * channels))
    x = ways.image.reshape(products * tiles, pixels) @ x
    x = tf.reshape(x, (products, tiles * batch, channels))
    kernel = ways.kernel @ tf.reshape(kernel, (TAPS**2, channels * filters))
    y = x @ tf.reshape(kernel, (products, channels, filters))
    y = tf.reshape(y, (products * tiles, batch * filters))
    y = ways.output.reshape(pixels, products * tiles) @ y
    y = tf.transpose(tf.reshape(y, (pixels, batch, filters)), (1, 0, 2))
    return tf.reshape(y, (batch, height, width, filters))


def _tile(side: int) -> int:
    """The number of outputs of a tile along one side that needs the fewest products."""
    return min(POINTS, key=lambda tile: -(-side // tile) * (tile + TAPS - 1))


def _products(side: int) -> int:
    tile = _tile(side)
    return -(-side // tile) * (tile + TAPS - 1)


def _along(side: int) -> Filtering:
    """The matrices along one side, which tiles cover from the first pixel on."""
    tile = _tile(side)
    image, kernel, output = one_tile(tile, POINTS[tile])
    count, tiles = len(image), -(-side // tile)
    whole = Filtering(
        np.zeros((count, tiles, side)), kernel, np.zeros((side, count, tiles))
    )
    for i in range(tiles):
        start = i * tile
        for j in range(count):  # without the zero padding
            if 0 <= start + j - 1 < side:
                whole.image[:, i, start + j - 1] = image[:, j]
        for j in range(min(tile, side - start)):
            whole.output[start + j, :, i] = output[j]
    return whole


def one_tile(
    tile: int, points: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cook-Toom: a product of polynomials by their values at points and at infinity.

    The convolution is its transpose, so the interpolation matrix applies to the image.

    Args:
        tile: Number of outputs.
        points: `tile` + 1 different interpolation points.

    Returns:
        The matrices for the image, for the kernel and for the output.
    """
    count = len(points) + 1
    image = np.zeros((count, count))
    kernel, output = np.zeros((count, TAPS)), np.zeros((tile, count))
    for i, point in enumerate(points):
        others = [other for other in points if other != point]
        image[i, :-1] = polynomial.polyfromroots(others)
        kernel[i] = float(point) ** np.arange(TAPS) / np.prod(point - np.array(others))
        output[:, i] = float(point) ** np.arange(tile)
    image[-1] = polynomial.polyfromroots(points)
    kernel[-1, -1] = output[-1, -1] = 1
    return image, kernel, output
