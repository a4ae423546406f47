"""ResNets give the numbers of torchvision, timm and a PyTorch definition.

Random weights go over by the public names of their tensors.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
import torch_resnets
from parity import Record, compare, images
from torch import nn
from torch_weights import convert, import_torchvision, outputs, random_state

import cnnzoo
from cnnzoo import graph
from cnnzoo.models import cifar_resnet, resnet, resnet_v2
from cnnzoo.weights.sources.name_tables import name_table
from cnnzoo.zoo import sketch

proof = pytest.mark.proof
BOUND = 1e-4
REFERENCES = Path(__file__).parents[1] / "references"
COUNTS = json.loads((REFERENCES / "counts.json").read_text())

torchvision = import_torchvision()
timm = pytest.importorskip("timm")
AKAMASTER = name_table("akamaster's CIFAR ResNets", "resnet20")

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50_v1_5": "resnet50",
    "resnet101_v1_5": "resnet101",
    "resnet152_v1_5": "resnet152",
}
TIMM = {
    "resnet18_v2": "resnetv2_18",
    "resnet34_v2": "resnetv2_34",
    "resnet50_v2_timm": "resnetv2_50",
}
BLOCKS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}


@dataclass(frozen=True)
class Source:
    """Where networks are published, and what their parts are called there."""

    against: str
    name_of: Callable[[str], str | None]
    features: str
    stem_conv: str = ""
    stem_pool: str = ""


SOURCES = {
    **dict.fromkeys(
        TORCHVISION,
        Source(
            f"torchvision {torchvision.__version__.partition('+')[0]}",
            name_table("torchvision", "resnet18").name,
            features="layer4",
            stem_conv="conv1",
            stem_pool="maxpool",
        ),
    ),
    **dict.fromkeys(
        TIMM,
        Source(
            f"timm {timm.__version__}",
            name_table("timm", "resnet18_v2").name,
            features="norm",
            stem_conv="stem.conv",
            stem_pool="stem.pool",
        ),
    ),
    **dict.fromkeys(
        BLOCKS,
        Source(
            "PyTorch definition",
            lambda layer: f"module.{AKAMASTER.name(layer)}",
            features="module.layer3",
        ),
    ),
}


def published(name: str) -> nn.Module:
    if name in TORCHVISION:
        return getattr(torchvision.models, TORCHVISION[name])(weights=None)
    return timm.create_model(TIMM[name], pretrained=False)


def with_small_stem(module: nn.Module, source: Source) -> nn.Module:
    first = module.get_submodule(source.stem_conv)
    assert isinstance(first, nn.Conv2d)
    first.stride = (1, 1)
    module.set_submodule(source.stem_pool, nn.Identity())
    return module


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    """Random ones; timm's classifier, a 1x1 convolution, as the dense layer it is."""
    state = random_state(module)
    if "head.fc.weight" in state:
        state["head.fc.weight"] = state["head.fc.weight"][:, :, 0, 0]
    return state


def seen(module: nn.Module, features: str, x: np.ndarray) -> list[np.ndarray]:
    """Features, channels last, and logits of images (b, h, w, c)."""
    maps = []
    hook = module.get_submodule(features).register_forward_hook(
        lambda module, inputs, output: maps.append(output.numpy())
    )
    logits = outputs(module, x)
    hook.remove()
    return [maps[0].transpose(0, 2, 3, 1), logits]


def same(record: Record, name: str, side: int, module: nn.Module, **options) -> None:
    """Compares features and logits of the network and the module."""
    shape, source = (side, side, 3), SOURCES[name]
    ours = cnnzoo.build(name, input_shape=shape, classifier_activation=None, **options)
    convert(ours, weights(module), source.name_of)
    both = keras.Model(ours.input, [ours.get_layer("features").output, ours.output])
    x = images(side)
    given = "".join(f"{key}={value}, " for key, value in options.items())
    for what, found, expected in zip(
        ("features", "logits"),
        both(x, training=False),
        seen(module, source.features, x),
        strict=True,
    ):
        label = f"{given}{what}, {side} px"
        compare(record, name, label, source.against, found, expected, BOUND)


# Sides of 64 and 224 px are even at every stride; 75 and 107 px are odd at some.
@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("resnet18", 75),
        ("resnet50_v1_5", 75),
        ("resnet18_v2", 64),
        ("resnet50_v2_timm", 75),
    ],
)
def test_small_images(record: Record, name: str, side: int):
    same(record, name, side, published(name))


@proof
@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
@pytest.mark.parametrize("side", [107, 224])
def test_published(record: Record, name: str, side: int):
    same(record, name, side, published(name))


@pytest.mark.parametrize("name", ["resnet18", "resnet18_v2"])
@pytest.mark.parametrize("side", [32, pytest.param(45, marks=proof)])
def test_small_stem(record: Record, name: str, side: int):
    module = with_small_stem(published(name), SOURCES[name])
    same(record, name, side, module, stem="small")


def marked(name: str):
    deep = "101" in name or "152" in name
    return pytest.param(name, marks=proof) if deep else name


@pytest.mark.parametrize(
    "name", [marked(spec.name) for spec in (*resnet.SPECS, *resnet_v2.SPECS)]
)
def test_small_stem_leaves_a_map(name: str):
    open_size = {"input_shape": (None, None, 3), "include_top": False}
    small = sketch(name, stem="small", **open_size)
    for side in (28, 32, 64):
        shapes = graph.output_shapes(small, (side, side, 3))
        assert shapes["features"][:2] == (-(-side // 8),) * 2
    usual = sketch(name, **open_size)
    assert [w.shape for w in small.weights] == [w.shape for w in usual.weights]


@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
def test_parameters_are_those_of_the_reference(name: str):
    with torch.device("meta"):  # shapes without memory
        module = published(name)
    expected = sum(parameter.numel() for parameter in module.parameters())
    assert graph.parameters(sketch(name))[1] == expected == COUNTS[name]["trainable"]


# CIFAR-10 ------------------------------------------------------------------------------


def cifar(record: Record, name: str, side: int, option: str) -> None:
    module = torch_resnets.cifar_resnet(BLOCKS[name], option)
    same(record, name, side, module, shortcut=option)


@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize("side", [32, 45])
def test_cifar(record: Record, option: str, side: int):
    cifar(record, "resnet20", side, option)


@proof
@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize("name", BLOCKS)
def test_cifar_depths(record: Record, name: str, option: str, side: int):
    cifar(record, name, side, option)


@pytest.mark.parametrize("name", BLOCKS)
def test_projections_cost_parameters(name: str):
    expected = COUNTS[f"{name}_option_b"]
    projected = sketch(name, shortcut="B")
    assert graph.parameters(projected) == (expected["total"], expected["trainable"])


def test_zero_channels_stand_on_both_sides():
    model = cnnzoo.build("resnet20")
    shortcut = keras.Model(
        model.input,
        [
            model.get_layer("stage1_block3_act").output,
            model.get_layer("stage2_block1_shortcut_pad").output,
        ],
    )
    before, after = (np.asarray(maps) for maps in shortcut(images(32), training=False))
    np.testing.assert_array_equal(after[..., 8:24], before[:, ::2, ::2])
    assert not after[..., :8].any()
    assert not after[..., 24:].any()


def test_an_unknown_shortcut_is_an_error():
    with pytest.raises(cnnzoo.UsageError, match="unknown shortcut 'C'; known: A, B"):
        cnnzoo.build("resnet20", shortcut="C")  # pyright: ignore


def test_every_cifar_resnet_is_compared():
    assert [spec.name for spec in cifar_resnet.SPECS] == list(BLOCKS)
