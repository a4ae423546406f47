"""Inception networks in PyTorch, and how public files name their tensors.

`BNInception` and `SlimInceptionV2` are written from the tables of the papers and of the
public definition files, and share no line with cnnzoo. Their modules carry the names of
Cadene's file and the scopes of TF-slim's. The `*_name` functions take a layer of cnnzoo
to its module in a state dict.
"""

import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnzoo.weights.sources.name_tables import name_table

State = dict[str, np.ndarray]
BRANCHES = {  # 1x1, 3x3 reduce, 3x3, double reduce, double 3x3, pool projection
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (None, 128, 160, 64, 96, None),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (None, 128, 192, 192, 256, None),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
PRINTED = {  # pool projections of 96 make the channels that the paper prints
    module: (*widths[:5], 96) if module in ("4c", "4d") else widths
    for module, widths in BRANCHES.items()
}


def window(x: Tensor, size: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's SAME padding; an odd pixel is added at the end."""
    pads = []
    for side in reversed(x.shape[2:]):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads, value=value)


class BNInception(nn.Module):
    """Ioffe & Szegedy 2015 as Caffe has it, for sides at which its branches fit.

    Every convolution has a bias, as in Cadene's file, and BN behind it.
    """

    counts_border = True  # whether average pools count their padding
    widths = BRANCHES
    bias, suffix, last = True, "_bn", "last_linear"

    def __init__(self, classes: int, aux_side: int = 0):
        """`aux_side`: of the pooled maps in auxiliary heads; 0 for no such heads."""
        super().__init__()
        self.stem()
        self.unit("conv2_3x3_reduce", 64, 64, 1)
        self.unit("conv2_3x3", 64, 192, 3)
        channels = 192
        self.aux = {}
        for module, widths in self.widths.items():
            one, reduce3, three, reduce_double, double, projection = widths
            name = f"inception_{module}"
            self.unit(f"{name}_3x3_reduce", channels, reduce3, 1)
            self.unit(f"{name}_3x3", reduce3, three, 3)
            self.unit(f"{name}_double_3x3_reduce", channels, reduce_double, 1)
            self.unit(f"{name}_double_3x3_1", reduce_double, double, 3)
            self.unit(f"{name}_double_3x3_2", double, double, 3)
            if one is None:
                channels += three + double
                continue
            self.unit(f"{name}_1x1", channels, one, 1)
            self.unit(f"{name}_pool_proj", channels, projection, 1)
            channels = one + three + double + projection
            if aux_side and module in ("4a", "4d"):
                self.aux[module] = f"aux{len(self.aux) + 1}"
                self.add_aux(self.aux[module], channels, aux_side, classes)
        self.add_module(self.last, nn.Linear(channels, classes))

    def add_aux(self, name: str, channels: int, side: int, classes: int) -> None:
        self.unit(f"{name}_conv", channels, 128, 1)
        self.add_module(f"{name}_dense", nn.Linear(128 * side * side, 1024))
        self.add_module(f"{name}_predictions", nn.Linear(1024, classes))

    def stem(self) -> None:
        self.unit("conv1_7x7_s2", 3, 64, 7)

    def scope(self, name: str) -> str:
        return name

    def norm(self, filters: int) -> nn.Module:
        return nn.BatchNorm2d(filters, eps=1e-5)

    def unit(self, name: str, inputs: int, filters: int, size: int) -> None:
        name = self.scope(name)
        self.add_module(name, nn.Conv2d(inputs, filters, size, bias=self.bias))
        self.add_module(f"{name}{self.suffix}", self.norm(filters))

    def run(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        name = self.scope(name)
        conv, norm = getattr(self, name), getattr(self, f"{name}{self.suffix}")
        return norm(self.convolve(x, conv, stride)).relu()

    def convolve(self, x: Tensor, conv: nn.Conv2d, stride: int) -> Tensor:
        padding = conv.kernel_size[0] // 2
        return functional.conv2d(x, conv.weight, conv.bias, stride, padding)

    def max_pool(self, x: Tensor, stride: int) -> Tensor:
        padding = 1 if stride == 1 else 0
        return functional.max_pool2d(x, 3, stride, padding, ceil_mode=True)

    def average_pool(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=self.counts_border)

    def first(self, x: Tensor) -> Tensor:
        return self.run(x, "conv1_7x7_s2", 2)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The outputs of each module."""
        x = self.max_pool(self.first(x), 2)
        x = self.run(self.run(x, "conv2_3x3_reduce"), "conv2_3x3")
        x = self.max_pool(x, 2)
        found = {}
        for module in self.widths:
            found[module] = x = self.inception(x, f"inception_{module}")
        return found

    def inception(self, x: Tensor, name: str) -> Tensor:
        halves = name[-2:] in ("3c", "4e")
        stride = 2 if halves else 1
        three = self.run(x, f"{name}_3x3_reduce")
        double = self.run(
            self.run(x, f"{name}_double_3x3_reduce"), f"{name}_double_3x3_1"
        )
        branches = [
            self.run(three, f"{name}_3x3", stride),
            self.run(double, f"{name}_double_3x3_2", stride),
        ]
        if halves:
            return torch.cat([*branches, self.max_pool(x, 2)], 1)
        last = name.endswith("5b")
        pooled = self.max_pool(x, 1) if last else self.average_pool(x)
        one = self.run(x, f"{name}_1x1")
        return torch.cat([one, *branches, self.run(pooled, f"{name}_pool_proj")], 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits, those of the auxiliary heads behind them, without dropout."""
        maps = self.maps(x)
        outputs = [getattr(self, self.last)(maps["5b"].mean((2, 3)))]
        for module, name in self.aux.items():
            pooled = functional.avg_pool2d(maps[module], 5, 3)
            x = self.run(pooled, f"{name}_conv").flatten(1)
            x = getattr(self, f"{name}_dense")(x).relu()
            outputs.append(getattr(self, f"{name}_predictions")(x))
        return outputs


class NarrowInceptionV2(BNInception):
    """With the channels that the paper prints and ONNX's average pools, as Caffe2's."""

    widths = PRINTED
    counts_border = False


class ShiftOnly(nn.BatchNorm2d):
    """Batch normalisation without a scale."""

    def __init__(self, filters: int):
        super().__init__(filters, eps=1e-3)
        self.register_parameter("weight", None)


class SlimInceptionV2(NarrowInceptionV2):
    """TF-slim's: SAME padding, BN without scale, a separable first layer with a bias."""

    bias, suffix, last = False, "/BatchNorm", "InceptionV2/Logits/Conv2d_1c_1x1"
    DEPTHWISE = "InceptionV2/Conv2d_1a_7x7/depthwise"
    POINTWISE = "InceptionV2/Conv2d_1a_7x7/pointwise"
    NORM = "InceptionV2/Conv2d_1a_7x7/BatchNorm"  # which a file of ours has

    def stem(self) -> None:
        self.add_module(self.DEPTHWISE, nn.Conv2d(3, 24, 7, groups=3, bias=False))
        self.add_module(self.POINTWISE, nn.Conv2d(24, 64, 1))

    def first(self, x: Tensor) -> Tensor:
        depthwise, pointwise = (
            getattr(self, self.DEPTHWISE),
            getattr(self, self.POINTWISE),
        )
        x = functional.conv2d(window(x, 7, 2), depthwise.weight, stride=2, groups=3)
        return pointwise(x).relu()

    def scope(self, name: str) -> str:
        return slim_scope(name)

    def norm(self, filters: int) -> nn.Module:
        return ShiftOnly(filters)

    def convolve(self, x: Tensor, conv: nn.Conv2d, stride: int) -> Tensor:
        x = window(x, conv.kernel_size[0], stride)
        return functional.conv2d(x, conv.weight, stride=stride)

    def max_pool(self, x: Tensor, stride: int) -> Tensor:
        return functional.max_pool2d(window(x, 3, stride, -torch.inf), 3, stride)


class ScaledInceptionV2(SlimInceptionV2):
    """As cnnzoo trains it: BN with scales, Keras's momentum, in the first layer too."""

    def stem(self) -> None:
        super().stem()
        self.add_module(self.POINTWISE, nn.Conv2d(24, 64, 1, bias=False))
        self.add_module(self.NORM, self.norm(64))

    def norm(self, filters: int) -> nn.Module:
        return nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)

    def first(self, x: Tensor) -> Tensor:
        depthwise, pointwise = (
            getattr(self, self.DEPTHWISE),
            getattr(self, self.POINTWISE),
        )
        x = functional.conv2d(window(x, 7, 2), depthwise.weight, stride=2, groups=3)
        return getattr(self, self.NORM)(pointwise(x)).relu()


class SlimAux(nn.Module):
    """TF-slim's auxiliary head for Inception V4, on maps of 17x17 pixels."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, 128, 1, bias=False)
        self.reduce_bn = nn.BatchNorm2d(128, eps=1e-3)
        self.whole = nn.Conv2d(128, 768, 5, bias=False)
        self.whole_bn = nn.BatchNorm2d(768, eps=1e-3)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.avg_pool2d(x, 5, 3)
        x = self.reduce_bn(self.reduce(x)).relu()
        return self.fc(self.whole_bn(self.whole(x)).relu().flatten(1))


# Names -------------------------------------------------------------------------------


def groups(pattern: str, name: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, name)
    assert found, f"no name for {name}"
    return found.groups()


def split_norm(layer: str, conv: str = "", norm: str = "_bn") -> tuple[str, str]:
    """The layer of the convolution, and what a module's name ends with."""
    return (layer[:-3], norm) if layer.endswith("_bn") else (layer, conv)


def cadene_name(layer: str) -> str:
    """The definitions' auxiliary heads have our names."""
    if layer.startswith("aux"):
        return layer
    return str(name_table("Cadene's BN-Inception", "bn_inception").name(layer))


SLIM = {
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
    "last_linear": "Logits/Conv2d_1c_1x1",
}
MIXED = dict(
    zip(
        BRANCHES,
        ("3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "5c"),
        strict=True,
    )
)
PARTS = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "double_3x3_reduce": "Branch_2/Conv2d_0a_1x1",
    "double_3x3_1": "Branch_2/Conv2d_0b_3x3",
    "double_3x3_2": "Branch_2/Conv2d_0c_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
HALVING = {
    "3x3_reduce": "Branch_0/Conv2d_0a_1x1",
    "3x3": "Branch_0/Conv2d_1a_3x3",
    "double_3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "double_3x3_1": "Branch_1/Conv2d_0b_3x3",
    "double_3x3_2": "Branch_1/Conv2d_1a_3x3",
}


def slim_scope(name: str) -> str:
    """TF-slim's scope for what Cadene calls `name`."""
    if name in SLIM:
        return f"InceptionV2/{SLIM[name]}"
    module, part = groups(r"inception_(..)_(.+)", name)
    parts = HALVING if module in ("3c", "4e") else PARTS
    return f"InceptionV2/Mixed_{MIXED[module]}/{parts[part]}"


def slim_name(layer: str) -> str | tuple[str, str]:
    if layer == "stem_conv1":
        return SlimInceptionV2.DEPTHWISE, SlimInceptionV2.POINTWISE
    if layer == "stem_conv1_bn":
        return SlimInceptionV2.NORM
    layer, end = split_norm(layer, norm="/BatchNorm")
    return slim_scope(cadene_name(layer)) + end


SLIM_AUX = {  # of `SlimAux`, which stands in `aux`
    "aux1_conv1": "aux.reduce",
    "aux1_conv1_bn": "aux.reduce_bn",
    "aux1_conv2": "aux.whole",
    "aux1_conv2_bn": "aux.whole_bn",
    "aux1_predictions": "aux.fc",
}


def timm_name(layer: str) -> str:
    """Inception V4's; the auxiliary head of the test's own stands in `aux`."""
    return SLIM_AUX.get(layer) or str(name_table("timm", "inception_v4").name(layer))


# What public files have and our graphs do not ----------------------------------------


def without_biases(state: State) -> State:
    """Cadene's biases, which BN takes out again, put into the means of BN."""
    found = dict(state)
    for name in state:
        norm = f"{name.removesuffix('.bias')}_bn.running_mean"
        if name.endswith(".bias") and norm in state:
            found[norm] = found[norm] - found.pop(name)
    return found


def from_slim(state: State) -> State:
    """TF-slim's scales of 1, its eight filters a channel, and its first layer's bias.

    A BN whose variance and epsilon add up to 1 does no more than a bias.
    """
    found = dict(state)
    for name, value in state.items():
        if name.endswith("BatchNorm.bias"):
            found[name.replace(".bias", ".weight")] = np.ones_like(value)
    depthwise = f"{SlimInceptionV2.DEPTHWISE}.weight"
    found[depthwise] = state[depthwise].reshape(3, 8, 7, 7)
    bias = found.pop(f"{SlimInceptionV2.POINTWISE}.bias")
    norm = SlimInceptionV2.NORM
    return found | {
        f"{norm}.weight": np.ones_like(bias),
        f"{norm}.bias": bias,
        f"{norm}.running_mean": np.zeros_like(bias),
        f"{norm}.running_var": np.full_like(bias, 1 - 1e-3),
    }
