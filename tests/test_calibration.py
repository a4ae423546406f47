"""Calibration errors, and the temperature that trainings, files and predictions keep."""

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from scipy.special import softmax
from short_runs import network

import cnnzoo
from cnnzoo.calibration import apply_temperature, calibration_error, fit_temperature
from cnnzoo.cli.main import main
from cnnzoo.data.mnist import load_embedded
from cnnzoo.inference import calibrate, probabilities
from cnnzoo.train import Recipe, Run


def draw(count: int, classes: int, spread: float, seed: int = 0):
    """Logits, and labels that have exactly their probabilities."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(count, classes))
    totals = softmax(logits, 1).cumsum(1)
    return logits, (totals > rng.random((count, 1))).argmax(1)


def test_the_calibration_error_by_hand():
    """Two images of 0.9 of which one is right, and one of 0.6 that is."""
    found = np.array([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    assert calibration_error(found, np.array([0, 0, 1])) == pytest.approx(
        (2 * 0.4 + 1 * 0.4) / 3
    )
    assert calibration_error(np.eye(3), np.arange(3)) == 0
    assert calibration_error(np.eye(3), np.array([1, 2, 0])) == 1


def test_the_calibration_error_by_its_definition():
    logits, labels = draw(500, 4, 2)
    found = softmax(1.5 * logits, 1).astype(np.float32)
    expected = 0.0
    for i in range(15):
        low, high = i / 15, (i + 1) / 15
        rows = [n for n in range(500) if low < float(max(found[n])) <= high]
        if rows:
            right = np.mean([found[n].argmax() == labels[n] for n in rows])
            confidence = np.mean([float(max(found[n])) for n in rows])
            expected += len(rows) / 500 * abs(right - confidence)
    assert expected > 0.05
    assert calibration_error(found, labels) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("temperature", [0.4, 1, 2.5])
def test_a_known_temperature_is_found(temperature: float):
    logits, labels = draw(20_000, 5, 3)
    found = softmax(temperature * logits, 1).astype(np.float32)
    fitted = fit_temperature(found, labels)
    assert fitted == pytest.approx(temperature, rel=0.02)
    calibrated = apply_temperature(found, fitted)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(calibrated, softmax(logits, 1), atol=0.01)
    assert calibration_error(calibrated, labels) < 0.01


def test_few_images_say_little():
    """Also those that are all right, whose likelihood grows up to T = 0."""
    right = np.full((4, 2), [0.9, 0.1])
    assert 0.7 < fit_temperature(right, np.zeros(4, int)) < 1
    assert 0.2 < fit_temperature(np.tile(right, (100, 1)), np.zeros(400, int)) < 0.4
    assert 2 < fit_temperature(right, np.ones(4, int)) < 4
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, int)) == 1


@pytest.mark.parametrize("temperature", [0.05, 0.7, 3, 20])
def test_a_temperature_changes_no_class(temperature: float):
    """Also where probabilities are 0, or as close as float32 has them."""
    logits, _ = draw(1000, 6, 40)
    found = softmax(logits.astype(np.float32), 1)
    assert (found == 0).any()
    close = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    for given in (found, close, np.eye(3)):
        calibrated = apply_temperature(given, temperature)
        np.testing.assert_array_equal(calibrated.argmax(1), given.argmax(1))
        np.testing.assert_allclose(calibrated.sum(1), 1, atol=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training that is unsure, its model, its history, and other digits."""
    digits = load_embedded("train")
    train, validation = digits.take(np.arange(300)), digits.take(np.arange(300, 600))
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(0)
    shape = {"depth": 1, "width": 64, "include_preprocessing": True}
    model = cnnzoo.build("mlp", **shape)
    recipe = Recipe(epochs=4, batch_size=32, loss_options={"label_smoothing": 0.4})
    history = Run(folder).fit(model, train, validation, recipe)
    return folder, model, history, digits.take(np.arange(600, 1200))


def test_a_training_has_a_temperature(trained):
    folder, model, history, others = trained
    temperature = model.cnnzoo.temperature
    assert temperature < 0.8
    found = history.evaluation
    assert found.calibration_error < 0.3 * found.raw_calibration_error
    assert cnnzoo.load(folder).cnnzoo.temperature == temperature
    unseen = cnnzoo.evaluate(cnnzoo.load(folder), others)
    assert unseen.calibration_error < 0.3 * unseen.raw_calibration_error
    raw = model.predict(others.images, verbose=0)
    np.testing.assert_allclose(unseen.raw_probabilities, raw, atol=1e-5)
    np.testing.assert_array_equal(unseen.probabilities.argmax(1), raw.argmax(1))
    np.testing.assert_array_equal(
        unseen.probabilities, apply_temperature(unseen.raw_probabilities, temperature)
    )
    np.testing.assert_array_equal(
        probabilities(model, others, raw=True), unseen.raw_probabilities
    )
    assert unseen.to_dict()["calibration_error"] == unseen.calibration_error
    assert "before the temperature 0." in unseen.summary


def test_the_command_line_uses_it(trained, tmp_path: Path, capsys):
    folder, model, _, others = trained
    picture = tmp_path / "digit.png"
    keras.utils.save_img(picture, others.images[0], scale=False)
    main(["predict", str(picture), "--model", str(folder), "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    expected = probabilities(model, others.take([0])).max()
    assert found["top"][0][1] == pytest.approx(expected, rel=1e-5)


def test_copies_keep_it_and_other_weights_do_not(trained):
    folder, model, *_ = trained
    temperature = model.cnnzoo.temperature
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same.cnnzoo.temperature == temperature
    anew = (
        cnnzoo.reset_classifier(model, 3),
        cnnzoo.adopt(model),
        cnnzoo.build("mlp", depth=1, width=64, weights=model),
    )
    for other in anew:
        assert other.cnnzoo.temperature == 1
    loaded = copy.deepcopy(model)
    cnnzoo.load_weights(loaded, folder / "model.keras")
    assert loaded.cnnzoo.temperature == 1


def test_temperatures_that_cannot_be(trained, tmp_path: Path):
    folder, model, *_ = trained
    with pytest.raises(cnnzoo.UsageError, match="temperature=0: expected a number from"):
        replace(model.cnnzoo, temperature=0)
    with ZipFile(folder / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["cnnzoo.json"])

    def changed(value) -> Path:
        path = tmp_path / "changed.keras"
        more = {} if value is None else {"temperature": value}
        rest = {k: v for k, v in metadata.items() if k != "temperature"}
        members["cnnzoo.json"] = json.dumps({**rest, **more}).encode()
        with ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    for value in (0, -1, float("nan"), float("inf"), "1.5", [1], True, 10**400):
        with pytest.raises(cnnzoo.WeightFileError, match="was altered, so get it again"):
            cnnzoo.load(changed(value))
    assert cnnzoo.load(changed(None)).cnnzoo.temperature == 1  # of an older version


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_other_classifiers_have_none(activation, trained):
    others = trained[-1]
    model = cnnzoo.build("mlp", depth=1, width=4, classifier_activation=activation)
    with pytest.raises(cnnzoo.UsageError, match="expected a classifier by a softmax"):
        calibrate(model, others)


def test_a_sigmoid_unit():
    """Its temperature is that of the logit."""
    model = network(classifier_activation="sigmoid")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (200, 12, 12, 1)).astype(np.uint8)
    raw = probabilities(model, images)
    found = calibrate(model, (images, raw.argmin(1)))  # all of them wrong
    assert model.cnnzoo.temperature > 1.5
    np.testing.assert_array_equal(found.raw_probabilities, raw)
    logits = np.log(raw[:, 1] / raw[:, 0]) / model.cnnzoo.temperature
    np.testing.assert_allclose(
        probabilities(model, images)[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-4
    )
