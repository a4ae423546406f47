"""Preprocessing: arrays and layers give the same, correct values."""

from pathlib import Path
from typing import cast

import keras
import numpy as np
import pytest

from cnnzoo.data.preprocess import draw, featurewise, preprocess_input
from cnnzoo.errors import UsageError
from cnnzoo.spec import MODES, Preprocess, resolve

OWN = {
    "own_scalars": Preprocess(mean=(10.0,), std=(2.0,), scale=0.5),
    "own_bgr": Preprocess("bgr", (1.0, 2.0, 3.0), (2.0,), 0.1),
    "own_std": Preprocess(mean=(5.0,), std=(1.0, 2.0, 4.0), samplewise=True),
}
ALL = {**MODES, **OWN}


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def images_of(*shape: int | None) -> keras.KerasTensor:
    return cast(keras.KerasTensor, keras.Input(shape, name="images"))


def drawn(
    mode: str | Preprocess, shape: tuple[int | None, ...], axis: int = -1
) -> keras.Model:
    images = images_of(*shape)
    return keras.Model(images, draw(images, mode, axis))


def assert_close(found: np.ndarray, expected: np.ndarray, rel: float = 1e-5) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=rel * np.abs(expected).max())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ALL)
def test_model_equals_array_also_after_saving(tmp_path: Path, mode: str, channels: int):
    x = pixels(2, 9, 7, channels)
    expected = preprocess_input(x, ALL[mode])
    model = drawn(ALL[mode], (None, None, channels))
    assert_close(np.asarray(model(x)), expected)
    model.save(tmp_path / "a.keras")
    again = cast(keras.Model, keras.models.load_model(tmp_path / "a.keras"))
    names = [operation.name for operation in model.operations[1:]]
    assert [operation.name for operation in again.operations[1:]] == names
    assert_close(np.asarray(again(x)), expected)
    assert all(name.startswith("preprocess_") for name in names)
    assert not model.weights


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("none", []),
        ("caffe", ["preprocess_flip", "preprocess_mean"]),
        ("tf", ["preprocess_scale"]),
        ("torch", ["preprocess_scale", "preprocess_mean"]),
        ("unit", ["preprocess_scale"]),
        ("samplewise", ["preprocess_samplewise"]),
    ],
)
def test_names_of_drawn_layers(mode: str, names: list[str]):
    model = drawn(mode, (8, 8, 3))
    assert [operation.name for operation in model.operations[1:]] == names
    assert list(MODES) == ["none", "caffe", "tf", "torch", "unit", "samplewise"]


def test_nothing_is_drawn_for_identity():
    images = images_of(4, 4, 3)
    assert draw(images, "none", -1) is images


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_equals_keras_applications(mode: str):
    x = pixels(3, 8, 6, 3)
    expected = keras.applications.imagenet_utils.preprocess_input(
        x.astype(np.float32), mode=mode
    )
    assert_close(preprocess_input(x, mode), np.asarray(expected), rel=1e-6)


def test_numbers_by_hand():
    x = np.array([[[0, 51, 255]]], np.uint8)
    hand = {
        "none": [0, 51, 255],
        "caffe": [255 - 103.939, 51 - 116.779, 0 - 123.68],
        "tf": [-1, -0.6, 1],
        "torch": [-0.485 / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225],
        "unit": [0, 0.2, 1],
        "samplewise": [(value - 102) / np.sqrt(12138) for value in (0, 51, 255)],
    }
    for mode, values in hand.items():
        assert_close(preprocess_input(x, mode), np.array([[values]]), rel=1e-6)
        assert_close(preprocess_input(x[None], mode)[0], np.array([[values]]), rel=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_three_values_on_other_channels_are_averaged(channels: int):
    x = pixels(4, 4, channels)
    expected = x - np.float32(103.939 + 116.779 + 123.68) / 3
    assert_close(preprocess_input(x, "caffe"), expected, rel=1e-6)
    torch = (x / np.float32(255) - 1.347 / 3) / (0.678 / 3)
    assert_close(preprocess_input(x, "torch"), torch, rel=1e-6)


def test_values_for_two_channels():
    how = Preprocess(order="bgr", mean=(1.0, 2.0), std=(1.0, 4.0))
    x = pixels(2, 5, 5, 2)
    assert_close(preprocess_input(x, how), (x - [1.0, 2.0]) / [1.0, 4.0])
    assert_close(np.asarray(drawn(how, (5, 5, 2))(x)), preprocess_input(x, how))


def test_samplewise_is_for_each_image():
    x = np.concatenate(
        [pixels(1, 6, 6, 3), pixels(1, 6, 6, 3) // 4, np.full((1, 6, 6, 3), 9)]
    )
    result = preprocess_input(x, "samplewise")
    np.testing.assert_allclose(result.mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(result.std((1, 2, 3)), [1, 1, 0], atol=1e-5)
    assert_close(result[1], preprocess_input(x[1], "samplewise"))
    faint = np.array([[[0.0], [0.001]]])  # a variance of 2.5e-7, to which 1e-7 is added
    expected = np.array([[[-1], [1]]]) * 0.0005 / np.sqrt(3.5e-7)
    assert_close(preprocess_input(faint, "samplewise"), expected)
    assert_close(np.asarray(drawn("samplewise", (1, 2, 1))(faint[None]))[0], expected)


@pytest.mark.parametrize("mode", ALL)
def test_channels_first(mode: str):
    x = pixels(2, 5, 6, 3)
    model = drawn(ALL[mode], (3, None, None), axis=1)
    found = np.asarray(model(x.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1)
    assert_close(found, preprocess_input(x, ALL[mode]))


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch", "samplewise"])
def test_mixed_policy_does_not_touch_it(mode: str):
    x = pixels(2, 5, 6, 3)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = drawn(mode, (5, 6, 3))
    finally:
        keras.config.set_dtype_policy(before)
    assert_close(np.asarray(model(x)), preprocess_input(x, mode))


def test_the_array_is_not_modified():
    x = pixels(4, 4, 3).astype(np.float32)
    kept = x.copy()
    for mode in MODES:
        assert not np.shares_memory(preprocess_input(x, mode), x)
    np.testing.assert_array_equal(x, kept)


def test_featurewise():
    x = pixels(600, 5, 4, 3)
    x[..., 1] //= 3
    x[..., 2] = 200
    how = featurewise(x)
    np.testing.assert_allclose(how.mean, x.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(how.std[:2], x[..., :2].std((0, 1, 2)), rtol=1e-12)
    assert how.std[2] == 1.0
    result = preprocess_input(x, how).astype(np.float64)
    np.testing.assert_allclose(result.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std((0, 1, 2)), [1, 1, 0], atol=1e-5)
    assert_close(np.asarray(drawn(how, (5, 4, 3))(x[:9])), preprocess_input(x[:9], how))
    for same in (featurewise(x.astype(np.float32)), featurewise(x[:, :, ::-1])):
        np.testing.assert_allclose((same.mean, same.std), (how.mean, how.std), rtol=1e-12)


def test_resolve():
    assert resolve("tf") is MODES["tf"]
    own = OWN["own_bgr"]
    assert resolve(own) is own
    with pytest.raises(UsageError, match=r"mode 'coffee'; did you mean 'caffe'\?"):
        resolve("coffee")
    with pytest.raises(UsageError, match=r"'featurewise'.*featurewise\(images\)"):
        resolve("featurewise")
    with pytest.raises(TypeError):
        MODES["own"] = own  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 4)), r"float64 \(4, 4\): expected.*rank 3 or 4"),
        (np.zeros((1, 1, 4, 4, 3)), "rank 3 or 4, channels last"),
        (np.zeros((0, 4, 4, 3)), "at least one pixel"),
        (np.zeros((4, 4, 3), object), "array of object"),
        (np.zeros((4, 4, 3), bool), "array of bool"),
        (np.full((4, 4, 3), np.nan), "finite values, found NaN or infinity"),
        (np.full((4, 4, 3), np.inf), "finite values, found NaN or infinity"),
    ],
)
def test_arrays_that_are_not_pixels(x: np.ndarray, message: str):
    with pytest.raises(UsageError, match=message):
        preprocess_input(x, "tf")


def test_featurewise_needs_images():
    with pytest.raises(UsageError, match="rank 4"):
        featurewise(pixels(4, 4, 3))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            Preprocess(mean=(1.0, 2.0)),
            "3 channels: expected a mean of 1, 3 or 3.*found 2",
        ),
        (Preprocess(std=(1.0,) * 4), "3 channels: expected a std of 1, 3 or 3.*found 4"),
        (Preprocess(std=(1.0, 0.0, 1.0)), "values above 0, found 0.0, so use 1"),
    ],
)
def test_values_for_other_channels(how: Preprocess, message: str):
    with pytest.raises(UsageError, match=message):
        preprocess_input(pixels(4, 4, 3), how)
    with pytest.raises(UsageError, match=message):
        draw(images_of(4, 4, 3), how, -1)


def test_unknown_channels_cannot_be_drawn():
    with pytest.raises(
        UsageError, match="known number of channels on axis 3, found None"
    ):
        draw(images_of(4, 4, None), "tf", 3)
