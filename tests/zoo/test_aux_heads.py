"""Auxiliary classifiers in training: their losses count, their outputs are not used."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from parity import images, randomise
from PIL import Image
from training import fit

import cnnzoo
from cnnzoo import graph
from cnnzoo.calibration import apply_temperature
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.data.sources import open_source
from cnnzoo.inference import probabilities
from cnnzoo.models.catalog import SPECS
from cnnzoo.spec import AuxHead
from cnnzoo.train.callbacks import BestCheckpoint
from cnnzoo.train.recipe import Recipe
from cnnzoo.visualization import figures
from cnnzoo.zoo import build, find, sketch
from cnnzoo.zoo.input_size import smallest_side

LENET = find("lenet_gap")
HELPED = [name for name, spec in SPECS.items() if "aux_heads" in spec.own_options]
SOME = [HELPED[0], *(pytest.param(name, marks=pytest.mark.proof) for name in HELPED[1:])]


def mean(x, *, conv, name):
    return keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)


def wide(x, *, conv, name):
    return mean(conv(x, 8, 9, padding="valid", name=f"{name}_conv"), conv=conv, name=name)


SPEC = replace(
    LENET,
    name="helped",
    aux_heads=(
        AuxHead(after="stage1_pool", trunk=wide, loss_weight=0.5),
        AuxHead(after="stage2_pool", trunk=mean),
    ),
)
FIGURES = {"loss", "accuracy", "aux1_loss", "aux2_loss", "total_loss"}
FIGURES |= {f"val_{name}" for name in FIGURES} | {"learning_rate"}


def helped(**options) -> keras.Model:
    return build(SPEC, include_preprocessing=True, **options)


@pytest.fixture(scope="module")
def digits() -> Images:
    return load_embedded("train").split(0.1, seed=0)[1]


@pytest.fixture(scope="module")
def pair(digits) -> Images:
    """The zeros and ones alone."""
    rows = np.flatnonzero(np.asarray(digits.labels) < 2)
    return replace(digits.take(rows), class_names=("0", "1"))


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A network with two auxiliary heads, its folder, history and validation images."""
    keras.utils.set_random_seed(0)
    out = tmp_path_factory.mktemp("run")
    train, validation = digits.split(0.3, seed=0)
    model = helped()
    recipe = Recipe(epochs=6, precision="float32", batch_size=32, learning_rate=5e-3)
    return model, out, fit(model, train, validation, out, recipe), validation


def cross_entropy(predictions: np.ndarray, labels) -> float:
    return float(
        -np.log(predictions[np.arange(len(predictions)), np.asarray(labels)]).mean()
    )


def test_metrics_have_the_names_of_one_classifier(trained):
    _, out, history, _ = trained
    assert set(history) == FIGURES
    assert json.loads((out / "history.json").read_text()) == history
    for part in ("", "val_"):
        parts = (history[f"{part}{name}"] for name in ("loss", "aux1_loss", "aux2_loss"))
        expected = np.dot([1, 0.5, 0.3], np.array(list(parts)))
        np.testing.assert_allclose(history[f"{part}total_loss"], expected, rtol=1e-5)
    assert history["loss"][-1] < history["loss"][0] / 1.5
    assert history["aux2_loss"][-1] < history["aux2_loss"][0]
    assert figures.learning_curves(history)[:4] == b"\x89PNG"


def test_the_kept_epoch_is_the_main_classifiers_best(trained):
    model, _, history, validation = trained
    predictions = probabilities(model, validation, raw=True)
    best = int(np.argmin(history["val_loss"]))
    assert cross_entropy(predictions, validation.labels) == pytest.approx(
        history["val_loss"][best], rel=1e-4
    )
    accuracy = cnnzoo.evaluate(model, validation).accuracy
    assert accuracy == pytest.approx(history["val_accuracy"][best])


def test_only_the_main_classifier_predicts(trained, digits, tmp_path):
    model, _, _, _ = trained
    outputs = model.predict(digits.images[:5], verbose=0)
    assert len(outputs) == 3
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    raw = probabilities(model, digits.images[:5], raw=True)
    np.testing.assert_array_equal(raw, outputs[0])
    calibrated = apply_temperature(raw, model.cnnzoo.temperature)
    path = tmp_path / "digit.png"
    Image.fromarray(digits.images[0].squeeze()).save(path)
    (prediction,) = cnnzoo.predict(model, [path], top=1)
    assert prediction.top[0][1] == pytest.approx(calibrated[0].max(), abs=1e-5)


def test_a_checkpoint_goes_by_the_main_loss(tmp_path):
    best = BestCheckpoint(tmp_path / "m.keras", "val_predictions_mean_loss")
    best.set_model(helped())
    best.on_epoch_end(0, {"val_loss": 3.0, "val_predictions_mean_loss": 0.4})
    best.on_epoch_end(1, {"val_loss": 1.0, "val_predictions_mean_loss": 0.5})
    assert best.best == 0.4


def test_patience_goes_by_the_main_loss(digits, tmp_path):
    """A lower auxiliary loss alone does not count as an improvement."""
    keras.utils.set_random_seed(0)
    model = helped()
    for layer in model.layers:
        layer.trainable = layer.name == "aux2_predictions"
    recipe = Recipe(
        epochs=20, precision="float32", patience=3, batch_size=64, learning_rate=1e-2
    )
    history = fit(model, digits, digits, tmp_path, recipe)
    assert np.all(np.diff(history["val_total_loss"]) < 0)
    assert len(history["val_loss"]) == 4
    assert history["learning_rate"][-1] < history["learning_rate"][0]


def test_a_folder(pair, tmp_path):
    for i, label in enumerate(np.asarray(pair.labels)[:40]):
        (tmp_path / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pair.images[i].squeeze())
        picture.save(tmp_path / "photos" / str(label) / f"{i}.png")
    folder = open_source(str(tmp_path / "photos"))
    model = helped(classes=2)
    recipe = Recipe(epochs=2, batch_size=16)
    history = fit(model, folder, folder, tmp_path / "run", recipe)
    assert set(history) == FIGURES
    best = int(np.argmin(history["val_loss"]))
    accuracy = cnnzoo.evaluate(model, folder).accuracy
    assert accuracy == pytest.approx(history["val_accuracy"][best])


def test_one_unit(pair, tmp_path):
    keras.utils.set_random_seed(1)
    model = helped(classes=2, classifier_activation="sigmoid")
    assert [tuple(output.shape) for output in model.outputs] == [(None, 1)] * 3
    recipe = Recipe(epochs=5, precision="float32", batch_size=16, learning_rate=5e-3)
    history = fit(model, pair, pair, tmp_path, recipe)
    assert set(history) == FIGURES
    result = cnnzoo.evaluate(model, pair)
    best = int(np.argmin(history["val_loss"]))
    assert result.accuracy == pytest.approx(history["val_accuracy"][best])
    assert result.accuracy > 0.9


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_losses_of_one_hot_labels(digits, tmp_path, loss):
    recipe = Recipe(epochs=2, loss=loss, learning_rate=5e-3)
    history = fit(helped(), digits, digits, tmp_path, recipe)
    assert set(history) == FIGURES
    assert history["loss"][-1] < history["loss"][0]


def test_logits(digits, tmp_path):
    model = helped(classifier_activation=None)
    recipe = Recipe(epochs=2, learning_rate=5e-3)
    history = fit(model, digits, digits, tmp_path, recipe)
    assert history["loss"][-1] < history["loss"][0]


def test_a_file_holds_every_classifier(trained, digits):
    model, out, _, _ = trained
    again = helped(weights=out / "model.keras")
    some = digits.images[:8]
    for one, other in zip(
        again.predict(some, verbose=0), model.predict(some, verbose=0), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def of_catalog(name: str, **options) -> keras.Model:
    """With its auxiliary classifiers, at the smallest size that these take."""
    spec = SPECS[name]
    assert spec.configure is not None
    side = smallest_side(spec.configure(spec, aux_heads=True))
    assert side >= cnnzoo.model_info(name).min_size
    shape = (side, side, 3)
    return build(name, aux_heads=True, input_shape=shape, classes=3, **options)


@pytest.mark.parametrize("name", SOME)
def test_a_network_of_the_catalog_is_loaded(name, tmp_path):
    model = of_catalog(name)
    randomise(model)
    again = cnnzoo.load(cnnzoo.save(model, tmp_path / "model.keras"))
    assert again.cnnzoo == model.cnnzoo
    assert again.cnnzoo.options["aux_heads"] is True
    x = images(model.input_shape[1])
    for one, other in zip(again(x), model(x), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.proof
@pytest.mark.parametrize("name", ["inception_v1", "inception_v2", "inception_v3"])
def test_a_network_of_the_catalog_trains(name, tmp_path):
    model = of_catalog(name, dropout=0.0)
    shape = (6, *model.input_shape[1:])
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    source = Images(pixels, np.arange(6) % 3, tuple("abc"))
    history = fit(model, source, source, tmp_path, Recipe(epochs=1, batch_size=3))
    weights = [head.loss_weight for head in model.cnnzoo.spec.aux_heads]
    others = (history[f"val_aux{i + 1}_loss"][0] for i in range(len(weights)))
    total = history["val_loss"][0] + np.dot(weights, list(others))
    assert history["val_total_loss"][0] == pytest.approx(total, rel=1e-4)


def test_a_file_needs_keras_alone(trained):
    """It is compiled with stock objects, so Keras reads it, metrics included.

    The optimizer begins anew, and Keras says so.
    """
    _, out, history, validation = trained
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        alone = keras.saving.load_model(out / "model.keras")
    labels = (np.asarray(validation.labels),) * 3
    metrics = alone.evaluate(validation.images, labels, verbose=0, return_dict=True)
    best = int(np.argmin(history["val_loss"]))
    expected = history["val_loss"][best]
    assert metrics["predictions_mean_loss"] == pytest.approx(expected, rel=1e-4)


def test_properties_of_the_graph(tmp_path: Path):
    model, plain = helped(), build(LENET, include_preprocessing=True)
    rows = {row.name: row for row in graph.layer_rows(model)}
    assert rows["aux1_predictions"].macs == 8 * 10
    assert rows["aux1_conv"].macs == 6 * 6 * 9 * 9 * 6 * 8
    extra = sum(rows[f"aux{part}"].macs or 0 for part in ("1_conv", "1_predictions"))
    assert graph.macs(model) == (graph.macs(plain) or 0) + extra + 16 * 10
    assert list(graph.stages(model)) == list(graph.stages(plain))
    assert smallest_side(SPEC) == 2 * 9
    assert figures.stages(model)[:4] == b"\x89PNG"
    with pytest.raises(cnnzoo.UsageError, match="1 and 3"):
        graph.cut_points(model)


def dropouts(model: keras.Model) -> dict[str, float]:
    return {
        layer.name: layer.rate
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    }


def test_dropout_is_the_papers_or_the_callers_in_every_head():
    paper = sketch("inception_v1", aux_heads=True)
    names = ["head_dropout", "aux1_dense_dropout", "aux2_dense_dropout"]
    assert dropouts(paper) == dict(zip(names, [0.4, 0.7, 0.7], strict=True))
    assert dropouts(sketch("inception_v1", aux_heads=True, dropout=0.0)) == {}
    half = sketch("inception_v1", aux_heads=True, dropout=0.5)
    assert set(dropouts(half).values()) == {0.5}


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (
            "inception_v1",
            {"include_top": False},
            "without its top has no classifier, nor auxiliary ones; .* with aux_heads",
        ),
        (
            "inception_v1",
            {"input_shape": (64, 64, 3)},
            "inception_v1 with aux_heads needs images of at least 79x79 pixels; got "
            "64x64, so enlarge the images, leave aux_heads out or",
        ),
        (
            "googlenet_bn",
            {"input_shape": (None, None, 3)},
            r"a layer that flattens \(aux1_flatten\) needs images of one size",
        ),
    ],
)
def test_invalid_options(network, arguments, message):
    with pytest.raises(cnnzoo.UsageError, match=message):
        sketch(network, aux_heads=True, **arguments)


def test_a_layer_that_the_trunk_lacks():
    wrong = replace(SPEC, aux_heads=(AuxHead("stage1_pol", mean),))
    with pytest.raises(
        cnnzoo.UsageError, match=r"stage1_pol'; did you mean 'stage1_pool"
    ):
        build(wrong)
