"""What people hold goes into predict, evaluate, Ensemble, Run.fit, kfold and load."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from picture_files import cats_and_dogs
from PIL import Image

import cnnzoo
from cnnzoo.data.inputs.conversion import as_train_validation
from cnnzoo.inference import probabilities
from cnnzoo.train import Recipe, Run, bag, kfold, repeat

SHORT = Recipe(epochs=1, batch_size=8)


def small(names=("cat", "dog")) -> keras.Model:
    return cnnzoo.LeNetGAP(
        input_shape=(16, 16, 3),
        classes=2,
        class_names=names or None,
        include_preprocessing=True,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return cats_and_dogs(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def pair(photos: Path) -> tuple[np.ndarray, np.ndarray]:
    paths = sorted(photos.glob("*/*.png"), key=lambda path: path.stem)
    x = np.stack([cnnzoo.decode(path, (16, 16), 3) for path in paths])
    return x, np.arange(12) % 2


def test_predict_and_ensemble(photos: Path, pair):
    model = small()
    path = photos / "cat" / "00.png"
    expected = probabilities(model, pair[0][:1])
    for form in (path, str(path), Image.open(path), path.read_bytes(), pair[0][0]):
        np.testing.assert_allclose(probabilities(model, form), expected, atol=1e-6)
        found = cnnzoo.Ensemble([model, model]).predict(form)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    (one,) = cnnzoo.predict(model, str(path), top=1)
    assert one.path == str(path)
    assert one.top[0][1] == pytest.approx(expected.max(), abs=1e-6)
    assert [p.path for p in cnnzoo.predict(model, pair[0][:2])] == ["image 0", "image 1"]
    assert len(cnnzoo.predict(model, photos)) == 12
    assert len(cnnzoo.predict(model, f"{photos}/dog/*.png")) == 6
    assert cnnzoo.predict(model, []) == []
    with pytest.raises(cnnzoo.UsageError, match="expected the path of an image"):
        cnnzoo.predict(model, None)


def test_evaluate(photos: Path, pair):
    model = small()
    x, y = pair
    expected = cnnzoo.evaluate(model, photos).accuracy
    names = np.array(["cat", "dog"])[y]
    forms = [(x, y), (x, y[:, None]), (x, np.eye(2)[y]), (x, names), (x, y.tolist())]
    forms += [str(photos), tf.data.Dataset.from_tensor_slices((x, y)).batch(5)]
    for form in forms:
        assert cnnzoo.evaluate(model, form).accuracy == pytest.approx(expected)
        whole = cnnzoo.Ensemble([model, model]).evaluate(form).whole
        assert whole.accuracy == pytest.approx(expected)
    with pytest.raises(cnnzoo.LabelError, match="numbers below 2"):
        cnnzoo.evaluate(model, (x, y + 1))


def test_fit_and_load(photos: Path, pair, tmp_path: Path):
    model = small()
    run = Run(tmp_path / "pair")
    run.fit(model, pair, validation=0.25, recipe=SHORT, callbacks=None)
    assert run.fit(small(), pair, validation=0.25, recipe=SHORT).was_over
    again = cnnzoo.load(tmp_path / "pair")
    np.testing.assert_array_equal(
        probabilities(again, pair[0]), probabilities(model, pair[0])
    )
    assert cnnzoo.load(str(tmp_path / "pair")).cnnzoo.class_names == ("cat", "dog")  # pyright: ignore
    Run(tmp_path / "folder").fit(small(), str(photos), 4, SHORT)
    Run(tmp_path / "both").fit(small(), photos, (pair[0][:2], ["cat", "dog"]), SHORT)
    for train in (photos, (pair[0], np.array(["cat", "dog"])[pair[1]])):
        model = small(())
        Run(tmp_path / "b").fit(model, train, (pair[0][:3], [0, 1, 0]), SHORT)
        assert model.cnnzoo.class_names == ("cat", "dog")  # pyright: ignore
        shutil.rmtree(tmp_path / "b")
    unnamed = as_train_validation(photos, (pair[0][:2], [0, 1]), ("dog", "cat"))[1]
    assert unnamed.class_names == ("dog", "cat")  # the model's come first
    with pytest.raises(cnnzoo.UsageError, match=r"expected \(images, labels\)"):
        Run(tmp_path / "none").fit(small(), None)


def test_load_of_a_folder_without_a_model(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"holds no model\.keras: expected the"):
        cnnzoo.load(tmp_path)


def test_kfold(pair, tmp_path: Path):
    x, y = pair
    found = kfold(small, (x, y[:, None]), tmp_path, SHORT, folds=2)
    assert [report.name for report in found.evaluation.classes] == ["cat", "dog"]
    assert found.evaluation.labels.tolist() == y.tolist()


def test_bag_and_repeat(pair, tmp_path: Path):
    (model,) = bag(small, pair, 0.25, tmp_path, SHORT, members=1)
    assert model.cnnzoo.class_names == ("cat", "dog")
    data = json.loads((tmp_path / "bag-1" / "run.json").read_text())["data"]
    assert [data[part]["images"] for part in ("train", "validation")] == [9, 3]
    _, validation = as_train_validation(pair, 0.25, ("cat", "dog"), seed=0)
    assert data["validation"]["sha256"] == validation.fingerprint()
    found = repeat(small, pair, (pair[0][:4], [0, 1, 0, 1]), tmp_path, SHORT, seeds=[7])
    assert found[0].cnnzoo.class_names == ("cat", "dog")
