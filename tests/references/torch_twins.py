"""The PyTorch twin of every network of the catalog, to train beside it.

Twins are torchvision's and timm's own networks, brought to our form by their attributes
where keras.applications' form is meant; the definitions of `torch_*`; and those of
`reference_*` on the layers of `torch_layers`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import reference_nets
import torch
import torch_classic
import torch_resnets
from torch import nn
from training_step import State
from twins import (
    CLASSES,
    PIXELS,
    TIMM,
    TORCHVISION,
    Case,
    Maker,
    defined,
    module,
    norms,
    timm,
    torchvision,
)
from twins_of_inceptions import INCEPTIONS

from cnnzoo.weights.sources.name_tables import name_table

# Classic -----------------------------------------------------------------------------


def caffe(build: Callable[..., nn.Module], **options: Any) -> Maker:
    """Five convolutions and three dense layers, with the names that Caffe gave them."""
    names = {
        "stem_conv": "conv1",
        "stage1_conv": "conv2",
        **{f"stage2_conv{i}": f"conv{i + 2}" for i in (1, 2, 3)},
        **{f"head_dense{i}": f"fc{i + 5}" for i in (1, 2)},
        "predictions": "fc8",
    }
    return module(partial(build, CLASSES, side=2, **options), names.__getitem__)


def nin(build: Callable[[int], nn.Module], stages: int) -> Maker:
    names = {"head_conv": f"cccp{stages}_2"}
    for stage in range(1, stages + 1):
        names[f"stage{stage}_conv1"] = f"conv{stage}"
        names |= {f"stage{stage}_conv{i + 1}": f"cccp{stage}_{i}" for i in (1, 2)}
    return module(partial(build, CLASSES), names.__getitem__)


def of_torchvision(name: str, first_dense: int) -> Maker:
    """AlexNet or a VGG, on maps of 2x2 that no pool blows up to torchvision's size.

    `first_dense`: the number of the first dense layer among those of the classifier.
    """

    def build() -> nn.Module:
        with torch.device("meta"):  # no memory for the layer that is exchanged
            twin = torchvision.models.get_model(
                name.removesuffix("_torchvision"), num_classes=CLASSES
            )
            twin.avgpool = nn.Identity()
            channels = 512 if first_dense == 0 else 256
            twin.classifier[first_dense] = nn.Linear(channels * 2 * 2, 4096)
        return twin.to_empty(device="cpu")

    return module(build, name_table("torchvision", name).name, TORCHVISION)


# ResNets -----------------------------------------------------------------------------


def resnet(like: str, *, stride_first: bool = False, of_keras: bool = False) -> Maker:
    """torchvision's, or with the paper's stride in the first 1x1, or Keras's with biases
    and its epsilon and momentum."""

    def build() -> nn.Module:
        twin = torchvision.models.get_model(like, num_classes=CLASSES)
        for part in twin.modules():
            if stride_first and hasattr(part, "conv3"):
                part.conv1.stride, part.conv2.stride = part.conv2.stride, (1, 1)
            if of_keras and isinstance(part, nn.Conv2d):
                part.bias = nn.Parameter(torch.zeros(part.out_channels))
        return norms(twin, eps=1.001e-5, momentum=0.01) if of_keras else twin

    return module(build, name_table("torchvision", "resnet18").name, TORCHVISION)


def timm_resnet_v2(name: str) -> Maker:
    def edit(state: State) -> State:
        """timm's classifier, a 1x1 convolution, as the dense layer it is."""
        head = "head.fc.weight"
        return state | {head: state[head][:, :, 0, 0]}

    build = partial(timm.create_model, name, pretrained=False, num_classes=CLASSES)
    return module(build, name_table("timm", "resnet18_v2").name, TIMM, edit=edit)


def cifar_resnet(blocks: int) -> Maker:
    name_of = name_table("akamaster's CIFAR ResNets", "resnet20").name
    return module(
        partial(torch_resnets.cifar_resnet, blocks, "A"),
        lambda layer: f"module.{name_of(layer)}",
    )


# The catalog -------------------------------------------------------------------------

KKWEON = partial(defined, reference_nets.vgg, convolutions=(2, 2, 3, 3), epsilon=1e-3)
V2_KERAS = partial(defined, reference_nets.keras_resnet_v2)
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CASES = {
    "lenet5": Case(defined(reference_nets.lenet5), 28, 1),
    "lenet5 prelu": Case(
        defined(reference_nets.lenet5, activation="prelu"),
        28,
        1,
        options=(("activation", "prelu"),),
    ),
    "lenet_gap": Case(defined(reference_nets.lenet_gap), 28, 1),
    "mlp": Case(defined(reference_nets.mlp), 28, 1),
    "simple_cnn": Case(defined(reference_nets.simple_cnn), 28, 1),
    "shapes_cnn": Case(defined(reference_nets.simple_cnn), 24),
    "alexnet": Case(caffe(torch_classic.alexnet), 95, scale=PIXELS),
    "caffenet": Case(caffe(torch_classic.alexnet, pool_first=True), 95, scale=PIXELS),
    "alexnet_torchvision": Case(of_torchvision("alexnet_torchvision", 1), 95),
    "zfnet": Case(caffe(torch_classic.zfnet), 107, scale=PIXELS),
    "zfnet512": Case(caffe(torch_classic.zfnet512), 96, scale=PIXELS),
    "nin": Case(nin(torch_classic.nin, 4), 79),
    "nin_cifar10": Case(nin(torch_classic.nin_cifar10, 3), 16),
    "nin_mnist": Case(nin(torch_classic.nin_mnist, 3), 16, 1),
    **{f"vgg{n}": Case(of_torchvision(f"vgg{n}", 0), 64) for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": Case(of_torchvision(f"vgg{n}_bn", 0), 64) for n in (11, 13, 16, 19)},
    "small_vgg": Case(KKWEON(dense=1), 28, 1),
    "very_small_vgg": Case(KKWEON(dense=2), 28, 1),
    "resnet18": Case(resnet("resnet18"), 64),
    "resnet34": Case(resnet("resnet34"), 64),
    **{
        name: case
        for n, repeats in DEPTHS.items()
        for name, case in {
            f"resnet{n}_v1_5": Case(resnet(f"resnet{n}"), 64),
            f"resnet{n}_paper": Case(resnet(f"resnet{n}", stride_first=True), 64),
            f"resnet{n}": Case(
                resnet(f"resnet{n}", stride_first=True, of_keras=True), 64
            ),
            f"resnet{n}_v2": Case(V2_KERAS(repeats=repeats), 64),
        }.items()
    },
    "resnet18_v2": Case(timm_resnet_v2("resnetv2_18"), 64),
    "resnet34_v2": Case(timm_resnet_v2("resnetv2_34"), 64),
    "resnet50_v2_timm": Case(timm_resnet_v2("resnetv2_50"), 64),
    **{f"resnet{6 * n + 2}": Case(cifar_resnet(n), 8) for n in (3, 5, 7, 9, 18)},
    "small_resnet": Case(defined(reference_nets.small_resnet), 28, 1),
    **INCEPTIONS,
}
