"""identify() names the network of a file, whoever wrote it, or none of the catalog."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import onnx
import onnx_graphs
import pytest
import safetensors.torch
import torch
import torch_inceptions
import torch_resnets
from onnx_graphs import Graph
from parity import randomise
from torch import nn
from torch_weights import import_timm, import_torchvision, random_state

import cnnzoo
from cnnzoo.cli.main import main
from cnnzoo.zoo import identification, sketch

torchvision, timm = import_torchvision(), import_timm()

proof = pytest.mark.proof
CLASSES = 7
NORMS, BIASES = "normalisations have seen no images", "all biases are zero"


def written(module: nn.Module, path: Path, form: str = "plain") -> Path:
    """A file of a module with random values, as people have it."""
    random_state(module)
    state = module.state_dict()
    if form == "wrapped":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
        torch.save({"state_dict": state, "epoch": 3}, path)
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("lenet5", ".keras"),
        ("mlp", ".safetensors"),
        ("simple_cnn", ".weights.h5"),
        ("shapes_cnn", ".weights.h5"),
        ("nin_mnist", ".weights.h5"),
        ("very_small_vgg", ".weights.h5"),
        ("resnet20", ".weights.h5"),
        ("resnet32", ".safetensors"),
    ],
)
def test_own_files(name: str, ending: str, tmp_path: Path):
    model, path = cnnzoo.build(name, classes=CLASSES), tmp_path / f"a{ending}"
    (cnnzoo.save if ending == ".keras" else cnnzoo.save_weights)(model, path)
    found = cnnzoo.identify(path)
    assert (found.networks, found.family) == ((name,), "cnnzoo")
    assert (found.classes, found.prefix, found.left_over) == (CLASSES, "", ())
    assert found.preprocessing == cnnzoo.model_info(name).preprocessing
    assert {NORMS, BIASES}.issuperset(found.untrained)
    assert found.untrained


def test_own_options_and_trained_weights(tmp_path: Path):
    model = cnnzoo.build("lenet5", subsampling="trainable")
    found = cnnzoo.identify(cnnzoo.save(model, tmp_path / "a.keras"))
    assert found.networks == ("lenet5",)
    assert "so it is loaded as a model, not as weights" in str(found)
    model = cnnzoo.build("lenet_gap", weights="mnist")
    found = cnnzoo.identify(cnnzoo.save_weights(model, tmp_path / "a.safetensors"))
    assert (found.networks, found.untrained) == (("lenet_gap",), ())


def test_a_checkpoint_of_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture):
    module = torch_resnets.CifarResNet(3, "A")
    path = written(module, tmp_path / "a.pth", "wrapped")
    assert main(["identify", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == cnnzoo.identify(path).to_dict() | {
        name: list(getattr(cnnzoo.identify(path), name))
        for name in ("networks", "left_over", "missing", "untrained", "notes")
    }
    assert found == {
        "file": str(path),
        "networks": ["resnet20"],
        "family": "akamaster's CIFAR ResNets",
        "classes": 10,
        "prefix": "module.",
        "preprocessing": "torch",
        "left_over": [],
        "missing": [],
        "untrained": [],
        "notes": ["taken from its entry 'state_dict'"],
    }


def test_a_trunk_and_a_head_of_ones_own(tmp_path: Path):
    module: Any = torch_resnets.CifarResNet(3, "A")
    module.linear = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    found = cnnzoo.identify(written(module, tmp_path / "a.pt"))
    assert found.networks == ("resnet20",)
    assert "left over: linear.0.weight, linear.0.bias" in str(found)
    assert found.left_over == tuple(
        f"linear.{i}.{role}" for i in (0, 2) for role in ("weight", "bias")
    )
    module.linear = nn.Identity()
    found = cnnzoo.identify(written(module, tmp_path / "a.pt"))
    assert (found.networks, found.classes) == (("resnet20",), None)


def mobilenet(path: Path) -> Path:
    model = keras.applications.MobileNet((32, 32, 3), 0.25, weights=None, classes=2)
    model.save_weights(path.with_suffix(".weights.h5"))
    return path.with_suffix(".weights.h5")


FOREIGN: dict[str, Callable[[], nn.Module]] = {
    "deeper": lambda: torch_resnets.CifarResNet(4, "A"),
    "squeezenet": torchvision.models.squeezenet1_1,
    "shufflenet": torchvision.models.shufflenet_v2_x0_5,
    "two layers": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)),
}


@pytest.mark.parametrize("name", [*FOREIGN, "mobilenet"])
def test_other_networks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    path, drawn = tmp_path / "a.safetensors", []
    path = written(FOREIGN[name](), path) if name in FOREIGN else mobilenet(path)
    monkeypatch.setattr(
        identification, "sketch", lambda name: drawn.append(name) or sketch(name)
    )
    assert cnnzoo.identify(path).networks == ()
    assert len(drawn) <= 3
    if name == "two layers":
        assert main(["identify", str(path)]) == 1
        assert capsys.readouterr().out == f"file: {path}\nnetworks: none of the catalog\n"


# Proof: over all families, in the forms that people have -------------------------------

TORCH: dict[str, Callable[[], nn.Module]] = {
    "alexnet_torchvision": torchvision.models.alexnet,
    "vgg11": torchvision.models.vgg11,
    "vgg16_bn": torchvision.models.vgg16_bn,
    "vgg13": lambda: timm.create_model("vgg13"),
    "googlenet_bn": lambda: torchvision.models.googlenet(init_weights=False),
    "bn_inception": lambda: torch_inceptions.BNInception(CLASSES),
    "inception_v3_torchvision": lambda: torchvision.models.inception_v3(
        init_weights=False
    ),
    "inception_v4": lambda: timm.create_model("inception_v4"),
    "inception_resnet_v2": lambda: timm.create_model("inception_resnet_v2"),
    "xception_timm": lambda: timm.create_model("legacy_xception"),
    "resnet34": torchvision.models.resnet34,
    "resnet50_v1_5": torchvision.models.resnet50,
    "resnet101_v1_5": torchvision.models.resnet101,
    "resnet18_v2": lambda: timm.create_model("resnetv2_18"),
    "resnet50_v2_timm": lambda: timm.create_model("resnetv2_50"),
    "resnet56": lambda: torch_resnets.CifarResNet(9, "A"),
}
KERAS = {
    "vgg19": "VGG19",
    "resnet50": "ResNet50",
    "resnet101_v2": "ResNet101V2",
    "inception_v3": "InceptionV3",
    "xception": "Xception",
}
ONNX = {
    "alexnet": (onnx_graphs.alexnet, "", 95),
    "zfnet512": (onnx_graphs.zfnet512, "gpu_0/", 96),
    "inception_v1": (onnx_graphs.googlenet, "", 64),
    "inception_v2": (onnx_graphs.inception_v2, "", 64),
}


@proof
@pytest.mark.parametrize("form", ["plain", "wrapped"])
@pytest.mark.parametrize("name", TORCH)
def test_files_of_pytorch(name: str, form: str, tmp_path: Path):
    path = tmp_path / ("a.safetensors" if form == "plain" else "a.pth")
    found = cnnzoo.identify(written(TORCH[name](), path, form))
    assert found.networks == (name,)
    assert found.prefix == ("" if form == "plain" else "module.")
    assert (found.missing, found.untrained) == ((), ())


@proof
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("form", ["a.h5", "a.weights.h5", "nested.keras"])
@pytest.mark.parametrize("name", KERAS)
def test_files_of_keras(name: str, form: str, tmp_path: Path):
    nested = form.startswith("nested")
    theirs = getattr(keras.applications, KERAS[name])(
        weights=None, include_top=not nested, input_shape=(96, 96, 3) if nested else None
    )
    if nested:
        pool, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(CLASSES)
        theirs = keras.Sequential([keras.Input((96, 96, 3)), theirs, pool, dense])
    randomise(theirs)
    path = tmp_path / form
    (theirs.save_weights if "weights" in form else theirs.save)(path)
    found = cnnzoo.identify(path)
    assert found.networks == (name,)
    assert found.family == "keras.applications"
    assert found.classes == (CLASSES if nested else 1000)


@proof
@pytest.mark.parametrize("name", ONNX)
def test_files_of_onnx(name: str, tmp_path: Path):
    network, prefix, side = ONNX[name]
    onnx.save(Graph(prefix=prefix).model(side, CLASSES, network), tmp_path / "a.onnx")
    found = cnnzoo.identify(tmp_path / "a.onnx")
    assert name in found.networks
    assert found.classes == CLASSES
    assert {*found.networks} <= {name, "caffenet"}  # alexnet with pools in another order


OTHERS = """
    efficientnet_b0 mobilenetv2_100 mobilenetv3_large_100 densenet121 regnety_004
    resnext50_32x4d wide_resnet50_2 legacy_seresnet50 convnext_atto dla34 res2net50_26w_4s
    hrnet_w18_small mixnet_s ghostnet_100 rexnet_100 vit_tiny_patch16_224 seresnet50
    skresnet18 ecaresnet26t repvgg_a0 dpn68 selecsls42 vovnet39a cspresnet50 tresnet_m
    mnasnet_100 fbnetc_100 spnasnet_100 lcnet_050 tinynet_e
"""


@proof
@pytest.mark.parametrize("name", OTHERS.split())
def test_thirty_other_networks(name: str, tmp_path: Path):
    module = timm.create_model(name, pretrained=False)
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(module.state_dict(), path)
    assert cnnzoo.identify(path).networks == ()
