"""Inception-ResNet V1 in PyTorch, which no library has for ImageNet.

It reads the figures of https://arxiv.org/abs/1602.07261 and takes timm's names for V2.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch_inceptions import SLIM_AUX, State

from cnnzoo.weights.sources.name_tables import name_table

Size = int | tuple[int, int]


def unit(inputs: int, outputs: int, size: Size, stride: int = 1, *, pad: bool = True):
    """Convolution, BN, ReLU; padded to keep the image, or not at all."""
    height, width = (size, size) if isinstance(size, int) else size
    padding = (height // 2, width // 2) if pad else 0
    conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=1e-3)
    return nn.Sequential(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU()))


class Joined(nn.Module):
    """Branches over the same maps, joined by channel."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.branches = len(branches)

    def forward(self, x: Tensor) -> Tensor:
        branches = [getattr(self, f"branch{i}") for i in range(self.branches)]
        return torch.cat([branch(x) for branch in branches], 1)


class Added(Joined):
    """A residual block."""

    def __init__(self, channels: int, joined: int, scale: float, *branches: nn.Module):
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(joined, channels, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.scale * self.conv2d(super().forward(x))).relu()


def block35() -> Added:  # figure 10
    one, two, three = unit(256, 32, 1), unit(256, 32, 1), unit(256, 32, 1)
    two = nn.Sequential(two, unit(32, 32, 3))
    three = nn.Sequential(three, unit(32, 32, 3), unit(32, 32, 3))
    return Added(256, 96, 0.17, one, two, three)


def block17() -> Added:  # figure 11
    one, two = unit(896, 128, 1), unit(896, 128, 1)
    two = nn.Sequential(two, unit(128, 128, (1, 7)), unit(128, 128, (7, 1)))
    return Added(896, 256, 0.1, one, two)


def block8() -> Added:  # figure 13
    one, two = unit(1792, 192, 1), unit(1792, 192, 1)
    two = nn.Sequential(two, unit(192, 192, (1, 3)), unit(192, 192, (3, 1)))
    return Added(1792, 384, 0.2, one, two)


def last(inputs: int, outputs: int) -> nn.Module:
    return unit(inputs, outputs, 3, 2, pad=False)


class InceptionResNetV1(nn.Module):
    def __init__(self, classes: int, stem_stride: int = 2):
        super().__init__()
        pool = nn.MaxPool2d(3, 2)
        self.conv2d_1a = unit(3, 32, 3, stem_stride, pad=False)  # figure 14
        self.conv2d_2a = unit(32, 32, 3, pad=False)
        self.conv2d_2b = unit(32, 64, 3)
        self.maxpool_3a = pool if stem_stride == 2 else nn.Identity()
        self.conv2d_3b = unit(64, 80, 1)
        self.conv2d_4a = unit(80, 192, 3, pad=False)
        self.conv2d_4b = unit(192, 256, 3, stem_stride, pad=False)
        self.repeat = nn.Sequential(*(block35() for _ in range(5)))
        deep = (unit(256, 192, 1), unit(192, 192, 3), last(192, 256))
        self.mixed_6a = Joined(last(256, 384), nn.Sequential(*deep), pool)  # figure 7
        self.repeat_1 = nn.Sequential(*(block17() for _ in range(10)))
        deep = (unit(896, 256, 1), unit(256, 256, 3), last(256, 256))
        self.mixed_7a = Joined(  # figure 12
            nn.Sequential(unit(896, 256, 1), last(256, 384)),
            nn.Sequential(unit(896, 256, 1), last(256, 256)),
            nn.Sequential(*deep),
            pool,
        )
        self.repeat_2 = nn.Sequential(*(block8() for _ in range(5)))
        self.classif = nn.Linear(1792, classes)
        self.parts = [*self.children()]

    def forward(self, x: Tensor) -> Tensor:
        *trunk, classifier = self.parts
        for part in trunk:
            x = part(x)
        return classifier(x.mean((2, 3)))


def without_stem_strides(module: nn.Module, convs: tuple[str, ...], pools=()) -> None:
    """The small stem: these convolutions have stride 1, and these pools are left out."""
    for name in convs:
        conv = module.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        conv.stride = (1, 1)
    for name in pools:
        module.set_submodule(name, nn.Identity())


# Names -------------------------------------------------------------------------------


def timm_resnet_name(layer: str) -> str:
    """Inception-ResNet's; the auxiliary head of the test's own stands in `aux`."""
    return SLIM_AUX.get(layer) or str(
        name_table("timm", "inception_resnet_v2").name(layer)
    )


def without_scales(state: State) -> State:
    """A state dict whose BN scales are 1, for networks whose BN has none."""
    scales = [name for name in state if is_scale(name, state)]
    assert all((state[name] == 1).all() for name in scales)
    return {name: value for name, value in state.items() if name not in scales}


def set_scales_to_1(module: nn.Module, state: State) -> None:
    """In both, as in files that TensorFlow's networks were ported to."""
    for name in state:
        if is_scale(name, state):
            state[name] = np.ones_like(state[name])
            nn.init.ones_(module.get_parameter(name))


def is_scale(name: str, state: State) -> bool:
    return name.replace(".weight", ".running_mean") in state and name.endswith(".weight")
