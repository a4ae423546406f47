"""The interpolation points of Winograd's convolution with the least float32 error.

Run it with `python -m benchmarks.winograd_points`. The points of
`cnnzoo/fast/winograd.py` were chosen by its output: the root mean square error of a tile,
beside that of a direct convolution.
"""

from itertools import combinations

import numpy as np

from cnnzoo.fast import winograd

CHANNELS, FILTERS, TILES = 256, 16, 64
CANDIDATE_POINTS = (1 / 4, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2)


def candidates(tile: int) -> list[tuple[float, ...]]:
    """Sets of 0, pairs of opposite points, and one more point if the count is even."""
    count = tile + winograd.TAPS - 2
    pairs = list(combinations(CANDIDATE_POINTS, (count - 1) // 2))
    mirrored = [(0.0, *(s * p for p in pair for s in (1, -1))) for pair in pairs]
    if count % 2:
        return mirrored
    singles = [sign * point for point in CANDIDATE_POINTS for sign in (1, -1)]
    return [(*points, one) for points in mirrored for one in singles if one not in points]


def error(points: tuple[float, ...], tile: int) -> float:
    """The error of a tile in float32, for normal random images and kernels."""
    image, kernel, output = winograd.one_tile(tile, points)
    rng = np.random.default_rng(0)
    size = len(points) + 1
    pixels = rng.normal(size=(size**2, TILES * CHANNELS)).astype(np.float32)
    taps = rng.normal(size=(winograd.TAPS**2, CHANNELS * FILTERS)).astype(np.float32)

    def convolved(dtype: type) -> np.ndarray:
        matrices = (np.kron(one, one).astype(dtype) for one in (image, kernel, output))
        for_image, for_kernel, for_output = matrices
        x = (for_image @ pixels.astype(dtype)).reshape(size**2, TILES, CHANNELS)
        w = (for_kernel @ taps.astype(dtype)).reshape(size**2, CHANNELS, FILTERS)
        return for_output @ (x @ w).reshape(size**2, TILES * FILTERS)

    return relative_error(convolved(np.float32), convolved(np.float64))


def direct_error() -> float:
    """The error of a direct convolution, which sums the products of each pixel."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(TILES * 16, winograd.TAPS**2 * CHANNELS)).astype(np.float32)
    w = rng.normal(size=(winograd.TAPS**2 * CHANNELS, FILTERS)).astype(np.float32)
    return relative_error(x @ w, x.astype(np.float64) @ w.astype(np.float64))


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2)))


def main() -> None:
    print(f"direct convolution: {direct_error():.1e}")
    for tile, points in winograd.POINTS.items():
        print(f"tiles of {tile} x {tile}; cnnzoo's points: {error(points, tile):.1e}")
        ranked = sorted((error(one, tile), one) for one in candidates(tile))
        for rms, points in ranked[:5]:
            print(f"  {rms:.1e}  {', '.join(f'{point:.4g}' for point in points)}")


if __name__ == "__main__":
    main()
