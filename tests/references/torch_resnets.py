"""ResNets for CIFAR-10 in PyTorch.

The modules have the names of https://github.com/akamaster/pytorch_resnet_cifar10, whose
files come from a module inside torch's DataParallel, which adds `module`.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


class ZeroChannels(nn.Module):
    """Option A: every other pixel, and zeros for the channels that are new."""

    def __init__(self, channels: int):
        super().__init__()
        self.new = channels // 4  # on each side: half of the channels are new

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new, self.new))


class Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int, option: str):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if before != channels and option == "A":
            self.shortcut = ZeroChannels(channels)
        elif before != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(added + self.shortcut(x))


class CifarResNet(nn.Module):
    """`blocks` in each of three stages: (b, 3, h, w) to logits (b, 10)."""

    def __init__(self, blocks: int, option: str):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, 1, blocks, option)
        self.layer2 = stage(16, 32, 2, blocks, option)
        self.layer3 = stage(32, 64, 2, blocks, option)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def stage(before: int, channels: int, stride: int, blocks: int, option: str):
    first = Block(before, channels, stride, option)
    others = [Block(channels, channels, 1, option) for _ in range(blocks - 1)]
    return nn.Sequential(first, *others)


def cifar_resnet(blocks: int, option: str) -> nn.Module:
    return nn.Sequential(OrderedDict(module=CifarResNet(blocks, option)))
