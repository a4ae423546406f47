"""`.safetensors` files: written, read, damaged."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.numpy
from parity import randomise

import cnnzoo
from cnnzoo.weights.sources import bundled


def network(**options: Any) -> keras.Model:
    model = cnnzoo.build("lenet_gap", **options)
    randomise(model)
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[keras.Model, Path]:
    model = network()
    path = tmp_path_factory.mktemp("weights") / "lenet.safetensors"
    return model, cnnzoo.save_weights(model, path)


def tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return safetensors.numpy.load(content), header["__metadata__"]


def test_float32_comes_back_bit_by_bit(written):
    model, path = written
    other = cnnzoo.build("lenet_gap")
    report = cnnzoo.load_weights(other, path)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(report.loaded) == len(model.weights)
    assert report.cast == ()
    built = cnnzoo.build("lenet_gap", weights=path)
    np.testing.assert_array_equal(built.get_weights()[0], model.get_weights()[0])


def test_other_programs_read_names_and_checksums(written):
    model, path = written
    arrays, metadata = tensors(path)
    assert arrays["stage1_conv/0/kernel"].shape == (5, 5, 1, 6)
    assert metadata["network"] == "lenet_gap"
    assert json.loads(metadata["sha256"]).keys() == arrays.keys()
    assert len(arrays) == len(model.weights)


def test_float16_is_half_as_large_and_recorded(written, tmp_path: Path):
    model, path = written
    half = cnnzoo.save_weights(model, tmp_path / "half.safetensors", dtype="float16")
    assert half.stat().st_size < 0.6 * path.stat().st_size
    other = cnnzoo.build("lenet_gap")
    report = cnnzoo.load_weights(other, half)
    assert {dtype for _, dtype in report.cast} == {"float16"}
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one.astype("float16").astype("float32"), two)
    assert {weight.dtype for weight in other.weights} == {"float32"}


def test_a_number_that_float16_cannot_hold(tmp_path: Path):
    model = network()
    model.weights[0].assign(np.full(model.weights[0].shape, 1e6))
    with pytest.raises(cnnzoo.UsageError, match="that float16 cannot hold"):
        cnnzoo.save_weights(model, tmp_path / "x.safetensors", dtype="float16")
    assert list(tmp_path.iterdir()) == []


def refused(content: bytes, message: str, tmp_path: Path, **options: Any) -> None:
    """The file is refused, and the model is unchanged."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    model = network(**options)
    before = model.get_weights()
    with pytest.raises(cnnzoo.WeightFileError, match=message) as raised:
        cnnzoo.load_weights(model, path)
    assert len(str(raised.value)) < 1000
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("place", [0.3, 0.7, 0.99])
def test_a_flipped_bit(place: float, written, tmp_path: Path):
    content = bytearray(written[1].read_bytes())
    content[int(len(content) * place)] ^= 4
    refused(bytes(content), "another .* than was written", tmp_path)


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_file_that_was_cut(length: int, written, tmp_path: Path):
    refused(written[1].read_bytes()[:length], "get it again", tmp_path)


def test_files_of_others(written, tmp_path: Path):
    arrays, metadata = tensors(written[1])
    save = safetensors.numpy.save
    refused(save({"weight": arrays["head_dense1/0/kernel"]}), "is missing", tmp_path)
    refused(save(arrays, {**metadata, "sha256": "["}), "not a readable", tmp_path)
    refused(save(arrays, {**metadata, "sha256": "3"}), "not a readable", tmp_path)
    other = {**metadata, "network": "lenet5"}
    refused(save(arrays, other), "holds the weights of lenet5", tmp_path)
    some = dict(list(arrays.items())[1:])
    refused(save(some, metadata), "is missing", tmp_path)
    more = {**arrays, "strange/0/kernel": arrays["stage1_conv/0/kernel"]}
    refused(save(more), "strange/kernel is not in the model", tmp_path)
    whole = {**arrays, "stage1_conv/0/kernel": np.ones((5, 5, 1, 6), np.int8)}
    refused(save(whole), "not a float", tmp_path)
    spoilt = {**arrays, "stage1_conv/0/kernel": np.full((5, 5, 1, 6), np.nan, "float32")}
    refused(save(spoilt), "not finite numbers", tmp_path)
    tensor = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    twice = b'{"a":%s,"\\u0061":%s}' % (tensor, tensor)
    content = len(twice).to_bytes(8, "little") + twice + bytes(4)
    refused(content, "two tensors of one name", tmp_path)
    refused(written[1].read_bytes(), "has shape", tmp_path, classes=7)


def test_invalid_names_and_types(tmp_path: Path):
    model = network()
    with pytest.raises(cnnzoo.UsageError, match=r"\.weights\.h5 or \.safetensors; got"):
        cnnzoo.save_weights(model, tmp_path / "x.npz")
    other: Any = "bfloat16"
    with pytest.raises(cnnzoo.UsageError, match="unknown type of weights 'bfloat16'"):
        cnnzoo.save_weights(model, tmp_path / "x.safetensors", dtype=other)
    with pytest.raises(cnnzoo.UsageError, match="holds float32; got dtype='float16'"):
        cnnzoo.save_weights(model, tmp_path / "x.weights.h5", dtype="float16")


def test_a_tag_names_a_file_of_the_package(written, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    (tmp_path / "lenet_gap-mnist.safetensors").write_bytes(written[1].read_bytes())
    names = [f"digit {i}" for i in range(10)]
    (tmp_path / "lenet_gap-mnist.json").write_text(json.dumps({"class_names": names}))
    model = cnnzoo.LeNetGAP(weights="mnist")
    assert model.cnnzoo.class_names == tuple(names)
    own = cnnzoo.LeNetGAP(weights="mnist", class_names="abcdefghij")
    assert own.cnnzoo.class_names == tuple("abcdefghij")
    np.testing.assert_array_equal(model.get_weights()[0], written[0].get_weights()[0])
    with pytest.raises(cnnzoo.UsageError, match="expected None, 'mnist' or the"):
        cnnzoo.LeNetGAP(weights="emnist")
    with pytest.raises(cnnzoo.UsageError, match="lenet5 has no weights 'mnist'"):
        cnnzoo.LeNet5(weights="mnist")
    with pytest.warns(UserWarning, match="new predictions/kernel, predictions/bias"):
        other = cnnzoo.LeNetGAP(weights="mnist", classes=3)
    assert other.cnnzoo.class_names is None
