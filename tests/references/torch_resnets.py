"""ResNets in PyTorch: the public names of their tensors, and the CIFAR-10 networks.

torchvision and timm define the networks for ImageNet; those for CIFAR-10 are written
here, with the names of https://github.com/akamaster/pytorch_resnet_cifar10.
"""

import re
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

PART = re.compile(r"stage(\d)_block(\d+)_(conv(\d)|shortcut|preact)(_bn)?")


def parts(layer: str) -> tuple[int, int, str, str, bool]:
    """Stage and block from 0, the part, the number in its name, and whether it is BN."""
    found = PART.fullmatch(layer)
    assert found, f"no name for {layer}"
    stage, block, part, number, norm = found.groups()
    return int(stage) - 1, int(block) - 1, part, number, bool(norm)


def torchvision_name(layer: str) -> str:
    fixed = {"stem_conv": "conv1", "stem_conv_bn": "bn1", "predictions": "fc"}
    if layer in fixed:
        return fixed[layer]
    stage, block, part, number, norm = parts(layer)
    if part == "shortcut":
        last = f"downsample.{int(norm)}"
    else:
        last = f"{'bn' if norm else 'conv'}{number}"
    return f"layer{stage + 1}.{block}.{last}"


def akamaster_name(layer: str) -> str:
    """The files come from a module inside torch's DataParallel, which adds `module`."""
    if layer == "predictions":
        return "module.linear"
    return f"module.{torchvision_name(layer)}".replace("downsample", "shortcut")


def timm_v2_name(layer: str) -> str:
    fixed = {"stem_conv": "stem.conv", "stage4_bn": "norm", "predictions": "head.fc"}
    if layer in fixed:
        return fixed[layer]
    stage, block, part, number, norm = parts(layer)
    if part == "shortcut":
        last = "downsample.conv"
    elif part == "preact":
        last = "norm1"
    else:  # a block's second normalisation follows its first convolution
        last = f"norm{int(number) + 1}" if norm else f"conv{number}"
    return f"stages.{stage}.blocks.{block}.{last}"


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
