"""Layers in plain NumPy and float64, written from their definitions.

Images are (b, h, w, c) and kernels (h, w, in, out). Nothing here knows Keras or cnnzoo;
the networks of `reference_googlenet` and `reference_nets` are made of its `Weights`, or
of those in `torch_layers`, with which the same definitions have gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import ceil

import numpy as np

Array = np.ndarray
Sides = tuple[int, int]  # before and after


def tf_same(side: int, kernel: int, stride: int) -> Sides:
    """TensorFlow's SAME padding; an odd pixel is added at the end."""
    total = max((ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def padded(x: Array, rows: Sides, columns: Sides, value: float = 0.0) -> Array:
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)


def conv(
    x: Array,
    kernel: Array,
    bias: Array | float = 0.0,
    *,
    stride: int = 1,
    pad: int | str = "same",
) -> Array:
    """Cross-correlation; `pad` is TensorFlow's "same", or so many zeros on each side."""
    size = kernel.shape[:2]
    if pad == "same":
        rows, columns = (tf_same(x.shape[1 + i], size[i], stride) for i in (0, 1))
    else:
        rows = columns = (int(pad), int(pad))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded(x, rows, columns), size, axis=(1, 2)
    )[:, ::stride, ::stride]  # b, h, w, c, kernel rows, kernel columns
    return np.tensordot(windows, kernel, axes=((4, 5, 3), (0, 1, 2))) + bias


def caffe_max_pool(x: Array, size: int, stride: int, pad: int = 0) -> Array:
    """Caffe's: as many windows as begin on the image, clipped at its border."""
    starts = [_caffe_starts(side, size, stride, pad) for side in x.shape[1:3]]
    return _max_over(x, size, starts[0], starts[1])


def max_pool(x: Array, size: int, stride: int, pad: int = 0) -> Array:
    """Whole windows only, as in PyTorch; padding is never the largest."""
    x = padded(x, (pad, pad), (pad, pad), -np.inf)
    starts = [range(0, side - size + 1, stride) for side in x.shape[1:3]]
    return _max_over(x, size, starts[0], starts[1])


def same_max_pool(x: Array, size: int, stride: int) -> Array:
    """TensorFlow's SAME, whose padding is never the largest."""
    rows, columns = (tf_same(side, size, stride) for side in x.shape[1:3])
    return max_pool(padded(x, rows, columns, -np.inf), size, stride)


def average_pool(x: Array, size: int, stride: int | None = None) -> Array:
    """The mean of each whole window of `size` pixels a side, by default side by side."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    step = stride or size
    return windows[:, ::step, ::step].mean(axis=(-2, -1))


def lrn(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Caffe's LRN across channels, a channel at a time; the last axis has them."""
    out = np.empty(x.shape, np.float64)
    for channel in range(x.shape[-1]):
        first = max(channel - size // 2, 0)
        window = x[..., first : channel + size // 2 + 1]
        energy = (window**2).sum(-1) * alpha / size
        out[..., channel] = x[..., channel] / (k + energy) ** beta
    return out


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@dataclass
class Weights:
    """Named weights, the layers whose weights were read, and what layers compute.

    `values` maps the name of a layer to its weights by their own names.
    """

    values: Mapping[str, Mapping[str, Array]]
    used: set[str] = field(default_factory=set)

    average_pool = staticmethod(average_pool)
    caffe_max_pool = staticmethod(caffe_max_pool)
    lrn = staticmethod(lrn)
    max_pool = staticmethod(max_pool)
    relu = staticmethod(relu)
    same_max_pool = staticmethod(same_max_pool)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def concat(branches: list[Array]) -> Array:
        return np.concatenate(branches, axis=-1)

    @staticmethod
    def caffe_flatten(x: Array) -> Array:
        """Channels first, (b, c * h * w)."""
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    @staticmethod
    def zero_pad(x: Array, pixels: int) -> Array:
        return padded(x, (pixels, pixels), (pixels, pixels))

    def __getitem__(self, layer: str) -> dict[str, Array]:
        self.used.add(layer)
        return {name: w.astype(np.float64) for name, w in self.values[layer].items()}

    def conv(
        self, x: Array, layer: str, *, stride: int = 1, pad: int | str = "same"
    ) -> Array:
        return conv(x, **self[layer], stride=stride, pad=pad)

    def batch_norm(self, x: Array, layer: str, epsilon: float) -> Array:
        w = self[layer]
        normal = (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + epsilon)
        return w["gamma"] * normal + w["beta"]

    def prelu(self, x: Array, layer: str) -> Array:
        return np.where(x > 0, x, self[layer]["alpha"] * x)

    def dense(self, x: Array, layer: str) -> Array:
        w = self[layer]
        return x @ w["kernel"] + w["bias"]


def _caffe_starts(side: int, size: int, stride: int, pad: int) -> list[int]:
    count = ceil((side + 2 * pad - size) / stride) + 1
    if pad and (count - 1) * stride >= side + pad:
        count -= 1  # the last window would begin behind the image
    return [i * stride - pad for i in range(count)]


def _max_over(x: Array, size: int, rows, columns) -> Array:
    out = np.empty((x.shape[0], len(rows), len(columns), x.shape[3]))
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        window = x[:, max(row, 0) : row + size, max(column, 0) : column + size]
        out[:, i, j] = window.max(axis=(1, 2))
    return out
