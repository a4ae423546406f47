"""Weights of PyTorch in every form: the same numbers come out, or one sentence says why.

Files are written by PyTorch and safetensors themselves, of torchvision's and timm's
networks and of the definitions in `references`, with random values.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.torch
import torch
import torch_inceptions
import torch_late_inceptions
import torch_resnets
from parity import images, relative
from scipy.special import softmax
from torch import nn
from torch_weights import import_timm, import_torchvision, outputs, random_state

import cnnzoo
from cnnzoo.spec import MODES
from cnnzoo.weights.loading import load_weights
from cnnzoo.zoo import sketch

torchvision, timm = import_torchvision(), import_timm()

proof = pytest.mark.proof
BOUND = 1e-4
CLASSES = 12
LOGITS: dict[str, Any] = {"classifier_activation": None}


def torchvision_model(name: str, classes: int = CLASSES, **options: Any) -> nn.Module:
    options |= {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, num_classes=classes, **options)


def timm_model(name: str) -> nn.Module:
    return timm.create_model(name, pretrained=False, num_classes=CLASSES)


def randomised(module: nn.Module, **options: Any) -> nn.Module:
    random_state(module, **options)
    return module.eval()


def ours(name: str, side: int, **options: Any) -> keras.Model:
    options = {"classes": CLASSES, "input_shape": (side, side, 3), **LOGITS, **options}
    return cnnzoo.build(name, **options)


def same(model: keras.Model, module: nn.Module, side: int) -> None:
    x = images(side)
    expected = outputs(module, x)
    found = np.asarray(model(x, training=False))
    assert relative(found, expected) <= BOUND
    assert relative(expected[0], expected[1]) > 0.01


def unchanged(model: keras.Model, before: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, before, model.get_weights()))


def saved(module: nn.Module, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(module.state_dict(), path)
    else:
        torch.save(module.state_dict(), path)
    return path


# What is taken -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"), [("resnet20", "12fca82f"), ("resnet56", "4bfd")]
)
def test_trained_cifar_resnets(name: str, file: str, data_folder: Path, tmp_path: Path):
    found = sorted((data_folder / "cifar_resnets").glob(f"{name}-{file}*.th"))
    if not found:
        pytest.skip(f"{name}-{file}*.th is not among the data")
    model = cnnzoo.build(name, **LOGITS)
    report = cnnzoo.load_weights(model, found[0])
    assert "names of akamaster's CIFAR ResNets" in report.notes
    assert "names without 'module.'" in report.notes
    module = torch_resnets.cifar_resnet({"resnet20": 3, "resnet56": 9}[name], "A")
    module.load_state_dict(torch.load(found[0], map_location="cpu")["state_dict"])
    same(model, module, 32)
    # Photographs of the training part, as JPEG files, which cost some accuracy.
    with zipfile.ZipFile(data_folder / "cifar10_train.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[::250]
        archive.extractall(tmp_path, names)
    photos = cnnzoo.scan(tmp_path / "train")
    pixels = photos.load(np.arange(200), (32, 32), 3)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    theirs = outputs(module, ((pixels / 255 - mean) / deviation).astype(np.float32))
    result = cnnzoo.evaluate(cnnzoo.build(name, weights=found[0]), photos)
    expected = softmax(theirs, 1)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-4)
    assert result.images == 200
    assert result.accuracy > 0.85


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_resnet18_of_torchvision(ending: str, tmp_path: Path):
    module = randomised(torchvision_model("resnet18", 1000))
    path = saved(module, tmp_path / f"resnet18{ending}")
    model = cnnzoo.build("resnet18", input_shape=(75, 75, 3), **LOGITS)
    report = load_weights(model, path)
    same(model, module, 75)
    assert len(report.loaded) == len(model.weights)
    assert report.notes == ("names of torchvision",)
    assert report.is_exact
    assert report.sha256
    assert f"from {path}; 21 transposed; names of torchvision" in str(report)


FAMILIES = {
    "resnet34": (lambda: timm_model("resnet34"), 64),
    "resnet50_v1_5": (lambda: torchvision_model("resnet50"), 64),
    "resnet18_v2": (lambda: timm_model("resnetv2_18"), 64),
    "resnet50_v2_timm": (lambda: timm_model("resnetv2_50"), 64),
    "googlenet_bn": (
        lambda: torchvision_model("googlenet", transform_input=False, aux_logits=True),
        64,
    ),
    "inception_v3_torchvision": (
        lambda: torchvision_model("inception_v3", transform_input=False),
        75,
    ),
    "inception_v4": (lambda: timm_model("inception_v4"), 107),
    "inception_resnet_v2": (lambda: timm_model("inception_resnet_v2"), 79),
    "inception_resnet_v1": (
        lambda: torch_late_inceptions.InceptionResNetV1(CLASSES),
        79,
    ),
    "xception_timm": (lambda: timm_model("legacy_xception"), 96),
    "bn_inception": (lambda: torch_inceptions.BNInception(CLASSES), 69),
    "resnet20": (lambda: torch_resnets.cifar_resnet(3, "A"), 32),
}


def adds(name: str) -> bool:
    return "res" in name or "xception" in name


QUICK = ("resnet18_v2", "resnet20")


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(n, marks=proof) for n in FAMILIES if n not in QUICK)]
)
def test_families(name: str, tmp_path: Path):
    make, side = FAMILIES[name]
    module = randomised(make(), adds=adds(name))
    classes = 10 if name == "resnet20" else CLASSES
    model = ours(name, side, classes=classes)
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(module.state_dict(), path)
    report = load_weights(model, path)
    if name.startswith("bn_inc"):
        expected = module(torch.from_numpy(images(side).transpose(0, 3, 1, 2).copy()))
        found = np.asarray(model(images(side), training=False))
        assert relative(found, expected[0].detach().numpy()) <= BOUND
    else:
        same(model, module, side)
    assert len(report.loaded) == len(model.weights)
    assert any(note.startswith("names of ") for note in report.notes)
    if name == "googlenet_bn":
        assert {tensor.split(".")[0] for tensor in report.skipped} == {"aux1", "aux2"}


@proof
@pytest.mark.parametrize("name", ["vgg11", "alexnet_torchvision"])
def test_flattened_in_another_order(name: str):
    """Behind torchvision's adaptive pool, the maps are the paper's at its size alone."""
    module = randomised(torchvision_model(name.removesuffix("_torchvision")))
    model = ours(name, 224)
    load_weights(model, module)
    same(model, module, 224)


@proof
def test_vgg_of_timm():
    """Whose dense layers are convolutions, the first one of 7x7 pixels."""
    module = randomised(timm_model("vgg11_bn"))
    model = ours("vgg11_bn", 224)
    load_weights(model, module)
    same(model, module, 224)


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return randomised(torchvision_model("resnet18"))


@pytest.fixture(scope="module")
def target() -> keras.Model:
    return ours("resnet18", 64)


def wrapped(module: nn.Module) -> dict[str, Any]:
    state = module.state_dict()
    renamed = {
        prefix: OrderedDict((f"{prefix}{name}", value) for name, value in state.items())
        for prefix in ("module.", "model.", "backbone.", "net.0.", "_orig_mod.")
    }
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9).state_dict()
    return {
        **renamed,
        "module of PyTorch": module,
        "arrays of NumPy": {name: value.numpy() for name, value in state.items()},
        "half": {n: v.half() if v.is_floating_point() else v for n, v in state.items()},
        "state_dict": {
            "state_dict": {**state, "criterion.weight": torch.ones(CLASSES)},
            "epoch": 3,
            "optimizer": optimizer,
        },
        "model": {"model": {"state_dict": renamed["module."]}, "best": torch.ones(1)},
        "ema": {"state_dict": other, "state_dict_ema": state, "arch": "resnet18"},
    }


@pytest.mark.parametrize("form", [*wrapped(nn.Linear(1, 1))])
def test_wrapped(form: str, resnet: nn.Module, target: keras.Model, tmp_path: Path):
    source = wrapped(resnet)[form]
    for weight in target.weights:
        weight.assign(keras.ops.zeros_like(weight))
    if isinstance(source, nn.Module) or "NumPy" in form:
        report = load_weights(target, source)
    else:
        path, old = tmp_path / "checkpoint.pth.tar", form == "state_dict"
        torch.save(source, path, _use_new_zipfile_serialization=not old)
        report = load_weights(target, path)
    assert "names of torchvision" in report.notes
    if form != "half":
        same(target, resnet, 64)
    if form == "ema":
        assert "taken from its entry 'state_dict_ema'" in report.notes
    assert report.skipped == (("criterion.weight",) if form == "state_dict" else ())
    if form == "backbone.":
        assert "names without 'backbone.'" in report.notes


def test_the_epsilon_of_a_module_goes_into_the_variance(target: keras.Model):
    module = torchvision_model("resnet18")
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.3
    load_weights(target, randomised(module))
    same(target, module, 64)


def test_a_classifier_of_ones_own(resnet: nn.Module, target: keras.Model):
    module = torchvision_model("resnet18")
    module.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(512, CLASSES))
    randomised(module)
    report = load_weights(target, module)
    assert ("predictions/kernel", "fc.1.weight") in report.loaded
    same(target, module, 64)


def test_other_classes_and_a_new_head(resnet: nn.Module):
    model = ours("resnet18", 64, classes=7)
    before = model.get_weights()
    with pytest.raises(
        cnnzoo.WeightFileError, match=r"has 12 outputs, .* or pass new_head=True"
    ):
        load_weights(model, resnet)
    assert unchanged(model, before)
    report = load_weights(model, resnet, new_head=True)
    assert report.new == ("predictions/kernel", "predictions/bias")
    assert report.skipped == ("fc.weight", "fc.bias")
    assert "; new predictions/kernel, predictions/bias; skipped fc.weight" in str(report)
    np.testing.assert_array_equal(model.get_weights()[-1], before[-1])
    bare = cnnzoo.build("resnet18", include_top=False)
    assert load_weights(bare, resnet).skipped == ("fc.weight", "fc.bias")
    kernel = bare.get_layer("stage4_block2_conv2").kernel
    np.testing.assert_array_equal(
        model.get_layer("stage4_block2_conv2").kernel, np.asarray(kernel)
    )


def test_build_makes_a_new_head_and_says_so(resnet: nn.Module, tmp_path: Path):
    path = saved(resnet, tmp_path / "resnet18.pth")
    with pytest.warns(UserWarning, match="new predictions/kernel, predictions/bias"):
        model = cnnzoo.ResNet18(classes=7, weights=path)
    assert model.output_shape == (None, 7)
    same(ours("resnet18", 64, weights=resnet), resnet, 64)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels(channels: int, resnet: nn.Module, target: keras.Model):
    model = ours("resnet18", 64, input_shape=(64, 64, channels))
    report = load_weights(model, resnet)
    how = "summed over channels" if channels == 1 else f"spread to {channels} channels"
    assert f"1 {how}" in str(report)
    assert not report.is_exact
    load_weights(target, resnet)
    grey = images(64, 1)
    found = model(np.repeat(grey, channels, axis=-1), training=False)
    expected = np.asarray(target(np.repeat(grey, 3, axis=-1), training=False))
    if channels != 2:  # each of two stands for one and a half of three
        assert relative(found, expected) < (BOUND if channels == 1 else 0.5)


def test_1001_classes():
    module = randomised(torchvision_model("resnet18", 1001))
    model = ours("resnet18", 64, classes=1000)
    report = load_weights(model, module)
    assert "2 taken without the first of 1001 classes" in str(report)
    x = images(64)
    found = np.asarray(model(x, training=False))
    assert relative(found, outputs(module, x)[:, 1:]) <= BOUND


@proof
def test_preprocessing_comes_with_the_weights():
    module = torchvision_model("vgg16", 3)
    model = ours("vgg16", 224, classes=3)
    assert model.cnnzoo.preprocessing == MODES["caffe"]
    report = load_weights(model, module)
    assert model.cnnzoo.preprocessing == MODES["torch"]
    assert "pixels are to be prepared as 'torch'" in report.notes


# By order and shape --------------------------------------------------------------------


def renamed(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict under names that say nothing, in the same order."""
    numbers: dict[str, int] = {}
    state = {}
    for name, value in module.state_dict().items():
        part, _, role = name.rpartition(".")
        state[f"x{numbers.setdefault(part, len(numbers))}.{role}"] = value
    return state


@proof
def test_a_chain_goes_by_order():
    module = randomised(torchvision_model("vgg11_bn"))
    model = ours("vgg11_bn", 224)
    report = load_weights(model, renamed(module))
    assert "no known names, so layers by order and shape" in report.notes
    same(model, module, 224)
    model = ours("vgg11_bn", 224, classes=5)
    report = load_weights(model, renamed(module), new_head=True)
    assert len(report.new) == 2


def test_blocks_go_by_order(resnet: nn.Module, target: keras.Model):
    report = load_weights(target, renamed(resnet))
    assert "no known names, so layers by order and shape" in report.notes
    same(target, resnet, 64)


def test_names_of_cifar_resnets_on_a_resnet18():
    """As in https://github.com/kuangliu/pytorch-cifar, whose stem is another one."""
    module = torchvision_model("resnet18")
    module.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    state = {
        name.replace("downsample", "shortcut").replace("fc.", "linear."): value
        for name, value in module.state_dict().items()
    }
    with pytest.raises(
        cnnzoo.WeightFileError, match=r"\(3, 3, 3, 64\), not \(7, 7, 3, 64"
    ):
        load_weights(sketch("resnet18", classes=CLASSES), state)


def test_ties_are_refused():
    model = ours("resnet50_v1_5", 64)
    before = model.get_weights()
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=r"has x\d+ and x\d+, which fit stage1_block1_\w+ and stage1_block1_\w+ of "
        "resnet50_v1_5 in either way; expected known names or one order",
    ):
        load_weights(model, renamed(torchvision_model("resnet50")))
    assert unchanged(model, before)


def test_folded_normalisations(resnet: nn.Module, target: keras.Model):
    """As deployment tools write them: a bias in the convolution, and no normalisation."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    module = torchvision_model("resnet18")
    module.load_state_dict(resnet.state_dict())
    module.eval()
    for parent in [*module.modules()]:
        for number in ("1", "2"):
            conv, norm = (getattr(parent, f"{k}{number}", None) for k in ("conv", "bn"))
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, f"conv{number}", fuse_conv_bn_eval(conv, norm))
                setattr(parent, f"bn{number}", nn.Identity())
        short = getattr(parent, "downsample", None)
        conv, norm = short if isinstance(short, nn.Sequential) else (None, None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            parent.downsample = nn.Sequential(fuse_conv_bn_eval(conv, norm))
    for source in (module, renamed(module)):
        report = load_weights(target, source)
        assert "merged with its neighbours" in str(report)
        same(target, resnet, 64)


# What is refused -----------------------------------------------------------------------


def refused(model: keras.Model, source: Any, message: str, error: type) -> None:
    before = model.get_weights()
    with pytest.raises(error, match=message) as caught:
        load_weights(model, source)
    assert len(str(caught.value)) <= 1000
    assert unchanged(model, before)


@pytest.mark.parametrize(
    ("name", "theirs", "there"),
    [
        ("resnet50", "resnet50", "resnet50_v1_5"),
        ("alexnet", "alexnet", "alexnet_torchvision"),
        ("inception_v3", "inception_v3", "inception_v3_torchvision"),
    ],
)
def test_another_graph_is_named(name: str, theirs: str, there: str):
    module = torchvision_model(theirs)
    model = sketch(name, classes=CLASSES)
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=rf"has torchvision's names of {there}, and {name} is {name}, .*; build "
        f"{there} instead",
    ):
        load_weights(model, module)


def test_deeper_and_other_networks(target: keras.Model):
    deeper = torchvision_model("resnet34")
    refused(target, deeper, "is not in the model", cnnzoo.WeightFileError)
    other = torchvision_model("resnet50")
    refused(target, other, r"has shape \(1, 1, 64, 64\), not", cnnzoo.WeightFileError)
    vgg = torchvision_model("vgg11")
    refused(target, vgg, "stem_conv/kernel is missing", cnnzoo.WeightFileError)
    refused(target, {}, "has no state dict but a dict", cnnzoo.WeightFileError)
    two = {"a": deeper.state_dict(), "b": deeper.state_dict()}
    refused(
        target, two, "several state dicts, a, b; expected one", cnnzoo.WeightFileError
    )
    state = torchvision_model("resnet18").state_dict()
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    refused(target, state, "1 values in layer1.0.conv1.weight that are", ValueError)


CONTENTS = {
    "b.pth": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    "c.bin": (b"<!DOCTYPE html><html>", "it is a web page"),
    "d.pt": (b"\x89PNG\r\n\x1a\n" + bytes(40), "it is a picture"),
    "e.th": (b"x" * 40, "is not a weight file: it has 40 bytes and starts with b'xxxx"),
    "f.pth": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80", "was cut or damaged"),
    "g.pth": (b"PK\x03\x04" + bytes(60), "was cut or damaged"),
    "h.onnx": (b"\x08\x07" + bytes(90), "is not a readable file of ONNX"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_other_files_are(name: str, target: keras.Model, tmp_path: Path):
    content, message = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    refused(target, path, message, cnnzoo.WeightFileError)


class Trap:
    """Code that would run if a file were unpickled without care."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_files_with_objects_and_programs(target: keras.Model, tmp_path: Path):
    path = tmp_path / "whole.pth"
    torch.save(nn.Linear(2, 2), path)
    refused(target, path, r"holds objects of torch\S*Linear.*state_dict", ValueError)
    torch.save({"state_dict": {}, "hook": Trap(tmp_path / "trap")}, path)
    refused(target, path, "can run code of the file", cnnzoo.UnsafeFileError)
    assert [*tmp_path.iterdir()] == [path]
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        torch.jit.script(nn.Linear(2, 2)).save(str(path))
    refused(target, path, "is a TorchScript program", cnnzoo.WeightFileError)
    path.write_bytes(pickle.dumps({"a": 1}))
    refused(target, path, "no state dict|not a readable", cnnzoo.WeightFileError)


@pytest.mark.parametrize(("module", "ending"), [("torch", ".pth"), ("onnx", ".onnx")])
def test_readers_that_are_not_installed(
    module: str, ending: str, target, tmp_path, monkeypatch
):
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"\x80\x02" + bytes(60))
    monkeypatch.setitem(__import__("sys").modules, module, None)
    message = rf"install it with: pip install 'cnnzoo\[{module}\]'"
    refused(target, path, message, cnnzoo.UsageError)
