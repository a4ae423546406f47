"""AlexNet, ZFNet, Network in Network and VGG give the numbers of PyTorch networks.

Random state dicts go over by a name table. The references are torchvision's own networks
and, where it has none, the definitions in `torch_classic`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch_classic
from parity import Record, compare, images
from torch import nn
from torch_weights import NameOf, convert, import_torchvision, outputs, random_state

import cnnzoo
from cnnzoo.models.vgg import REPEATS
from cnnzoo.weights.sources.name_tables import name_table
from cnnzoo.zoo import sketch

proof = pytest.mark.proof
torchvision = import_torchvision()
TORCHVISION = f"torchvision {torchvision.__version__.partition('+')[0]}"
DEFINITION = "PyTorch definition"
BOUND = 1e-4
PIXELS = 60.0  # deviation of the input where LRN's constants are made for that size
CLASSES = 50
Names = dict[str, str]

# torchvision -------------------------------------------------------------------------

VGGS = [*REPEATS, *(f"{name}_bn" for name in REPEATS)]


def theirs(name: str) -> tuple[nn.Module, NameOf]:
    """torchvision's network, its values not yet set, and the names of its tensors."""
    with torch.device("meta"):
        module = torchvision.models.get_model(name.removesuffix("_torchvision"))
    return module, name_table("torchvision", name).name


def same_features(
    record: Record,
    name: str,
    side: int,
    edit: Callable[[nn.Sequential], None] | None = None,
    **options,
) -> None:
    """Compares the maps, of a network that `edit` brings to the form of the options."""
    module, names = theirs(name)
    features = module.get_submodule("features").to_empty(device="cpu")
    assert isinstance(features, nn.Sequential)
    state = random_state(features)
    if edit:
        edit(features)
    ours = cnnzoo.build(name, input_shape=(side, side, 3), include_top=False, **options)
    convert(ours, state, lambda layer: str(names(layer)).removeprefix("features."))
    x = images(side)
    expected = outputs(features, x).transpose(0, 2, 3, 1)
    words = [*(f"{key}={value}" for key, value in options.items()), "features"]
    what = f"{', '.join(words)}, {side} px"
    found = ours(x, training=False)
    compare(record, name, what, TORCHVISION, found, expected, BOUND)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("alexnet_torchvision", 107),
        ("vgg11", 75),
        ("vgg11_bn", 75),
        *(
            pytest.param(name, 197, marks=proof)
            for name in ["alexnet_torchvision", *VGGS]
        ),
    ],
)
def test_torchvision_features(record: Record, name: str, side: int):
    same_features(record, name, side)


@proof
@pytest.mark.parametrize("name", ["alexnet_torchvision", *VGGS])
def test_torchvision_logits(record: Record, name: str):
    module, names = theirs(name)
    module = module.to_empty(device="cpu")
    ours = cnnzoo.build(name, classifier_activation=None)
    convert(ours, random_state(module), names)
    x = images(224)
    found, expected = ours(x, training=False), outputs(module, x)
    compare(record, name, "logits, 224 px", TORCHVISION, found, expected, BOUND)


# The definitions in torch_classic ------------------------------------------------------

FIVE_AND_THREE = {
    "stem_conv": "conv1",
    "stage1_conv": "conv2",
    **{f"stage2_conv{i}": f"conv{i + 2}" for i in (1, 2, 3)},
    **{f"head_dense{i}": f"fc{i + 5}" for i in (1, 2)},
    "predictions": "fc8",
}


def nin_names(stages: int) -> Names:
    names = {"head_conv": f"cccp{stages}_2"}
    for stage in range(1, stages + 1):
        ours = (f"stage{stage}_conv{i}" for i in (1, 2, 3))
        caffe = (f"conv{stage}", f"cccp{stage}_1", f"cccp{stage}_2")
        names.update(zip(ours, caffe, strict=True))
    return names


def same_logits(
    record: Record,
    name: str,
    module: nn.Module,
    names: Names,
    side: int,
    channels: int = 3,
    scale: float = 1.0,
    **options,
) -> None:
    ours = cnnzoo.build(
        name,
        input_shape=(side, side, channels),
        classes=CLASSES,
        classifier_activation=None,
        **options,
    )
    convert(ours, random_state(module), names.__getitem__)
    x = images(side, channels, scale)
    words = [*(f"{key}={value}" for key, value in options.items()), "logits"]
    what = f"{', '.join(words)}, {side} px"
    found, expected = ours(x, training=False), outputs(module, x)
    compare(record, name, what, DEFINITION, found, expected, BOUND)


# At 107 px (52 and 26 before the pools) a pool that rounds down would lose a row.
@pytest.mark.parametrize(("side", "maps"), [(107, 2), pytest.param(224, 6, marks=proof)])
def test_zfnet(record: Record, side: int, maps: int):
    module = torch_classic.zfnet(CLASSES, maps)
    same_logits(record, "zfnet", module, FIVE_AND_THREE, side, scale=PIXELS)


@pytest.mark.parametrize(
    ("name", "stages", "side"),
    [
        ("nin", 4, 111),
        pytest.param("nin", 4, 224, marks=proof),
        ("nin_cifar10", 3, 32),
        ("nin_cifar10", 3, 35),
        ("nin_mnist", 3, 28),
        ("nin_mnist", 3, 33),
    ],
)
def test_nin(record: Record, name: str, stages: int, side: int):
    module = getattr(torch_classic, name)(CLASSES)
    channels = 1 if name == "nin_mnist" else 3
    same_logits(record, name, module, nin_names(stages), side, channels)


def test_one_output_of_nin_reaches_both_classes():
    """The mean of a ReLU's map, behind a sigmoid, could only name the second one."""
    ours = cnnzoo.build("nin_mnist", classes=2, classifier_activation="sigmoid")
    last = ours.get_layer("head_conv")
    kernel = np.random.default_rng(0).standard_normal(last.kernel.shape)
    outputs = []
    for sign in (-1, 1):
        last.set_weights([sign * kernel, np.zeros(1)])
        outputs.append(float(np.asarray(ours(images(28, 1)))[0, 0]))
    assert min(outputs) < 0.5 < max(outputs)


# Small images --------------------------------------------------------------------------

IMAGENET = ["alexnet", "caffenet", "alexnet_torchvision", "zfnet", "zfnet512", "nin"]
IMAGENET += VGGS


@pytest.mark.parametrize("name", IMAGENET)
def test_small_stem_leaves_maps(name: str):
    for side in (28, 29, 32, 64):
        options = {"input_shape": (side, side, 3), "include_top": False}
        small = sketch(name, stem="small", **options)
        height, width = small.output_shape[1:3]
        assert min(height, width) >= 2
    paper = sketch(name, include_top=False)
    shapes = [(weight.path, weight.shape) for weight in paper.weights]
    assert [(weight.path, weight.shape) for weight in small.weights] == shapes


def closer_alexnet(features: nn.Sequential) -> None:
    first = features[0]
    assert isinstance(first, nn.Conv2d)
    first.stride = (1, 1)
    features[2] = nn.Identity()


def deeper_vgg(features: nn.Sequential) -> None:
    pools = [i for i, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
    for i in pools[3:]:
        features[i] = nn.Identity()


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("alexnet_torchvision", closer_alexnet),
        ("vgg11", deeper_vgg),
        ("vgg11_bn", deeper_vgg),
    ],
)
def test_small_stem_of_torchvision(record: Record, name: str, edit):
    same_features(record, name, 33, edit, stem="small")


@pytest.mark.parametrize(
    ("name", "make", "names"),
    [
        ("zfnet", partial(torch_classic.zfnet, side=2), FIVE_AND_THREE),
        ("nin", torch_classic.nin, nin_names(4)),
    ],
)
def test_small_stem(record: Record, name: str, make, names: Names):
    module = make(CLASSES)
    module.conv1.stride = (1, 1)
    del module.pool1
    same_logits(record, name, module, names, 29, scale=PIXELS, stem="small")
