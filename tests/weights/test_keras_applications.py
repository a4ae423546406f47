"""Every network that keras.applications has gives its numbers, with its weights.

Random weights go over by `load_weights`: from the model itself, and from files that it
saved.
"""

import os
import re
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import keras
import numpy as np
import pytest
from parity import Record, compare, images, randomise

import cnnzoo
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.weights.loading import load_weights
from cnnzoo.weights.matching import match_tensors
from cnnzoo.weights.sources.keras_applications import BUILDERS, IMAGENET
from cnnzoo.weights.tensors import of_model
from cnnzoo.zoo import build, find, sketch

proof = pytest.mark.proof

LOGITS: dict = {"classifier_activation": None}
HEADLESS: dict = {"include_top": False}
# At the smallest size or near it.
SMALL = [
    pytest.param("vgg16", 33, LOGITS, id="vgg16"),
    pytest.param("resnet50", 64, HEADLESS, id="resnet50"),
    pytest.param("resnet50", 75, LOGITS, id="resnet50-odd"),
    pytest.param("resnet50_v2", 64, LOGITS, id="resnet50_v2"),
    pytest.param("resnet50_v2", 75, HEADLESS, id="resnet50_v2-odd"),
    pytest.param("inception_v3", 75, LOGITS, id="inception_v3"),
    pytest.param("inception_v3", 96, HEADLESS, id="inception_v3-even"),
    pytest.param("xception", 71, LOGITS, id="xception"),
    pytest.param("xception", 84, HEADLESS, id="xception-even"),
]
CLASSIFIER = {"xception": 0.1}  # of its strong features, so that no class has it all
ODD = {224: 197, 299: 255}  # beside the paper's size


def module(name: str) -> ModuleType:
    """Where keras.applications has the network: the depths of one kind share a module."""
    return import_module("keras.applications." + re.sub(r"(resnet)\d+", r"\1", name))


def randomised(name: str, **options) -> keras.Model:
    """keras.applications' network with random weights."""
    theirs = getattr(module(name), BUILDERS[name])(weights=None, **options)
    randomise(theirs, classifier=CLASSIFIER.get(name, 0.5))
    return theirs


def same_as_applications(record: Record, name: str, side: int, options: dict) -> None:
    options = {**options, "input_shape": (side, side, 3)}
    theirs, ours = randomised(name, **options), build(name, **options)
    report = load_weights(ours, theirs)
    assert len(report.loaded) == len(ours.weights) == len(theirs.weights)
    assert report.cast == report.skipped == ()
    assert ours.count_params() == theirs.count_params()
    for here, there in report.loaded:  # rounding would hide the last digits of 1.001e-5
        if here.endswith("/beta"):
            norms = ours.get_layer(here[:-5]), theirs.get_layer(there[:-5])
            assert norms[0].epsilon == norms[1].epsilon
    x = images(side)
    part = {"include_top": "features", "classifier_activation": "logits"}
    what = next((part[key] for key in options if key in part), "probabilities")
    compare(
        record,
        name,
        f"{what}, {side} px",
        "keras.applications",
        ours(x, training=False),
        theirs(x, training=False),
    )


@pytest.mark.parametrize(("name", "side", "options"), SMALL)
def test_a_sample(record: Record, name: str, side: int, options: dict):
    same_as_applications(record, name, side, options)


@proof
@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(
    ("odd", "options"),
    [(False, {}), (False, LOGITS), (False, HEADLESS), (True, LOGITS), (True, HEADLESS)],
    ids=["probabilities", "logits", "features", "odd-logits", "odd-features"],
)
def test_all(record: Record, name: str, odd: bool, options: dict):
    side = find(name).input_shape[0]
    same_as_applications(record, name, ODD[side] if odd else side, options)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_layer_has_its_counterpart(name: str):
    """The same names, kinds and shapes, without memory for the weights."""
    with init_empty_weights():
        theirs = getattr(module(name), BUILDERS[name])(weights=None)
    pairs, skipped, *_ = match_tensors(sketch(name), of_model(theirs))
    assert len(pairs) == len(theirs.weights)
    assert skipped == []
    bare = sketch(name, include_top=False)
    pairs, skipped, *_ = match_tensors(bare, of_model(theirs))
    assert len(pairs) == len(bare.weights) == len(theirs.weights) - len(skipped)


def saved(theirs: keras.Model, folder) -> list[str]:
    """The model's weights in every form that Keras writes."""
    paths = [str(folder / name) for name in ("a.weights.h5", "b.h5", "c.keras")]
    theirs.save_weights(paths[0])
    for path in paths[1:]:
        theirs.save(path)
    return paths


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("vgg16", 32),
        pytest.param("resnet50", 64, marks=proof),
        pytest.param("resnet50_v2", 64, marks=proof),
        pytest.param("inception_v3", 75, marks=proof),
        ("xception", 71),
        pytest.param("inception_resnet_v2", 75, marks=proof),
    ],
)
def test_files(name: str, side: int, tmp_path):
    options = {"input_shape": (side, side, 3), "classes": 20}
    theirs, ours = randomised(name, **options), build(name, **options)
    load_weights(ours, theirs)
    expected = [weight.numpy() for weight in ours.weights]
    paths = saved(theirs, tmp_path)
    bare = build(name, include_top=False)
    for path in paths:
        for weight in ours.weights:
            weight.assign(keras.ops.zeros_like(weight))
        report = load_weights(ours, path)
        assert (len(report.loaded), report.skipped) == (len(expected), ())
        for weight, value in zip(ours.weights, expected, strict=True):
            np.testing.assert_array_equal(weight, value)
        report = load_weights(bare, path)
        heads = {tensor.split("/")[0] for tensor in report.skipped}
        assert heads == {"predictions"} | ({"fc1", "fc2"} if name == "vgg16" else set())


def test_counted_layers_may_start_at_any_number():
    """Keras counts on through a session; two twins of one network differ in names."""
    first, second = (randomised("xception", **HEADLESS) for _ in range(2))
    ours = build("xception", **HEADLESS)
    names = [dict(load_weights(ours, twin).loaded) for twin in (first, second)]
    shortcut = [name["stage1_block1_shortcut/kernel"] for name in names]
    assert shortcut[0] != shortcut[1]
    assert all(name.startswith("conv2d") for name in shortcut)


@pytest.mark.parametrize("name", BUILDERS)
def test_preprocessing_is_that_of_the_weights(name: str):
    """Weights from there are used with what `preprocess_input` here makes of pixels."""
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    expected = module(name).preprocess_input(x.copy())
    found = cnnzoo.preprocess_input(x, find(name).preprocessing)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# weights="imagenet" -----------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch) -> list[dict]:
    """Keras's builders give random weights; the arguments that they were called with."""
    calls = []

    def fake(name: str, side: int):
        real = getattr(keras.applications, BUILDERS[name])

        def builder(**arguments):
            calls.append(arguments)
            assert arguments.pop("weights") == IMAGENET
            shape = (side, side, 3)
            theirs = real(weights=None, input_shape=shape, **arguments)
            randomise(theirs)
            return theirs

        monkeypatch.setattr(keras.applications, BUILDERS[name], builder)

    fake("resnet50", 64)
    fake("vgg16", 32)
    return calls


def test_imagenet(fetched):
    model = build("resnet50", weights=IMAGENET, input_shape=(50, 50, 3))
    expected = randomised("resnet50", input_shape=(50, 50, 3))
    x = images(50)
    np.testing.assert_allclose(model(x), expected(x, training=False), atol=1e-5)
    assert fetched == [{"include_top": True}]
    report = load_weights(build("vgg16", include_top=False), IMAGENET)
    assert fetched[1:] == [{"include_top": False}]
    text = "vgg16: 26 tensors from keras.applications' imagenet weights"
    assert str(report) == f"{text}; names of keras.applications"
    grey = build("vgg16", include_top=False, input_shape=(32, 32, 1))
    assert "1 summed over channels" in str(load_weights(grey, IMAGENET))


def test_imagenet_on_the_small_stem(fetched):
    model = build("resnet50", weights=IMAGENET, input_shape=(32, 32, 3), stem="small")
    expected = randomised("resnet50", input_shape=(32, 32, 3))
    for name in ("stem_conv", "stage4_block3_conv3_bn"):
        theirs = {"stem_conv": "conv1_conv"}.get(name, "conv5_block3_3_bn")
        for here, there in zip(
            model.get_layer(name).weights, expected.get_layer(theirs).weights, strict=True
        ):
            np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": "vgg16", "input_shape": (64, 96, 3)},
            "for images of 224x224 pixels; got 64x96, so leave the size out, or",
        ),
        (
            {"model": "vgg16", "stem": "small", "input_shape": (32, 32, 3)},
            "for images of 224x224 pixels; got 32x32, so leave the size out, or",
        ),
        (
            {"preprocessing": "unit"},
            "for pixels prepared as 'caffe'; leave preprocessing out",
        ),
        (
            {"activation": "prelu", "include_top": False},
            "without numbers for stem_conv_act, .* leave the options out that add these",
        ),
    ],
)
def test_imagenet_does_not_fit(fetched, arguments, message):
    with pytest.raises(cnnzoo.UsageError, match=f"weights 'imagenet' are {message}"):
        build(**{"model": "resnet50", "weights": IMAGENET, **arguments})
    assert fetched == []


def test_imagenet_with_other_classes(fetched):
    shape = (50, 50, 3)
    with pytest.warns(UserWarning, match="new predictions/kernel, predictions/bias"):
        model = build("resnet50", weights=IMAGENET, input_shape=shape, classes=7)
    assert model.output_shape == (None, 7)
    assert fetched == [{"include_top": True}]
    with pytest.raises(
        cnnzoo.UsageError, match="for 1000 classes; got classes=7, so lea"
    ):
        load_weights(sketch("resnet50", classes=7), IMAGENET)
    assert len(fetched) == 1


def test_imagenet_for_networks_that_have_none():
    message = r"lenet5 has no weights 'imagenet'; the networks that have are vgg16, vgg19"
    with pytest.raises(cnnzoo.UsageError, match=message):
        build("lenet5", weights=IMAGENET)
    with pytest.raises(cnnzoo.UsageError, match=message):
        load_weights(build("lenet5"), IMAGENET)


NO_NETWORK = """
import socket

def nowhere(*_, **__):
    raise socket.gaierror(-2, "no such host")

socket.getaddrinfo = nowhere
import cnnzoo
try:
    cnnzoo.ResNet50(include_top=False, weights="imagenet")
except OSError as error:
    print(type(error).__name__, error.exit_code, error)
"""


def test_imagenet_without_a_network(tmp_path):
    """Keras raises a bare Exception there."""
    result = subprocess.run(
        [sys.executable, "-c", NO_NETWORK],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    last = result.stdout.splitlines()[-1]
    assert last.startswith(
        "DownloadError 3 Keras could not fetch resnet50's weights 'imagenet' (URL fetch "
        "failure on https://"
    )
    assert last.endswith(
        "no such host); try again with a connection, put the file of that address into "
        f"{tmp_path / 'models'}, or give the path of a file as weights"
    )


def test_the_index_lists_imagenet_weights():
    assert set(cnnzoo.list_models(weights=IMAGENET)) == set(BUILDERS)
