"""What a source has beyond the model is refused or reported, never dropped silently."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx
import pytest
import torch
import torch_resnets
from keras import layers
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch_weights import import_torchvision, random_state

import cnnzoo
from cnnzoo.spec import MODES, resolve
from cnnzoo.weights.formats import hdf5, keras_archive, onnx_file, pytorch
from cnnzoo.weights.loading import load_source, load_weights
from cnnzoo.weights.matching import match_tensors
from cnnzoo.weights.sources.recognition import recognise
from cnnzoo.weights.tensors import ArraySource, Tensor, of_model
from cnnzoo.weights.torch_layout import SHIFTED, Conversion
from cnnzoo.zoo import sketch

torchvision = import_torchvision()


def resnet20() -> Any:
    module = torch_resnets.CifarResNet(3, "A")
    random_state(module)
    return module.eval()


def test_a_normalisation_in_the_head_is_not_lost():
    module = resnet20()
    module.linear = nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 10))
    source = pytorch.of_memory(module)
    with pytest.raises(
        cnnzoo.WeightFileError, match=r"linear\.0\.weight is not in the mode"
    ):
        match_tensors(sketch("resnet20"), source, new_head=None)
    found = match_tensors(sketch("resnet20", classes=3), source, new_head=None)
    assert len(found.new) == 2
    assert len(found.skipped) == 4 + 2


def test_an_explicit_preprocessing_wins(tmp_path: Path):
    torch.save(resnet20().state_dict(), path := tmp_path / "a.pth")
    build: Any = cnnzoo.build
    inside = {"include_preprocessing": True}
    assert build("resnet20", weights=path).cnnzoo.preprocessing == MODES["torch"]
    for options in ({}, inside):
        model = build("resnet20", weights=path, preprocessing="tf", **options)
        assert model.cnnzoo.preprocessing == MODES["tf"]


def test_the_mode_of_earlier_weights_goes():
    model = cnnzoo.build("lenet_gap")
    source = of_model(model)
    load_source(model, replace(source, preprocessing="torch"))
    assert model.cnnzoo.preprocessing == MODES["torch"]
    load_source(model, replace(source, family="another library"))
    assert model.cnnzoo.preprocessing == resolve(model.cnnzoo.spec.preprocessing)


def test_epsilons_of_models_in_memory():
    module, model = resnet20(), cnnzoo.build("resnet20")
    norms: Any = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.eps = 0.1
    report = load_weights(model, module)
    assert [how for _, how in report.transformed].count(SHIFTED) == len(norms) == 19
    ours = next(x for x in model.layers if isinstance(x, layers.BatchNormalization))
    found = np.asarray(ours.moving_variance) + ours.epsilon
    np.testing.assert_allclose(found, norms[0].running_var.numpy() + 0.1, rtol=1e-5)
    twin = cnnzoo.build("resnet20")
    ours.epsilon = 0.2
    report = load_weights(twin, model)
    assert report.transformed == ((f"{ours.name}/moving_variance", SHIFTED),)
    theirs = twin.get_layer(ours.name)
    found = np.asarray(theirs.moving_variance) + theirs.epsilon
    expected = np.asarray(ours.moving_variance) + 0.2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_scales_without_a_place():
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, layers.BatchNormalization(scale=False, name="n")(images))
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = {f"n.{r}": Tensor(r, (3,), "float32", lambda: np.ones(3)) for r in roles}
    conversion = Conversion(model, ArraySource("a", arrays), {"n": "n"})
    assert len(dict(conversion.tensors())) == 3
    assert arrays.keys() - conversion.used == {"n.weight"}


def graph(tmp_path: Path, change=lambda model: None) -> Path:
    """Images minus a mean, a convolution with a bias, and another bias."""
    arrays = {"mean": (1, 3, 1, 1), "w": (2, 3, 1, 1), "b": (2,), "more": (2,)}
    nodes = [
        helper.make_node("Sub", ["images", "mean"], ["x"]),
        helper.make_node("Conv", ["x", "w", "b"], ["y"]),
        helper.make_node("Add", ["y", "more"], ["z"]),
    ]
    kept = [numpy_helper.from_array(np.ones(s, "f"), n) for n, s in arrays.items()]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("images", "z")
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], kept))
    change(model.graph)
    onnx.save(model, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_onnx_arrays_of_other_operations(tmp_path: Path):
    found = onnx_file.read_source(graph(tmp_path)).arrays
    names = {name: array.name for name, array in found.items()}
    assert names.pop("mean") == "mean"
    assert len(names) == 3
    assert sorted(names.values()) == ["b", "more", "w"]
    module = next(name.removesuffix(".bias") for name in names if name.endswith(".bias"))
    assert names[f"{module}.bias"] == "b"
    assert names[f"{module}.bias_again"] == "more"


@pytest.mark.parametrize(
    "change",
    [
        lambda g: setattr(g.initializer[0], "data_type", 0),
        lambda g: setattr(g.initializer[0], "data_type", 99),
        lambda g: setattr(g.initializer[1], "raw_data", b"short"),
        lambda g: g.node.insert(0, helper.make_node("Identity", ["w"], [])),
    ],
)
def test_damaged_onnx(tmp_path: Path, change):
    path = graph(tmp_path, change)
    with pytest.raises(cnnzoo.WeightFileError, match="it was cut or damaged, so get it"):
        [array.read() for array in onnx_file.read_source(path).arrays.values()]


def test_groups_linked_twice(tmp_path: Path):
    """Read as often as there are ways to it, the last would take 2**40 steps."""
    with h5py.File(path := tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers")
        for _ in range(40):
            group["again"] = group.create_group("one")
            group = group["one"]
    with (
        pytest.raises(cnnzoo.UnsafeFileError, match="'one'"),
        hdf5.open_tensors(path, "a"),
    ):
        pass


def test_a_packed_member_below_the_limit(tmp_path: Path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(keras_archive.WEIGHTS_MEMBER, bytes((64 << 20) + 1))
    with (
        keras_archive.open_archive(path) as archive,
        pytest.raises(
            cnnzoo.UnsafeFileError, match="of 67,108,865 bytes; expected at mos"
        ),
        keras_archive.open_source(archive),
    ):
        pass


def test_the_variant_with_normalisations_is_named():
    with torch.device("meta"):
        module = torchvision.models.vgg16_bn(num_classes=12, init_weights=False)
    source, model = pytorch.of_memory(module), sketch("vgg16", classes=12)
    with pytest.raises(cnnzoo.WeightFileError, match="build vgg16_bn instead"):
        recognise(model, source)
    found = recognise(sketch("vgg16_bn", classes=12), source)
    assert found
    assert found.share == 1


def test_a_transposed_convolution_comes_back(tmp_path: Path):
    images = keras.Input((4, 4, 1))
    x = layers.Flatten()(layers.Conv2DTranspose(2, 3)(images))
    model = cnnzoo.adopt(keras.Model(images, layers.Dense(2)(x)))
    again = cnnzoo.load(cnnzoo.save(model, tmp_path / "a.keras"))
    pixels = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(model(pixels), again(pixels))
    assert re.fullmatch(keras_archive.STOCK, "keras.layers.Normalization")
    assert not re.fullmatch(keras_archive.STOCK, "keras.layers.SpectralNormalization")


def test_a_text_is_no_list_of_classes():
    with pytest.raises(
        cnnzoo.UsageError, match=r"got the text 'cats' as classes; .* pass"
    ):
        cnnzoo.transfer.prepare(cnnzoo.build("lenet_gap"), "cats")
