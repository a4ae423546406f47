"""Cross-validation and seeds: nothing leaks, and what was killed goes on."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import cnnzoo
from cnnzoo.calibration import apply_temperature
from cnnzoo.data.arrays import Images
from cnnzoo.data.folders import training_files
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.sources import split_folds
from cnnzoo.ensemble import Ensemble
from cnnzoo.evaluation import read_predictions
from cnnzoo.train import Recipe, bag, kfold, members, repeat

RECIPE = Recipe(epochs=30, batch_size=32, learning_rate=1e-2, patience=None)


def network() -> keras.Model:
    return cnnzoo.build(
        "mlp",
        input_shape=(8, 8, 1),
        classes=2,
        depth=1,
        width=64,
        include_preprocessing=True,
    )


@pytest.fixture(scope="module")
def marked() -> Images:
    """Images that tell which row they are, and nothing of their labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (240, 8, 8, 1)).astype(np.uint8)
    return Images(pixels, rng.permutation(240) % 2, ("no", "yes"))


def test_folds_share_no_row(marked):
    parts = list(split_folds(marked, 5, 0))
    tested = np.concatenate([test for _, test in parts])
    assert sorted(tested) == list(range(240))
    labels = np.asarray(marked.labels)
    for train, test in parts:
        assert not set(train) & set(test)
        assert len(train) + len(test) == 240
        assert labels[test].mean() == 0.5  # each class has its share
    others = [test for _, test in split_folds(marked, 5, 1)]
    assert any(set(a) != set(b) for (_, a), b in zip(parts, others, strict=True))


def test_validation_images_are_not_used_for_training(marked, tmp_path: Path):
    """A network that memorises its rows is right by chance on the others."""
    result = kfold(network, marked, tmp_path, RECIPE, folds=3)
    histories = [
        json.loads((tmp_path / f"fold-{i}/history.json").read_text()) for i in (1, 2, 3)
    ]
    assert min(history["accuracy"][-1] for history in histories) > 0.85
    deviation = np.sqrt(0.25 / 240)
    assert abs(result.evaluation.accuracy - 0.5) < 3 * deviation
    assert result.evaluation.images == 240
    assert result.mean == pytest.approx(np.mean(result.accuracies))
    assert result.deviation == pytest.approx(np.std(result.accuracies, ddof=1))
    record = json.loads((tmp_path / "folds.json").read_text())
    assert record["accuracies"] == list(result.accuracies)
    with np.load(tmp_path / "predictions.npz") as arrays:
        np.testing.assert_array_equal(
            arrays["probabilities"], result.evaluation.probabilities
        )
        raw = arrays["raw_probabilities"]
        np.testing.assert_array_equal(arrays["labels"], marked.labels)
        assert tuple(arrays["class_names"]) == marked.class_names
    suspects = json.loads((tmp_path / "label_errors.json").read_text())["label_errors"]
    rows = result.evaluation.likely_label_errors()
    assert [fact["row"] for fact in suspects] == rows.tolist()
    with Image.open(tmp_path / "label_errors.png") as picture:
        assert picture.width > 300
    # Each network has the temperature of its own validation images.
    for i, (_, test) in enumerate(split_folds(marked, 3, 0), start=1):
        temperature = cnnzoo.load(tmp_path / f"fold-{i}").cnnzoo.temperature
        expected = apply_temperature(raw[test], temperature)
        np.testing.assert_array_equal(result.evaluation.probabilities[test], expected)
    read = read_predictions(tmp_path / "predictions.npz")
    assert record["calibration_error"] == read.calibration_error
    assert record["raw_calibration_error"] == read.raw_calibration_error
    again = kfold(network, marked, tmp_path, RECIPE, folds=3)  # all of it is over
    np.testing.assert_array_equal(
        again.evaluation.probabilities, result.evaluation.probabilities
    )


def test_classes_in_another_order(marked, tmp_path: Path):
    """Predictions of the folds are compared in the model's order of classes."""
    bright = (255 * np.asarray(marked.labels)).astype(np.uint8)[:, None, None, None]
    data = replace(marked, images=np.broadcast_to(bright, marked.images.shape))

    def reordered() -> keras.Model:
        shape = {"input_shape": (8, 8, 1), "depth": 1, "width": 8}
        names = ("yes", "no")
        return cnnzoo.build("mlp", **shape, class_names=names, include_preprocessing=True)

    result = kfold(reordered, data, tmp_path, replace(RECIPE, epochs=8), folds=2)
    assert result.mean == 1
    assert result.evaluation.accuracy == 1


def test_folds_of_a_folder(marked, tmp_path: Path):
    for row in range(40):
        label = marked.class_names[marked.labels[row]]
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(marked.images[row].squeeze())
        picture.save(tmp_path / "photos" / label / f"{row}.png")
    found = kfold(
        network, scan(tmp_path / "photos"), tmp_path / "run", Recipe(epochs=1), folds=2
    )
    assert found.evaluation.images == 40
    assert len(found.accuracies) == 2


def test_seeds(marked, tmp_path: Path):
    train, validation = marked.split(0.25, seed=0)
    short = replace(RECIPE, epochs=1)
    one, other = repeat(network, train, validation, tmp_path, short, seeds=(3, 4))
    again = repeat(network, train, validation, tmp_path / "again", short, seeds=(3,))[0]
    kernels = [model.get_weights()[0] for model in (one, other, again)]
    np.testing.assert_array_equal(kernels[0], kernels[2])
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01
    assert {path.name for path in tmp_path.iterdir()} == {"seed-3", "seed-4", "again"}


def test_bootstraps_become_an_ensemble(marked, tmp_path: Path):
    train, validation = marked.split(0.25, seed=0)
    short = replace(RECIPE, epochs=1)
    models = bag(network, train, validation, tmp_path, short, members=2)
    cards = [json.loads((tmp_path / f"bag-{i}/run.json").read_text()) for i in (1, 2)]
    samples = [card["data"]["train"] for card in cards]
    assert [sample["images"] for sample in samples] == [180, 180]
    whole = train.fingerprint()
    assert len({whole, *(sample["sha256"] for sample in samples)}) == 3
    loaded = members(tmp_path)
    for one, other in zip(models, loaded, strict=True):
        np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    assert Ensemble(loaded).predict(validation).shape == (60, 2)
    with pytest.raises(cnnzoo.UsageError, match="no trained networks, such as fold-1"):
        members(tmp_path / "bag-1")


def test_pipes_are_not_waited_for(tmp_path: Path):
    for name in ("predictions.npz", training_files.FILE):
        os.mkfifo(tmp_path / name)
    with pytest.raises(cnnzoo.DatasetError, match="a pipe or a device, not an ordinary"):
        read_predictions(tmp_path / "predictions.npz")
    assert training_files.in_training_set([tmp_path], ["a.png"]) == [None]


def test_members_are_ordered_by_number(marked, tmp_path: Path):
    short = replace(RECIPE, epochs=1)
    train, validation = marked.take(np.arange(40)).split(0.25, seed=0)
    repeat(network, train, validation, tmp_path, short, seeds=(2, 10, 1))
    paths = [tmp_path / f"seed-{number}/model.keras" for number in (1, 2, 10)]
    for path, model in zip(paths, members(tmp_path), strict=True):
        expected = cnnzoo.load(path).get_weights()[0]
        np.testing.assert_array_equal(model.get_weights()[0], expected)
    shutil.rmtree(tmp_path / "seed-2/checkpoints")
    with pytest.raises(cnnzoo.CheckpointError, match=r"2 has model\.keras but no check"):
        members(tmp_path)
    (tmp_path / "bag-1").mkdir()
    with pytest.raises(cnnzoo.UsageError, match="or those of several calls"):
        members(tmp_path)


def test_members_with_unfinished_training(marked, tmp_path: Path):
    def builds_two() -> keras.Model:
        if (tmp_path / "seed-1").exists():
            raise RuntimeError("the power went")
        return network()

    short = replace(RECIPE, epochs=1)
    train, validation = marked.take(np.arange(40)).split(0.25, seed=0)
    (tmp_path / "seed-2").mkdir()
    with pytest.raises(RuntimeError, match="the power went"):
        repeat(builds_two, train, validation, tmp_path, short, seeds=(1, 2))
    with pytest.raises(cnnzoo.UsageError, match="seed-2 has not ended; repeat the call"):
        members(tmp_path)


def test_folds_of_few_images(marked, tmp_path: Path):
    """A tenth of six images lacks classes, so more of them choose the epoch."""
    rows = [np.flatnonzero(np.asarray(marked.labels) == label)[:3] for label in (0, 1)]
    few = marked.take(np.sort(np.concatenate(rows)))
    found = kfold(network, few, tmp_path / "3", replace(RECIPE, epochs=1), folds=3)
    assert found.evaluation.images == 6
    with pytest.raises(cnnzoo.DatasetError, match="a fold leaves too few"):
        kfold(network, few, tmp_path / "2", RECIPE, folds=2)
    assert not (tmp_path / "2").exists()


def test_invalid_arguments_are_refused(marked, tmp_path: Path):
    with pytest.raises(cnnzoo.UsageError, match="cannot make 1 folds"):
        kfold(network, marked, tmp_path, folds=1)
    with pytest.raises(cnnzoo.DatasetError, match="have none"):
        kfold(network, replace(marked, labels=None), tmp_path)
    few = marked.take(np.arange(6))
    with pytest.raises(cnnzoo.DatasetError, match=r"cannot make 5 folds: .* of 'no'"):
        kfold(network, few, tmp_path)
    assert list(tmp_path.iterdir()) == []
