"""Inception V3, the Inception-ResNets and Xception give the numbers of PyTorch networks.

The references are torchvision's and timm's own networks and, for Inception-ResNet V1, a
definition. Random state dicts go over by the names that public files have.
"""

from functools import partial

import pytest
import torch
import torch_late_inceptions
from parity import Record, images
from test_torch_inceptions import (
    CLASSES,
    DEFINITION,
    FEATURES,
    TIMM,
    TORCHVISION,
    check,
    run_module,
    timm,
    torchvision,
    twin,
    without,
)
from torch import nn
from torch.nn import functional
from torch_inceptions import SlimAux, State
from torch_late_inceptions import (
    set_scales_to_1,
    without_scales,
    without_stem_strides,
)
from torch_weights import random_state

import cnnzoo
from cnnzoo import graph
from cnnzoo.weights.sources.name_tables import name_table
from cnnzoo.zoo import sketch

proof = pytest.mark.proof
SMALL_WITH_HEADS = {"stem": "small", "aux_heads": True}
AT_PAPER_SIZE = [
    *(
        pytest.param(side, options, marks=proof)
        for side in (299, 300)
        for options in ({}, {"aux_heads": True})
    ),
    pytest.param(151, FEATURES, marks=proof),
]


# Inception V3 ------------------------------------------------------------------------


def inception_v3(options: dict) -> tuple[nn.Module, State]:
    module = torchvision.models.inception_v3(
        num_classes=CLASSES, init_weights=False, aux_logits=True, transform_input=False
    )
    state = random_state(module, adds=False)
    if options.get("stem") == "small":
        pools = ("maxpool1", "maxpool2")
        without_stem_strides(module, ("Conv2d_1a_3x3.conv",), pools)
    return module, state


def same_inception_v3(
    record: Record,
    name: str,
    against: str,
    module: nn.Module,
    state: State,
    side,
    options,
) -> None:
    x = images(side)
    logits, maps, features = run_module(module, x, "Mixed_6e", "Mixed_7c")
    expected = [features if options == FEATURES else logits]
    if options.get("aux_heads"):
        head = module.get_submodule("AuxLogits")
        with torch.no_grad():
            expected.append(head(maps))
    else:
        state = without(state, "AuxLogits.")
    if options == FEATURES:
        state = without(state, "fc.")
    name_of = name_table("torchvision", "inception_v3_torchvision").name
    check(record, against, twin(name, side, state, name_of, **options), x, expected)


@pytest.mark.parametrize(("side", "options"), [(41, SMALL_WITH_HEADS), *AT_PAPER_SIZE])
def test_inception_v3_torchvision(record: Record, side: int, options: dict):
    name = "inception_v3_torchvision"
    module, state = inception_v3(options)
    same_inception_v3(record, name, TORCHVISION, module, state, side, options)


@pytest.mark.parametrize(
    ("side", "options"),
    [
        pytest.param(41, SMALL_WITH_HEADS, marks=proof),
        pytest.param(299, {"aux_heads": True}, marks=proof),
    ],
)
def test_inception_v3(record: Record, monkeypatch, side: int, options: dict):
    """keras.applications' graph is torchvision's without scales, and with other pools."""
    module, state = inception_v3(options)
    set_scales_to_1(module, state)
    inside = partial(functional.avg_pool2d, count_include_pad=False)
    monkeypatch.setattr(functional, "avg_pool2d", inside)
    state = without_scales(state)
    against = f"{TORCHVISION}, pools without border"
    same_inception_v3(record, "inception_v3", against, module, state, side, options)


# Inception-ResNet --------------------------------------------------------------------


def same_inception_resnet(
    record: Record, name: str, against: str, module: nn.Module, side: int, options: dict
) -> None:
    """Neither module has an auxiliary head; TF-slim's stands behind stage 2."""
    state = random_state(module)
    set_scales_to_1(module, state)
    x = images(side)
    hooked = ["repeat_1", "conv2d_7b"] if options == FEATURES else ["repeat_1"]
    logits, maps, *features = run_module(module, x, *hooked)
    expected = features or [logits]
    if options.get("aux_heads"):
        head = SlimAux(maps.shape[1], CLASSES)
        values = random_state(head, seed=1)
        set_scales_to_1(head, values)
        state |= {f"aux.{name}": value for name, value in values.items()}
        with torch.no_grad():
            expected.append(head.eval()(maps))
        against = f"{against} and a PyTorch head"
    if options == FEATURES:
        state = without(state, "classif.")
    name_of = torch_late_inceptions.timm_resnet_name
    ours = twin(name, side, without_scales(state), name_of, **options)
    check(record, against, ours, x, expected)


@pytest.mark.parametrize(
    ("side", "options"),
    [(79, {}), pytest.param(41, SMALL_WITH_HEADS, marks=proof), *AT_PAPER_SIZE],
)
def test_inception_resnet_v2(record: Record, side: int, options: dict):
    name = "inception_resnet_v2"
    module = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    if options.get("stem") == "small":
        pools = ("maxpool_3a", "maxpool_5a")
        without_stem_strides(module, ("conv2d_1a.conv",), pools)
    same_inception_resnet(record, name, TIMM, module, side, options)


@pytest.mark.parametrize(
    ("side", "options"),
    [
        (43, SMALL_WITH_HEADS),
        pytest.param(79, {}, marks=proof),
        pytest.param(299, {"aux_heads": True}, marks=proof),
        pytest.param(300, {}, marks=proof),
    ],
)
def test_inception_resnet_v1(record: Record, side: int, options: dict):
    stride = 1 if options.get("stem") == "small" else 2
    module = torch_late_inceptions.InceptionResNetV1(CLASSES, stride)
    same_inception_resnet(
        record, "inception_resnet_v1", DEFINITION, module, side, options
    )


# Xception ----------------------------------------------------------------------------


# Pools see even sides where symmetric padding and TensorFlow's differ: at 96 pixels 45,
# 23, 12 and 6 in front of them, at 299 pixels 147, 74, 37 and 19.
@pytest.mark.parametrize(
    ("side", "options"),
    [
        (96, {}),
        (107, FEATURES),
        (32, {"stem": "small"}),
        pytest.param(299, {}, marks=proof),
        pytest.param(300, FEATURES, marks=proof),
    ],
)
def test_xception_timm(record: Record, side: int, options: dict):
    module = timm.create_model("legacy_xception", pretrained=False, num_classes=CLASSES)
    state = random_state(module, adds=True)
    if options.get("stem") == "small":
        without_stem_strides(module, ("conv1",))
    x = images(side)
    logits, features = run_module(module, x, "act4")
    if options == FEATURES:
        state = without(state, "fc.")
    name_of = name_table("timm", "xception_timm").name
    ours = twin("xception_timm", side, state, name_of, **options)
    check(record, TIMM, ours, x, [features if options == FEATURES else logits])


# Options of all ----------------------------------------------------------------------

SMALLEST = {  # sides with auxiliary heads: with the paper's stem and with the small one
    "inception_v3": (299, 41),
    "inception_v3_torchvision": (299, 41),
    "inception_resnet_v1": (299, 43),
    "inception_resnet_v2": (299, 41),
}
NAMES = [*SMALLEST, "xception", "xception_timm"]


@pytest.mark.parametrize("name", NAMES)
def test_a_small_stem(name: str):
    """It keeps 2x2 maps at least, and takes the same weights."""
    paper, small = sketch(name), sketch(name, stem="small", input_shape=(64, 64, 3))
    for side in (28, 32, 64):
        rows, columns, _ = graph.output_shapes(small, (side, side, 3))["features"]
        assert min(rows or 0, columns or 0) >= 2
    shapes, expected = (
        {weight.path: weight.shape for weight in model.weights}
        for model in (small, paper)
    )
    assert shapes == expected


@pytest.mark.parametrize("stem", ["paper", "small"])
@pytest.mark.parametrize(
    "name",
    ["inception_v3", *(pytest.param(name, marks=proof) for name in [*SMALLEST][1:])],
)
def test_the_smallest_side_with_an_auxiliary_head(name: str, stem: str):
    side = SMALLEST[name][stem == "small"]
    options = {"stem": stem, "aux_heads": True}
    model = sketch(name, input_shape=(side, side, 3), **options)
    assert model.output_names == ["predictions", "aux1_predictions"]
    with pytest.raises(cnnzoo.UsageError, match=rf"at least {side}x{side} pixels"):
        sketch(name, input_shape=(side - 1, side + 9, 3), **options)


def test_inception_v3_with_its_head_has_the_published_count():
    model = sketch("inception_v3_torchvision", aux_heads=True)
    assert graph.parameters(model)[1] == 27_161_264


def test_an_unknown_stem_is_an_error():
    for name in NAMES:
        with pytest.raises(cnnzoo.UsageError, match="stem"):
            sketch(name, stem="large")
