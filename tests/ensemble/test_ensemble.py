"""Ensembles: combination methods, files, invalid arguments."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

import cnnzoo
from cnnzoo import Ensemble
from cnnzoo.calibration import apply_temperature, fit_temperature
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.ensemble import storage
from cnnzoo.ensemble.combine import apply_stack
from cnnzoo.inference import probabilities

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def digits() -> Images:
    """Ninety digits of three classes, that are called a, b and c."""
    every = load_embedded("train")
    rows = np.flatnonzero(np.asarray(every.labels) < 3)[:90]
    return replace(every.take(rows), class_names=NAMES)


def member(seed: int, *, names: tuple[str, ...] = NAMES, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(seed)
    options = {"depth": 1, "width": 8, "include_preprocessing": True, **options}
    return cnnzoo.build("mlp", class_names=names, **options)


@pytest.fixture(scope="module")
def members() -> list[keras.Model]:
    return [member(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def predictions(members, digits) -> np.ndarray:
    return np.stack([probabilities(model, digits) for model in members])


def accuracy(predictions: np.ndarray, digits: Images) -> float:
    return float(np.mean(predictions.argmax(1) == digits.labels))


def test_mean(members, predictions, digits):
    expected = (predictions[0] + predictions[1] + predictions[2]) / 3
    found = Ensemble(members).predict(digits)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.dtype == np.float32


@pytest.mark.parametrize("combine", ["mean", "vote", (1, 2, 3)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_equal_members_are_the_member(combine, count: int, members, predictions, digits):
    combine = combine if isinstance(combine, str) else combine[:count]
    whole = Ensemble([members[0]] * count, combine)
    found = whole.predict(digits)
    if combine == "vote":
        np.testing.assert_array_equal(found.argmax(1), predictions[0].argmax(1))
    else:
        np.testing.assert_allclose(found, predictions[0], rtol=2e-7)
    if combine == "mean":
        np.testing.assert_array_equal(found, predictions[0])


def test_a_vote_and_its_ties():
    said = np.array(
        [
            [[0.5, 0.4, 0.1], [0.9, 0.1, 0.0]],
            [[0.5, 0.4, 0.1], [0.2, 0.8, 0.0]],
            [[0.0, 1.0, 0.0], [0.0, 0.4, 0.6]],
        ]
    )
    whole = Ensemble([member(0)] * 3, "vote")
    found = whole.predict_from(said)
    assert found.argmax(1).tolist() == [0, 1]  # two votes; three with one, by the mean
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert whole.predict_from(said).argmax(1)[0] != said.mean(0).argmax(1)[0]


def test_fixed_weights(members, predictions, digits):
    found = Ensemble(members, [2, 0, 6]).predict(digits)
    expected = 0.25 * predictions[0] + 0.75 * predictions[2]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_fitted_weights_prefer_the_accurate_member(members, digits):
    labels = np.asarray(digits.labels)
    rng = np.random.default_rng(0)
    right = np.full((90, 3), 0.1) + 0.7 * np.eye(3)[labels]
    guesses = rng.dirichlet(np.ones(3), (2, 90))
    said = np.stack([guesses[0], right, guesses[1]])
    whole = Ensemble(members, "weighted").fit(digits, said)
    assert whole.weights is not None
    assert whole.weights[1] > 0.95
    assert whole.weights.sum() == pytest.approx(1)
    best = -np.log(whole.predict_from(said)[np.arange(90), labels]).mean()
    for _ in range(50):  # no others are likelier
        other = np.tensordot(rng.dirichlet(np.ones(3)), said, 1)
        assert -np.log(other[np.arange(90), labels]).mean() >= best - 1e-6


def test_a_stack_corrects_swapped_classes(members, digits):
    """A member that swaps two classes is as useful as any other."""
    labels = np.asarray(digits.labels)
    turned = np.array([1, 0, 2])[labels]
    said = np.full((3, 90, 3), 1 / 3)
    said[0] = 0.05 + 0.85 * np.eye(3)[turned]
    whole = Ensemble(members, "stack").fit(digits, said)
    assert accuracy(whole.predict_from(said), digits) == 1
    assert accuracy(Ensemble(members).predict_from(said), digits) < 0.5
    np.testing.assert_allclose(whole.predict_from(said).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (1, 2)])
def test_a_stack_of_labels_that_lack_a_class(kept, members, digits):
    rows = np.flatnonzero(np.isin(np.asarray(digits.labels), kept))
    some = digits.take(rows)
    said = np.full((3, len(rows), 3), 1 / 3)
    said[0] = 0.05 + 0.85 * np.eye(3)[np.asarray(some.labels)]
    whole = Ensemble(members, "stack").fit(some, said)
    assert accuracy(whole.predict_from(said), some) == 1


def test_the_rows_of_a_stack_are_the_members_classes():
    """Member by member, as a file has them: here the first class of the second of two."""
    found = np.random.default_rng(0).dirichlet([1, 1, 1], (2, 4))
    weights = np.zeros((7, 3))
    weights[3, 2] = 1.0
    share = found[1, :, 0] / (2 + found[1, :, 0])
    np.testing.assert_allclose(apply_stack(found, weights)[:, 2], share)


def test_members_may_differ_in_class_order_and_preprocessing(digits, predictions):
    turned = member(1, names=("c", "a", "b"))
    keras.utils.set_random_seed(2)
    colours = cnnzoo.build(
        "lenet_gap", input_shape=(40, 40, 3), class_names=("b", "c", "a")
    )
    whole = Ensemble([member(0), turned, colours])
    assert whole.class_names == NAMES
    said = [
        predictions[0],
        probabilities(turned, digits)[:, [1, 2, 0]],
        probabilities(colours, digits)[:, [2, 0, 1]],
    ]
    np.testing.assert_allclose(whole.predict(digits), np.mean(said, 0), atol=1e-6)


def test_evaluation_of_members_and_of_the_ensemble_without_each(
    members, predictions, digits
):
    result = Ensemble(members).evaluate(digits)
    assert result.whole.accuracy == accuracy(predictions.mean(0), digits)
    for member, member_predictions in zip(result.members, predictions, strict=True):
        assert member.accuracy == accuracy(member_predictions, digits)
    expected = [accuracy(np.delete(predictions, i, 0).mean(0), digits) for i in range(3)]
    assert result.without == tuple(expected)
    assert Ensemble(members[:1]).evaluate(digits).without == (None,)


@pytest.mark.parametrize("combine", ["mean", "vote", (1, 2, 3), "weighted", "stack"])
def test_files(combine, members, digits, tmp_path: Path):
    whole = Ensemble(members, combine).fit(digits)
    assert (whole.temperature == 1) == (combine in ("vote", "stack"))
    whole.save(tmp_path)
    loaded = Ensemble.load(tmp_path)
    np.testing.assert_allclose(
        loaded.predict(digits), whole.predict(digits), rtol=1e-6, atol=1e-7
    )
    assert loaded.combine == whole.combine
    assert loaded.temperature == whole.temperature


def test_the_temperature_of_a_mean(members, digits, tmp_path: Path):
    """Members that differ are less sure together than each alone."""
    labels, rng = np.asarray(digits.labels), np.random.default_rng(0)
    logits = 2 * np.eye(3)[labels] + rng.normal(size=(3, 90, 3))
    said = softmax(2 * logits, 2)
    whole = Ensemble(members)
    raw = whole.predict_from(said)
    whole.fit(digits, said)
    assert whole.temperature == fit_temperature(raw, labels) < 0.9
    found = whole.predict_from(said)
    np.testing.assert_array_equal(found, apply_temperature(raw, whole.temperature))
    result = whole.evaluate(digits).whole
    np.testing.assert_array_equal(result.probabilities, whole.predict(digits))
    assert result.raw_calibration_error != result.calibration_error
    path = whole.save(tmp_path)
    old = {k: v for k, v in json.loads(path.read_text()).items() if k != "temperature"}
    path.write_text(json.dumps(old))  # as an older version wrote it
    assert Ensemble.load(tmp_path).temperature == 1


def test_a_repeated_member_is_written_once(members, tmp_path: Path):
    Ensemble([members[0], members[1], members[0]]).save(tmp_path)
    assert len(list(tmp_path.glob("member-*.keras"))) == 2
    loaded = Ensemble.load(tmp_path)
    assert loaded.models[0] is loaded.models[2]


@pytest.mark.parametrize(
    "change",
    [
        {"members": []},
        {"members": ["../x"], "sha256": {"../x": "0"}},
        {"members": ["0123456789abcdef"]},
        {"sha256": {}},
        {"combine": "eval"},
        {"weights": [float("nan")]},
        {"weights": [1.0, 1.0, 1.0]},
        {"weights": [-5, 1]},
        {"weights": [0, 0]},
        {"weights": [10**400, 1]},
        {"weights": "x"},
        {"temperature": 0},
        {"temperature": "1"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_altered_metadata_of_an_ensemble(change: dict, members, tmp_path: Path):
    Ensemble(members[:2], (1, 1)).save(tmp_path)
    card = json.loads((tmp_path / "ensemble.json").read_text())
    (tmp_path / "ensemble.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(cnnzoo.WeightFileError, match="get it again"):
        Ensemble.load(tmp_path)


@pytest.mark.parametrize("number", [2, None])
def test_an_ensemble_of_another_version(number, members, tmp_path: Path):
    Ensemble(members[:2]).save(tmp_path)
    path = tmp_path / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))
    message = f"json has format {number}: expected 1, which this version"
    with pytest.raises(cnnzoo.WeightFileError, match=message):
        Ensemble.load(tmp_path)


def test_another_ensemble_replaces_the_first(
    members, digits, tmp_path: Path, monkeypatch
):
    """The first ensemble stays until the second is complete."""
    first = Ensemble(members[:1])
    first.save(tmp_path)

    def full(*_):
        raise cnnzoo.SaveError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("cnnzoo.system.files.write_json", full)
        with pytest.raises(cnnzoo.SaveError):
            Ensemble(members).save(tmp_path)
    np.testing.assert_allclose(
        Ensemble.load(tmp_path).predict(digits), first.predict(digits), atol=1e-7
    )
    Ensemble(members).save(tmp_path)
    assert len(Ensemble.load(tmp_path).models) == 3
    assert len(list(tmp_path.glob("member-*.keras"))) == 3


def test_a_member_of_another_ensemble(members, tmp_path: Path):
    Ensemble(members[:2]).save(tmp_path)
    one, other = tmp_path.glob("member-*.keras")
    one.write_bytes(other.read_bytes())
    with pytest.raises(cnnzoo.WeightFileError, match="another file than was written"):
        Ensemble.load(tmp_path)


def test_other_files_in_the_folder_are_kept(members, tmp_path: Path):
    """A name that only looks like a member's, and nothing half after a full disk."""
    (tmp_path / "member-1.keras").write_bytes(b"mine")
    whole = Ensemble(members[:2])
    whole.save(tmp_path)
    whole.save(tmp_path)
    assert (tmp_path / "member-1.keras").read_bytes() == b"mine"
    assert len(list(tmp_path.glob("member-*.keras"))) == 3


def test_two_processes_save_into_one_folder(members, tmp_path: Path, monkeypatch):
    """The second process waits for the first, and removes none of its members."""
    save, started = storage.save, threading.Event()

    def slowly(*args):
        path = save(*args)
        if not started.is_set():
            started.set()
            second.join(timeout=1)
        return path

    monkeypatch.setattr(storage, "save", slowly)
    second = threading.Thread(
        target=lambda: started.wait() and Ensemble(members[:1]).save(tmp_path)
    )
    second.start()
    Ensemble(members).save(tmp_path)
    second.join()
    assert len(Ensemble.load(tmp_path).models) == 1
    assert len(list(tmp_path.glob("member-*.keras"))) == 1


def test_a_member_without_numbers(members, digits):
    broken = member(7)
    broken.get_layer("predictions").bias.assign([np.nan, 0, 0])
    whole = Ensemble([members[0], broken])
    for call in (whole.predict, whole.evaluate, Ensemble([broken], "weighted").fit):
        with pytest.raises(cnnzoo.UsageError, match="predicts NaN"):
            call(digits)
    predictions = np.full((1, len(digits.labels), 3), np.nan)
    with pytest.raises(cnnzoo.UsageError, match="leave out the member"):
        Ensemble(members[:1], "stack").fit(digits, predictions)


def test_probabilities_are_not_paired_with_a_data_set(members, predictions, digits):
    pairs = tf.data.Dataset.from_tensor_slices((digits.images, digits.labels))
    with pytest.raises(cnnzoo.UsageError, match=r"expected \(images, labels\), found a"):
        Ensemble(members, "weighted").fit(pairs.shuffle(9), predictions)
    whole = Ensemble(members, "weighted").fit(pairs)
    expected = Ensemble(members, "weighted").fit(digits, predictions)
    np.testing.assert_allclose(whole.weights, expected.weights, atol=1e-5)  # pyright: ignore


def test_an_ensemble_with_one_weight(members, digits):
    result = Ensemble(members, (1, 0, 0)).evaluate(digits)
    assert result.without[0] is None
    assert result.without[1] == result.without[2] == result.whole.accuracy


def test_invalid_arguments_are_refused(members, digits):
    rows: list[tuple[Any, str]] = [
        ("median", "unknown combination .or a weight per member. 'median'"),
        ((1, 2), r"must be 3 numbers of at least 0, found \(1, 2\)"),
        ((1, 2, -3), "must be 3 numbers of at least 0"),
        ((0, 0, 0), "are all 0"),
        (["mean"], "must be 3 numbers of at least 0"),
    ]
    for combine, message in rows:
        with pytest.raises(cnnzoo.UsageError, match=message):
            Ensemble(members, combine)
    with pytest.raises(cnnzoo.UsageError, match="needs at least one member"):
        Ensemble([])
    with pytest.raises(cnnzoo.UsageError, match="other classes than 'mlp': a, b, d and"):
        Ensemble([members[0], member(0, names=("a", "b", "d"))])
    with pytest.raises(cnnzoo.UsageError, match="has no weights yet; call fit"):
        Ensemble(members, "stack").predict(digits)
    alike = replace(digits, labels=np.zeros(len(digits), int))
    with pytest.raises(cnnzoo.UsageError, match="of at least two classes, found one"):
        Ensemble(members, "stack").fit(alike)
    with pytest.raises(cnnzoo.UsageError, match=r"shape \(3, 9, 3\), expected \(3, 90"):
        Ensemble(members, "stack").fit(digits, np.zeros((3, 9, 3)))
