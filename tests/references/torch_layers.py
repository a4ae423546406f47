"""The layers of `numpy_layers` in PyTorch, whose autograd gives their gradients.

Images are (b, h, w, c) and weights have Keras's layouts, as there, so that the same
definitions of networks run on both. Batch normalisation trains: it goes by the batch, and
updates the moving statistics with the variance that divides by n, as Keras does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy_layers import tf_same
from torch import Tensor, nn
from torch.nn import functional

STATISTICS = ("moving_mean", "moving_variance")


def first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def padded(x: Tensor, size: int, stride: int, pad: int | str, value: float) -> Tensor:
    """(b, c, h, w) padded by TensorFlow's "same", or by so many pixels on each side."""
    if pad == "same":
        rows, columns = (tf_same(side, size, stride) for side in x.shape[2:])
    else:
        rows = columns = (int(pad), int(pad))
    return functional.pad(x, (*columns, *rows), value=value)


class Network(nn.Module):
    """A definition with trainable weights; it stands for `numpy_layers.Weights` in it.

    Args:
        definition: images (b, h, w, c) and weights to logits, or to a list of them.
        values: the weights of each layer, by the layer's and by their own names.
        momentum: the share of the moving statistics that a step keeps.
    """

    def __init__(
        self,
        definition: Callable[..., Any],
        values: Mapping[str, Mapping[str, np.ndarray]],
        momentum: float,
    ):
        super().__init__()
        self.definition = definition
        self.momentum = momentum
        self.names = {layer: tuple(weights) for layer, weights in values.items()}
        for layer, weights in values.items():
            for name, value in weights.items():
                tensor = torch.from_numpy(np.array(value))
                if name in STATISTICS:
                    self.register_buffer(f"{layer}/{name}", tensor)
                else:
                    self.register_parameter(f"{layer}/{name}", nn.Parameter(tensor))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Images (b, c, h, w), as PyTorch's own networks take them, to logits."""
        return self.definition(last(x), self)

    def __getitem__(self, layer: str) -> dict[str, Tensor]:
        return {name: getattr(self, f"{layer}/{name}") for name in self.names[layer]}

    def conv(
        self, x: Tensor, layer: str, *, stride: int = 1, pad: int | str = "same"
    ) -> Tensor:
        w = self[layer]
        kernel = w["kernel"].permute(3, 2, 0, 1)
        x = padded(first(x), kernel.shape[2], stride, pad, 0.0)
        return last(functional.conv2d(x, kernel, w.get("bias"), stride))

    def dense(self, x: Tensor, layer: str) -> Tensor:
        w = self[layer]
        return x @ w["kernel"] + w["bias"]

    def batch_norm(self, x: Tensor, layer: str, epsilon: float) -> Tensor:
        w = self[layer]
        mean = x.mean((0, 1, 2))
        variance = ((x - mean) ** 2).mean((0, 1, 2))
        with torch.no_grad():
            for moving, batch in zip(STATISTICS, (mean, variance), strict=True):
                w[moving].lerp_(batch, 1 - self.momentum)
        return w["gamma"] * (x - mean) / torch.sqrt(variance + epsilon) + w["beta"]

    def prelu(self, x: Tensor, layer: str) -> Tensor:
        return torch.where(x > 0, x, self[layer]["alpha"] * x)

    relu = staticmethod(torch.relu)
    tanh = staticmethod(torch.tanh)

    @staticmethod
    def max_pool(x: Tensor, size: int, stride: int, pad: int = 0) -> Tensor:
        return last(functional.max_pool2d(first(x), size, stride, pad))

    @staticmethod
    def caffe_max_pool(x: Tensor, size: int, stride: int, pad: int = 0) -> Tensor:
        return last(functional.max_pool2d(first(x), size, stride, pad, ceil_mode=True))

    @staticmethod
    def same_max_pool(x: Tensor, size: int, stride: int) -> Tensor:
        x = padded(first(x), size, stride, "same", -torch.inf)
        return last(functional.max_pool2d(x, size, stride))

    @staticmethod
    def average_pool(x: Tensor, size: int, stride: int | None = None) -> Tensor:
        return last(functional.avg_pool2d(first(x), size, stride))

    @staticmethod
    def lrn(x: Tensor) -> Tensor:
        x = first(x).contiguous()
        return last(functional.local_response_norm(x, 5, alpha=1e-4, k=1.0))

    @staticmethod
    def concat(branches: list[Tensor]) -> Tensor:
        return torch.cat(branches, dim=-1)

    @staticmethod
    def caffe_flatten(x: Tensor) -> Tensor:
        """Channels last, since that is the order of the weights here."""
        return x.reshape(len(x), -1)

    @staticmethod
    def zero_pad(x: Tensor, pixels: int) -> Tensor:
        return last(functional.pad(first(x), (pixels,) * 4))
