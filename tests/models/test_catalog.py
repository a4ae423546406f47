"""Tests of every network in the catalog, at its smallest size."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo import graph
from cnnzoo.layers import LocalResponseNormalization
from cnnzoo.models.catalog import FAMILIES, SPECS
from cnnzoo.zoo import build, sketch

REFERENCES = Path(__file__).parents[1] / "references"
COUNTS = json.loads((REFERENCES / "counts.json").read_text())
NAMES = re.compile(
    r"images|features|predictions|preprocess_\w+|stem_\w+|stage[1-9]\d*_\w+|head_\w+"
)
# In the sample of `make test`; the others are drawn in full by `make proofs`.
SAMPLE = ("lenet5", "lenet_gap", "mlp", "shapes_cnn", "very_small_vgg", "small_resnet")
SAMPLE += ("vgg11_bn", "inception_v1", "inception_v1_two_dense", "resnet18", "resnet50")
SAMPLE += ("alexnet", "nin_mnist", "xception", "resnet18_v2", "resnet20")
SOME = [
    name if name in SAMPLE else pytest.param(name, marks=pytest.mark.proof)
    for name in SPECS
]
LOADED_ELSEWHERE = ("lenet5", "small_resnet", "nin_mnist", "resnet18", "resnet20")
NOTHING_TO_LOAD = ("zfnet", "inception_v1", "small_resnet")  # LRN, or loaded elsewhere
CLASSES = 7


def smallest(name: str, more: int = 0, **options) -> keras.Model:
    """The network at its smallest size, or `more` pixels above, for few classes."""
    info = cnnzoo.model_info(name)
    side = info.min_size + more
    shape = (side, side, info.input_shape[2])
    return build(name, input_shape=shape, classes=CLASSES, **options)


def noise(model: keras.Model, count: int = 3, seed: int = 0) -> np.ndarray:
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


@pytest.mark.parametrize("name", SOME)
def test_probabilities(name):
    model = smallest(name, include_preprocessing=True)
    outputs = model.predict(noise(model), verbose=0)
    assert outputs.shape == (3, CLASSES)
    assert outputs.dtype == np.float32
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_layer_names_keep_the_contract(name):
    model = sketch(name, include_preprocessing=True)
    names = [operation.name for operation in model.operations]
    assert [n for n in names if not NAMES.fullmatch(n)] == []
    assert names[0] == "images"
    assert names[-1] == "predictions"
    stages = list(graph.stages(model))
    assert stages == [f"stage{i}" for i in range(1, len(stages) + 1)]
    cuts = graph.cut_points(model)
    last_of_stage = {n.split("_")[0]: n for n in names if n.startswith("stage")}
    assert set(last_of_stage.values()) <= set(cuts)
    assert "features" in cuts


@pytest.mark.parametrize("name", [n for n in SPECS if n in COUNTS])
def test_counts(name):
    info, expected = cnnzoo.model_info(name), COUNTS[name]
    model = sketch(name)
    assert graph.parameters(model) == (info.parameters, info.trainable)
    assert info.parameters == expected.get("total", info.parameters)
    assert info.trainable == expected.get("trainable", info.trainable)
    assert graph.macs(model) == expected.get("macs", info.macs)
    if "notop" in expected:
        bare = sketch(name, include_top=False)
        assert bare.count_params() == expected["notop"]


def test_every_network_with_a_published_count_is_in_the_counts():
    own = {"mlp", "simple_cnn", "shapes_cnn", "lenet_gap", "inception_v1_two_dense"}
    assert set(SPECS) - set(COUNTS) == own
    differing = {"bn_inception", "inception_resnet_v1", "inception_v2_separable"}
    differing |= {"lenet5", "zfnet"}
    assert {n for n in SPECS if SPECS[n].parameters is None} == own | differing
    for spec in SPECS.values():
        if spec.parameters is not None:
            info = cnnzoo.model_info(spec.name)
            assert spec.parameters in (info.parameters, info.trainable), spec.name


@pytest.mark.parametrize("name", SOME)
def test_every_trainable_weight_has_a_gradient(name):
    """Every weight affects the loss, except biases that BN cancels."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)  # else all ReLUs of a head are dead once in a while
    model = smallest(name, 8, include_preprocessing=True, dropout=0.0)
    for layer in model.layers:  # slopes of 0 hide what is behind a sum of positive parts
        if isinstance(layer, keras.layers.PReLU):
            layer.alpha.assign(np.full(layer.alpha.shape, 0.25))
    images = noise(model, count=16)
    labels = np.arange(16) % CLASSES
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = keras.ops.mean(
            keras.losses.sparse_categorical_crossentropy(labels, outputs)
        )
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    silent = {
        weight.path.split(f"{model.name}/")[-1]
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
        if gradient is None or not np.asarray(gradient).any()
    }
    layers = {layer.name for layer in model.layers}
    before_bn = {f"{n}/bias" for n in layers if f"{n}_bn" in layers}
    assert silent <= before_bn


@pytest.mark.parametrize("name", SPECS)
def test_below_the_smallest_size_is_an_error(name):
    side = cnnzoo.model_info(name).min_size
    sketch(name, input_shape=(side, side + 3, 3))
    for channels in (1, 4):
        sketch(name, input_shape=(side + 5, side, channels), include_top=False)
    if side > 1:
        with pytest.raises(cnnzoo.UsageError, match=rf"at least {side}x{side} pixels"):
            sketch(name, input_shape=(side + 9, side - 1, 3))


@pytest.mark.parametrize("name", SOME)
def test_odd_sizes_and_channels(name):
    info = cnnzoo.model_info(name)
    shape = (info.min_size + 3, info.min_size + 6, 5)
    model = build(name, input_shape=shape, classes=2, classifier_activation="sigmoid")
    assert model.predict(noise(model), verbose=0).shape == (3, 1)


@pytest.mark.parametrize("name", SOME)
def test_save_and_load(name, tmp_path):
    model = smallest(name, include_preprocessing=True)
    path = cnnzoo.save(model, tmp_path / "model.keras")
    again = cnnzoo.load(path)
    images = noise(model)
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(again.predict(images, verbose=0), expected)
    assert again.cnnzoo == model.cnnzoo
    assert [o.name for o in again.operations] == [o.name for o in model.operations]


LOAD_WITHOUT_CNNZOO = """
import sys
import keras, numpy as np
assert not any(name.startswith("cnnzoo") for name in sys.modules)
sys.modules["cnnzoo"] = None  # importing it is an error from here on
for path in sys.argv[1:]:
    saved = np.load(path + ".npz")
    outputs = keras.saving.load_model(path).predict(saved["images"], verbose=0)
    np.testing.assert_array_equal(outputs.shape, saved["outputs"].shape)
    scale = np.abs(saved["outputs"]).max()
    print(path, np.abs(outputs - saved["outputs"]).max() / scale)
"""


def check_loads_without_cnnzoo(names, folder: Path) -> None:
    paths = []
    for name in names:
        model = smallest(name, include_preprocessing=True)
        path = str(cnnzoo.save(model, folder / f"{name}.keras"))
        images = noise(model)
        outputs = model.predict(images, verbose=0)
        np.savez(f"{path}.npz", images=images, outputs=outputs)
        paths.append(path)
    result = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_CNNZOO, *paths],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.strip().splitlines()
    differences = {Path(line.split()[0]).stem: float(line.split()[1]) for line in lines}
    assert list(differences) == list(names)
    # The fused BatchNorm of the original and the stock one of the copy round differently.
    assert max(differences.values()) <= 2e-5, differences


def test_a_file_loads_where_cnnzoo_is_not_installed(tmp_path):
    check_loads_without_cnnzoo(LOADED_ELSEWHERE, tmp_path)


def has_lrn(name: str) -> bool:
    layers = sketch(name).layers
    return any(isinstance(layer, LocalResponseNormalization) for layer in layers)


@pytest.mark.proof
@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in NOTHING_TO_LOAD])
def test_every_file_loads_where_cnnzoo_is_not_installed(family, tmp_path):
    names = [name for name, spec in SPECS.items() if spec.family == family]
    # Keras has no LRN, so that a file of a network with one needs cnnzoo.
    names = [n for n in names if n not in LOADED_ELSEWHERE and not has_lrn(n)]
    assert names
    check_loads_without_cnnzoo(names, tmp_path)


def test_the_networks_with_lrn_load_with_the_layer_at_hand(tmp_path):
    model = smallest("inception_v1")
    path = cnnzoo.save(model, tmp_path / "lrn.keras")
    again = keras.saving.load_model(path)
    images = noise(model)
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), model.predict(images, verbose=0)
    )
