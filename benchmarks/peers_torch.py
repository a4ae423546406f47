"""The networks as PyTorch users write them: (b, c, h, w) to logits (b, classes).

`NETWORKS` has a function per catalog name, which builds the network for (h, w, c) images.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.tables import GOOGLENET

Shape = tuple[int, int, int]
Act = type["PixelPReLU"] | type["PlainReLU"]


def vgg(
    shape: Shape, classes: int, *, filters: Sequence[int], hidden: Sequence[int]
) -> nn.Module:
    """Four stages of convolution, BN and ReLU."""
    modules: list[nn.Module] = []
    height, width, inputs = shape
    for outputs, repeats in zip(filters, (2, 2, 3, 3), strict=True):
        for _ in range(repeats):
            modules += [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        modules.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    modules.append(nn.Flatten())
    inputs *= height * width
    for units in hidden:
        modules += [nn.Linear(inputs, units), nn.ReLU()]
        inputs = units
    return nn.Sequential(*modules, nn.Linear(inputs, classes))


class PixelPReLU(nn.Module):
    """PReLU with one slope per pixel of (channels, side, side), which PyTorch lacks."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(channels, side, side))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.slope * x)


class PlainReLU(nn.ReLU):
    """ReLU, with the arguments that PixelPReLU needs."""

    def __init__(self, channels: int, side: int):
        super().__init__()


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions added to a shortcut.

    Args:
        side: Side of the output.
        act: Activation.
        act_before_sum: Whether the branch of a block that keeps the shape ends in an
            activation, as in SmallResNet.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        side: int,
        act: Act,
        act_before_sum: bool,
    ):
        super().__init__()
        outputs = 4 * width
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, width, 1, stride),
            nn.BatchNorm2d(width),
            act(width, side),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            act(width, side),
            nn.Conv2d(width, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )
        elif act_before_sum:
            self.branch.append(act(outputs, side))
        self.act = act(outputs, side)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.branch(x) + self.shortcut(x))


def resnet(
    shape: Shape,
    classes: int,
    *,
    repeats: Sequence[int],
    act: Act,
    pool_padding: int,
    act_before_sum: bool,
) -> nn.Module:
    """Bottlenecks with biases, and the stride in the first 1x1 convolution."""
    side = (shape[0] + 1) // 2
    modules: list[nn.Module] = [
        nn.Conv2d(shape[2], 64, 7, 2, padding=3),
        nn.BatchNorm2d(64),
        act(64, side),
        nn.MaxPool2d(3, 2, padding=pool_padding),
    ]
    side = (side + 2 * pool_padding - 3) // 2 + 1
    inputs = 64
    for stage, count in enumerate(repeats):
        width = 64 * 2**stage
        for i in range(count):
            stride = 2 if stage and not i else 1
            side = (side - 1) // stride + 1
            modules.append(Bottleneck(inputs, width, stride, side, act, act_before_sum))
            inputs = 4 * width
    return nn.Sequential(*modules, *pooled(inputs, classes))


def pooled(inputs: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


class Inception(nn.Module):
    """Four branches with concatenated channels."""

    def __init__(
        self,
        inputs: int,
        one: int,
        reduce3: int,
        three: int,
        reduce5: int,
        five: int,
        projection: int,
    ):
        super().__init__()
        self.one = conv(inputs, one, 1)
        self.three = nn.Sequential(conv(inputs, reduce3, 1), conv(reduce3, three, 3))
        self.five = nn.Sequential(conv(inputs, reduce5, 1), conv(reduce5, five, 5))
        self.pool = nn.Sequential(
            nn.MaxPool2d(3, 1, padding=1), conv(inputs, projection, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.ReLU()
    )


def googlenet(shape: Shape, classes: int) -> nn.Module:
    modules: list[nn.Module] = [
        conv(shape[2], 64, 7, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        conv(64, 64, 1),
        conv(64, 192, 3),
        nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
    ]
    inputs = 192
    for stage in GOOGLENET:
        modules.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        for one, reduce3, three, reduce5, five, projection in stage:
            modules.append(
                Inception(inputs, one, reduce3, three, reduce5, five, projection)
            )
            inputs = one + three + five + projection
    mean, flatten, classify = pooled(inputs, classes)
    return nn.Sequential(*modules, mean, flatten, nn.Dropout(0.4), classify)


NETWORKS = {
    "small_vgg": partial(vgg, filters=(64, 128, 256, 512), hidden=(512,)),
    "very_small_vgg": partial(vgg, filters=(32, 64, 128, 256), hidden=(512, 512)),
    "small_resnet": partial(
        resnet, repeats=(3, 4, 6), act=PixelPReLU, pool_padding=0, act_before_sum=True
    ),
    "resnet50": partial(
        resnet, repeats=(3, 4, 6, 3), act=PlainReLU, pool_padding=1, act_before_sum=False
    ),
    "inception_v1": googlenet,
}
