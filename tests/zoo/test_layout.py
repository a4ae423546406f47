"""Models that take images with the channels first: the same numbers as channels last."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from parity import SPREAD, images, randomise, relative
from PIL import Image
from training import fit

import cnnzoo
from cnnzoo import graph
from cnnzoo.calibration import apply_temperature
from cnnzoo.cli.main import main
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.data.sources import open_source
from cnnzoo.graph.data_format import channels_first
from cnnzoo.inference import probabilities
from cnnzoo.models.catalog import SPECS
from cnnzoo.spec import Preprocess
from cnnzoo.train.recipe import Recipe
from cnnzoo.visualization import figures
from cnnzoo.zoo import build, find, sketch
from cnnzoo.zoo.input_size import smallest_side

BOUND = 1e-4
OWN = Preprocess(order="bgr", mean=(9.0, 99.0, 199.0), std=(50.0, 60.0, 70.0))
# Grouped convolutions; LRN, concatenation; PReLU a channel; PReLU a pixel; a head that
# flattens; sums. The others are tried by `make proofs`.
SAMPLE = ("alexnet", "inception_v1", "shapes_cnn", "small_resnet", "very_small_vgg")
SAMPLE += ("resnet18",)
SOME = [
    name if name in SAMPLE else pytest.param(name, marks=pytest.mark.proof)
    for name in SPECS
]


@contextmanager
def layout(data_format: str) -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


@pytest.fixture
def first():
    """Channels come first in this test."""
    with layout("channels_first"):
        yield


def turned(x: np.ndarray) -> np.ndarray:
    """(b, h, w, c) as (b, c, h, w)."""
    return np.moveaxis(x, -1, 1)


def in_both_layouts(name: str, side: int, **options) -> tuple[keras.Model, keras.Model]:
    """The network with channels last and first, and the same random weights."""
    channels = find(name).input_shape[2]
    last = build(name, input_shape=(side, side, channels), **options)
    with layout("channels_first"):
        model = build(name, input_shape=(channels, side, side), **options)
    randomise(last)
    for layer in last.layers:
        values = layer.get_weights()
        if isinstance(layer, keras.layers.PReLU) and not layer.shared_axes:
            values = [np.moveaxis(value, -1, 0) for value in values]
        model.get_layer(layer.name).set_weights(values)
    return last, model


@pytest.mark.parametrize("name", SOME)
def test_the_same_weights_give_the_same_numbers(name):
    side = max(cnnzoo.model_info(name).min_size + 3, 28)
    options = {"classes": 12, "classifier_activation": None}
    last, model = in_both_layouts(name, side, **options)
    assert channels_first(model)
    assert not channels_first(last)
    x = images(side, channels=last.input_shape[-1])
    expected = last.predict(x, verbose=0)
    found = model.predict(turned(x), verbose=0)
    assert relative(expected[0], expected[1]) > SPREAD
    assert relative(found, expected) <= BOUND


def test_the_same_training_step():
    """Convolutions, BN, pools, and a head on quarters of 7x7 maps, which share a middle.

    With tanh, since a value within rounding of 0 would pass a ReLU on one side only.
    """
    options = {"classes": 4, "cut": "stage2_pool", "activation": "tanh"}
    last, model = in_both_layouts("very_small_vgg", 28, **options)
    x, labels = images(28, channels=1, count=4), np.arange(4)
    changes = []
    for network, batch in ((last, x), (model, turned(x))):
        before = network.get_weights()
        network.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
        network.train_on_batch(batch, labels)
        after = network.get_weights()
        changes.append([b - a for a, b in zip(before, after, strict=True)])
    for weight, found, expected in zip(last.weights, *changes, strict=True):
        if not weight.path.endswith(("conv1/bias", "conv2/bias")):  # which BN cancels
            assert relative(found, expected) <= BOUND, weight.path


@pytest.mark.parametrize("mode", ["caffe", "samplewise", "unit", OWN])
def test_preprocessing_in_the_model(mode):
    options = {"include_preprocessing": True, "preprocessing": mode, "classes": 4}
    last, model = in_both_layouts("vgg11", 32, **options)
    x = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    expected = last.predict(x, verbose=0)
    found = model.predict(turned(x), verbose=0)
    assert relative(found, expected) <= BOUND


@pytest.mark.parametrize("pooling", ["avg", "max", None])
def test_features(pooling):
    last, model = in_both_layouts("resnet18", 33, include_top=False, pooling=pooling)
    x = images(33)
    expected = last.predict(x, verbose=0)
    if pooling is None:
        expected = turned(expected)
    assert relative(model.predict(turned(x), verbose=0), expected) <= BOUND


def test_sizes_are_those_of_channels_last(first):
    model = sketch("inception_v1")
    assert model.input_shape == (None, 3, 224, 224)
    info = cnnzoo.model_info("inception_v1")
    assert graph.macs(model) == info.macs
    assert graph.parameters(model) == (info.parameters, info.trainable)
    shapes = [tuple(tensor.shape[1:]) for tensor in graph.stages(model).values()]
    assert shapes == [(c, h, w) for _, (h, w, c) in info.stages]
    with layout("channels_last"):
        assert channels_first(model)  # the model tells, not Keras's setting
        assert graph.smallest_side(model) == info.min_size
        rows = graph.layer_rows(sketch("inception_v1"))
    fields = [row.receptive_field for row in graph.layer_rows(model)]
    assert fields == [row.receptive_field for row in rows]
    assert graph.output_shapes(model, (3, 64, 96))["stage1_pool"] == (480, 4, 6)


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "small_resnet", "vgg11_bn"])
def test_the_smallest_size(name, first):
    side = cnnzoo.model_info(name).min_size
    assert smallest_side(find(name)) == side
    sketch(name, input_shape=(3, side, side + 3))
    with pytest.raises(cnnzoo.UsageError, match=rf"at least {side}x{side} pixels; got"):
        sketch(name, input_shape=(3, side + 9, side - 1))
    with pytest.raises(cnnzoo.UsageError, match="three whole numbers above 0"):
        sketch(name, input_shape=(None, 64, 64))


def test_the_stages_are_drawn_alike(first):
    assert b"7x7x512" in figures.stages(sketch("resnet18"), "svg")


@pytest.fixture(scope="module")
def digits() -> Images:
    return load_embedded("train").split(0.1, seed=0)[1]


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A network trained with channels first, and its folder."""
    keras.utils.set_random_seed(0)
    out = tmp_path_factory.mktemp("first")
    train, validation = digits.split(0.2, seed=0)
    with layout("channels_first"):
        model = build("lenet5", include_preprocessing=True)
        recipe = Recipe(epochs=4, batch_size=32, learning_rate=3e-3)
        history = fit(model, train, validation, out, recipe)
    assert max(history["val_accuracy"]) > 0.75
    return model, out


def test_training_and_evaluation(trained, digits, tmp_path):
    """Data have the channels last, whatever the model or Keras's setting says."""
    model, _ = trained
    assert model.input_shape == (None, 1, 28, 28)
    result = cnnzoo.evaluate(model, digits)
    assert result.accuracy > 0.8
    expected = model.predict(turned(digits.images[:5]), verbose=0)
    raw = probabilities(model, digits.images[:5], raw=True)
    np.testing.assert_allclose(raw, expected, atol=1e-6)
    calibrated = apply_temperature(expected, model.cnnzoo.temperature)
    np.testing.assert_allclose(result.probabilities[:5], calibrated, atol=1e-6)
    path = tmp_path / "digit.png"
    Image.fromarray(digits.images[0].squeeze()).save(path)
    (prediction,) = cnnzoo.predict(model, [path], top=1)
    assert prediction.top[0][1] == pytest.approx(calibrated[0].max(), abs=1e-5)


def test_a_folder(first, digits, tmp_path):
    labels = np.asarray(digits.labels)
    for i in np.flatnonzero(labels < 3)[:60]:
        (tmp_path / "photos" / str(labels[i])).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(digits.images[i].squeeze()).convert("RGB")
        picture.save(tmp_path / "photos" / str(labels[i]) / f"{i}.png")
    folder = open_source(str(tmp_path / "photos"))
    # Not square, and preprocessed outside of the model.
    model = build("lenet_gap", classes=3, input_shape=(3, 20, 24))
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=5e-3)
    history = fit(model, folder, folder, tmp_path / "run", recipe)
    best = int(np.argmin(history["val_loss"]))
    accuracy = cnnzoo.evaluate(model, folder).accuracy
    assert accuracy == pytest.approx(history["val_accuracy"][best])


def test_the_command_line(first, digits, tmp_path):
    labels = np.asarray(digits.labels)[:90]
    rows = np.column_stack([labels, digits.images[:90].reshape(90, -1)])
    np.savetxt(tmp_path / "t.csv", rows, "%d", ",")
    data, out = str(tmp_path / "t.csv"), str(tmp_path / "run")
    arguments = ("--model", "lenet_gap", "--out", out, "--epochs", "1")
    arguments += ("--validation", "0.2")
    assert main(["train", data, *arguments]) == 0
    assert cnnzoo.load(f"{out}/model.keras").input_shape == (None, 1, 28, 28)
    assert main(["evaluate", data, "--model", out]) == 0


def test_a_file_in_its_own_layout(trained, digits, first):
    model, out = trained
    again = cnnzoo.load(out / "model.keras")
    assert again.cnnzoo == model.cnnzoo
    np.testing.assert_array_equal(
        probabilities(again, digits.images[:9]), probabilities(model, digits.images[:9])
    )


def test_a_file_in_the_other_layout(trained, digits, tmp_path):
    """The same numbers, both ways."""
    model, out = trained
    last = cnnzoo.load(out / "model.keras")
    assert last.input_shape == (None, 28, 28, 1)
    expected = probabilities(model, digits.images[:9])
    np.testing.assert_allclose(
        probabilities(last, digits.images[:9]), expected, atol=1e-5
    )
    path = cnnzoo.save(last, tmp_path / "last.keras")
    with layout("channels_first"):
        back = cnnzoo.load(path)
        assert back.input_shape == (None, 1, 28, 28)
    np.testing.assert_allclose(
        probabilities(back, digits.images[:9]), expected, atol=1e-5
    )


def test_a_slope_a_pixel_is_tied_to_its_layout(tmp_path):
    path = cnnzoo.save(build("small_resnet"), tmp_path / "last.keras")
    with (
        layout("channels_first"),
        pytest.raises(cnnzoo.WeightFileError, match="does not fit"),
    ):
        cnnzoo.load(path)
