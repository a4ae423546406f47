"""Training, evaluation and prediction on small real data, end to end."""

import json
import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from training import fit

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import add_shifted_copies
from cnnzoo.data.mnist import load_embedded
from cnnzoo.data.pipeline import (
    align_labels,
    load_images,
    make_model_inputs,
)
from cnnzoo.data.sources import open_source
from cnnzoo.data.transforms import mixup
from cnnzoo.errors import ImageDecodeError, SaveError, TrainingError
from cnnzoo.inference import probabilities
from cnnzoo.train import compilation
from cnnzoo.train.callbacks import BestCheckpoint
from cnnzoo.train.recipe import RECIPES, Recipe, check_recipe
from cnnzoo.zoo import build


@pytest.fixture(scope="module")
def digits() -> Images:
    """Six hundred digits of the package, sixty of each."""
    return load_embedded("train").split(0.1, seed=0)[1]


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A network trained on the 600 digits, its folder and its history."""
    keras.utils.set_random_seed(0)
    out = tmp_path_factory.mktemp("run")
    model = build("simple_cnn", filters=(8, 16), pools=2, include_preprocessing=True)
    train, validation = digits.split(0.2, seed=0)
    recipe = Recipe(epochs=6, batch_size=32, learning_rate=3e-3)
    return model, out, fit(model, train, validation, out, recipe)


def test_training_restores_the_best_weights(trained, digits):
    model, out, history = trained
    assert len(history["loss"]) == 6
    assert history["loss"][-1] < history["loss"][0] / 2
    assert max(history["val_accuracy"]) > 0.75
    assert json.loads((out / "history.json").read_text()) == history
    best = cnnzoo.load(out / "model.keras")
    np.testing.assert_array_equal(best.get_weights()[0], model.get_weights()[0])
    assert best.cnnzoo.class_names == tuple("0123456789")
    validation = digits.split(0.2, seed=0)[1]
    accuracy = history["val_accuracy"][int(np.argmin(history["val_loss"]))]
    assert cnnzoo.evaluate(best, validation).accuracy == pytest.approx(accuracy)


def test_evaluation_counts(trained, digits):
    model, _, _ = trained
    result = cnnzoo.evaluate(model, digits)
    predicted = result.probabilities.argmax(1)
    assert result.images == 600
    assert result.accuracy == np.mean(predicted == digits.labels)
    assert result.error_percent == pytest.approx(100 - 100 * result.accuracy)
    assert result.confusion.sum() == 600
    assert result.confusion.trace() == round(600 * result.accuracy)
    assert result.confusion[3, 5] == np.sum((digits.labels == 3) & (predicted == 5))
    row = result.classes[3]
    assert (row.name, row.images) == ("3", 60)
    assert row.recall == pytest.approx(result.confusion[3, 3] / 60)
    assert row.precision == pytest.approx(
        result.confusion[3, 3] / result.confusion[:, 3].sum()
    )


def test_classes_are_matched_by_name(trained, digits):
    """Data with another order of classes get the same predictions."""
    model, _, _ = trained
    turned = replace(
        digits, class_names=tuple("9876543210"), labels=9 - np.asarray(digits.labels)
    )
    assert (
        cnnzoo.evaluate(model, turned).accuracy == cnnzoo.evaluate(model, digits).accuracy
    )
    strange = replace(digits, class_names=(*"012345678", "x"))
    with pytest.raises(cnnzoo.DatasetError, match="not trained on, such as 'x'"):
        cnnzoo.evaluate(model, strange)


def test_predict_files(trained, digits, tmp_path):
    model, _, _ = trained
    paths = []
    for i in range(5):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(digits.images[i].squeeze()).save(paths[-1])
    expected = probabilities(model, digits.images[:5])
    for prediction, row, path in zip(
        cnnzoo.predict(model, paths, top=2), expected, paths, strict=True
    ):
        assert prediction.path == str(path)
        assert [name for name, _ in prediction.top] == [
            str(i) for i in np.argsort(-row)[:2]
        ]
        assert prediction.top[0][1] == pytest.approx(row.max(), abs=1e-6)


def test_decode_predictions():
    rows = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    assert cnnzoo.decode_predictions(rows, ("a", "b", "c"), top=2) == [
        (("b", 0.7), ("c", 0.2)),
        (("a", 0.5), ("b", 0.25)),
    ]
    with pytest.raises(cnnzoo.UsageError, match=r"shape \(n, 2\) .* got \(2, 3\)"):
        cnnzoo.decode_predictions(rows, ("a", "b"))


def test_two_classes_with_one_unit(digits, tmp_path):
    """Zeros and ones: one sigmoid unit, and the two probabilities of a report."""
    keras.utils.set_random_seed(1)
    rows = np.flatnonzero(np.asarray(digits.labels) < 2)
    pair = replace(digits.take(rows), class_names=("0", "1"))
    model = build(
        "lenet_gap",
        classes=2,
        classifier_activation="sigmoid",
        include_preprocessing=True,
    )
    fit(model, pair, pair, tmp_path, Recipe(epochs=5, batch_size=16, learning_rate=3e-3))
    result = cnnzoo.evaluate(model, pair)
    assert result.accuracy > 0.9
    assert result.confusion.shape == (2, 2)
    np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        "mean_squared_error",
        "SparseCategoricalCrossentropy",
    ],
)
def test_losses_of_one_hot_labels(digits, tmp_path, loss):
    keras.utils.set_random_seed(0)
    model = build("mlp", depth=1, width=16, include_preprocessing=True)
    recipe = Recipe(epochs=2, loss=loss, optimizer="sgd", learning_rate=0.5)
    history = fit(model, digits, digits, tmp_path, recipe)
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
    }


def test_mixup_blends_images_and_classes_alike():
    """Images that are their own labels show that both had one share and one partner."""
    labels = np.eye(8, dtype="float32")
    images, blended = mixup(labels.reshape(8, 1, 1, 8), labels, 0.4, 3, 1, 5)
    np.testing.assert_array_equal(images.reshape(8, 8), blended)
    np.testing.assert_allclose(blended.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(blended.sum(0), 1, rtol=1e-6)  # each is a partner once
    assert len(np.unique(blended)) <= 4  # 0, the share, the rest, and 1 for itself
    again, _ = mixup(labels.reshape(8, 1, 1, 8), labels, 0.4, 3, 1, 5)
    np.testing.assert_array_equal(images, again)
    other, _ = mixup(labels.reshape(8, 1, 1, 8), labels, 0.4, 3, 1, 6)
    assert np.abs(images - other).max() > 0


def test_shares_of_mixup_follow_the_beta_distribution():
    """Beta(a, a) has the mean 1 / 2 and the variance 1 / (8 a + 4)."""
    pair = np.eye(2, dtype="float32")
    shares = [mixup(pair, pair, 0.5, 0, 0, batch)[1][0].max() for batch in range(4000)]
    swapped = np.array([share for share in shares if share < 1])
    assert 0.4 < len(swapped) / len(shares) < 0.6  # half are their own partners
    spread = np.mean((swapped - 0.5) ** 2)
    assert spread == pytest.approx(1 / 8, rel=0.1)


def test_training_batches_are_mixed_and_validation_batches_are_not(digits):
    model = build("mlp", depth=1, width=16, include_preprocessing=True)
    plain, recipe = Recipe(loss="categorical_crossentropy"), Recipe(mixup=0.4, seed=3)
    loss = compilation.compile_model(model, recipe, len(digits))
    train_batches, (_, labels_of_validation) = compilation.make_inputs(
        model, loss, recipe, digits, digits
    )
    assert set(np.unique(labels_of_validation)) == {0, 1}
    unmixed, _ = compilation.make_inputs(
        model, plain.loss, replace(plain, seed=3), digits, digits
    )
    for epoch, batch in ((0, 0), (0, 2), (1, 2)):
        train_batches.epoch = unmixed.epoch = epoch
        images, labels = unmixed[batch]
        blended = mixup(images, labels, 0.4, 3, epoch, batch)
        for found, expected in zip(train_batches[batch], blended, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("classes", [10, 2])
def test_mixup_trains_on_shares(digits, tmp_path, classes):
    sigmoid = {"classes": 2, "classifier_activation": "sigmoid"} if classes == 2 else {}
    model = build("mlp", depth=1, width=16, include_preprocessing=True, **sigmoid)
    some = digits.only(digits.class_names[:classes])
    recipe = Recipe(epochs=3, batch_size=16, mixup=0.2)
    history = fit(model, some, some, tmp_path, recipe)
    assert history["loss"][-1] < history["loss"][0]
    assert cnnzoo.evaluate(model, some).accuracy == pytest.approx(
        history["val_accuracy"][int(np.argmin(history["val_loss"]))]
    )


def test_nothing_is_saved_when_the_loss_is_not_finite(digits, tmp_path):
    model = build("mlp", depth=1, width=16)
    recipe = Recipe(epochs=5, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(
        TrainingError, match=r"never finite in 1 epochs.*, so this run left no model"
    ):
        fit(model, digits, digits, tmp_path, recipe)
    written = json.loads((tmp_path / "history.json").read_text())
    assert written["val_loss"] == [None]
    assert not (tmp_path / "model.keras").exists()


def test_a_folder_that_cannot_be_written_is_found_at_once(digits, tmp_path):
    (tmp_path / "file").write_text("x")
    model = build("mlp", depth=1, width=2)
    before = model.get_weights()
    with pytest.raises(SaveError, match="cannot write"):
        fit(model, digits, digits, tmp_path / "file" / "run")
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_validation_may_have_another_order_of_classes_and_lack_some(digits, tmp_path):
    keras.utils.set_random_seed(4)
    labels = np.asarray(digits.labels)
    some = digits.take(np.flatnonzero(labels < 9))
    turned = replace(
        some, class_names=tuple("876543210"), labels=8 - np.asarray(some.labels)
    )
    model = build("mlp", depth=1, width=32, include_preprocessing=True)
    recipe = Recipe(epochs=8, batch_size=32)
    history = fit(model, digits, turned, tmp_path, recipe)
    assert history["val_accuracy"][-1] > 0.7
    strange = replace(some, class_names=(*"01234567", "x"))
    with pytest.raises(cnnzoo.DatasetError, match="not trained on, such as 'x'"):
        fit(model, digits, strange, tmp_path, recipe)


@pytest.mark.parametrize("kind", ["images", "folder"])
def test_preprocessing_outside_the_model_is_applied(kind, digits, photos):
    """The same predictions with preprocessing inside and outside of the model."""
    source = digits if kind == "images" else open_source(str(photos))
    options = {"classes": len(source.class_names), "preprocessing": "samplewise"}
    inside = build("lenet_gap", **options, include_preprocessing=True)
    outside = build("lenet_gap", **options)
    outside.set_weights(inside.get_weights())
    expected = cnnzoo.evaluate(inside, source).probabilities
    found = cnnzoo.evaluate(outside, source).probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    if kind == "images":
        raw = outside.predict(digits.images, verbose=0)
        assert np.abs(raw - expected).max() > 1e-3


def test_a_model_without_class_names_is_evaluated_by_number(photos):
    folder = open_source(str(photos))
    model = build("lenet_gap", classes=3)
    result = cnnzoo.evaluate(model, folder)
    assert [row.name for row in result.classes] == list("147")


def test_a_test_set_may_lack_classes(trained, digits, tmp_path):
    model, _, _ = trained
    for name in "37":
        (tmp_path / name).mkdir()
    rows = np.flatnonzero(np.asarray(digits.labels) == 3)[:4]
    for i in rows:
        Image.fromarray(digits.images[i].squeeze()).save(tmp_path / "3" / f"{i}.png")
    result = cnnzoo.evaluate(model, open_source(str(tmp_path), "test"))
    assert result.confusion.sum(1).tolist() == [0, 0, 0, 4, 0, 0, 0, 0, 0, 0]
    with pytest.raises(cnnzoo.DatasetError, match="images of a class"):
        open_source(str(tmp_path), "train")
    (tmp_path / "t.csv").write_text("label,a\n0,7\n3,8\n")
    assert len(open_source(str(tmp_path / "t.csv"), "test").class_names) == 4
    with pytest.raises(cnnzoo.DatasetError, match="found none for 1"):
        open_source(str(tmp_path / "t.csv"), "train")


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_only_a_lower_loss_is_kept(value, tmp_path):
    best = BestCheckpoint(tmp_path / "m.keras")
    best.set_model(build("mlp", depth=1, width=1))
    best.on_epoch_end(0, {"val_loss": 0.4})
    before = (tmp_path / "m.keras").stat().st_mtime_ns
    best.on_epoch_end(1, {"val_loss": value})
    assert (tmp_path / "m.keras").stat().st_mtime_ns == before
    assert best.best == 0.4
    best.on_epoch_end(2, {"val_loss": 0.3})
    assert (tmp_path / "m.keras").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("change", "recipe", "message"),
    [
        ({"labels": None}, {}, "labelled images are needed"),
        ({"class_names": ("a", "b")}, {}, "the data have 2 classes and 'mlp' 10"),
        ({}, {"optimizer": "adamm"}, "optimizer='adamm': expected a name that Keras has"),
        ({}, {"loss": "crossentropy"}, "Keras has no loss 'crossentropy' for classes"),
        ({}, {"loss": "ctc"}, "Keras has no loss 'ctc' for classes"),
    ],
)
def test_bad_recipes(digits, tmp_path, change, recipe, message):
    with pytest.raises(ValueError, match=message):
        fit(
            build("mlp"),
            replace(digits, **change),
            digits,
            tmp_path,
            Recipe(**recipe),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_optimiser_with_a_weight_decay_of_its_own(digits, tmp_path):
    model = build("mlp", depth=1, width=16, include_preprocessing=True)
    fit(model, digits, digits, tmp_path / "own", Recipe(epochs=1, optimizer="adamw"))
    own = keras.optimizers.AdamW().weight_decay
    card = json.loads((tmp_path / "own" / "run.json").read_text())
    assert card["recipe"]["weight_decay"] is None
    compilation.compile_model(model, Recipe(optimizer="adamw"), len(digits))
    assert model.optimizer.weight_decay == own
    compilation.compile_model(model, Recipe(optimizer="adamw", weight_decay=0.1), 600)
    assert model.optimizer.weight_decay == 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"batch_size": 0},
        {"patience": -5},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-2},
        {"learning_rate": float("nan")},
        {"momentum": 1.0},
        {"averaging": 2.0},
        {"layer_decay": 0},
        {"weight_decay": -1e-4},
        {"start_decay": "much"},
        {"schedule": "cosin"},
        {"schedule": None},
        {"class_weights": "balance"},
    ],
    ids=str,
)
def test_invalid_recipes(change: dict, digits, tmp_path):
    (name,) = change
    with pytest.raises(cnnzoo.UsageError, match=f"cannot train with {name}=.*: expected"):
        fit(build("mlp"), digits, digits, tmp_path, Recipe(**change))
    assert not list(tmp_path.iterdir())


def test_the_original_shears_by_a_tenth_of_a_radian():
    """Keras's shear_range was in radians when the original was written, in 2017."""
    augment = RECIPES["mnist_kkweon"].augment
    assert augment is not None
    assert augment.shear_range == pytest.approx(5.7296, abs=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_the_package_are_valid(name: str):
    check_recipe(RECIPES[name])


def test_losses_that_do_not_fit_the_classifier(digits, tmp_path):
    named = Recipe(loss="sparse_categorical_crossentropy")
    logits = build("mlp", classifier_activation=None)
    with pytest.raises(cnnzoo.UsageError, match="'mlp' gives logits; leave the loss out"):
        fit(logits, digits, digits, tmp_path, named)
    one = build("mlp", classes=2, classifier_activation="sigmoid")
    pair = replace(digits.take(np.flatnonzero(np.asarray(digits.labels) < 2)))
    pair = replace(pair, class_names=("0", "1"))
    with pytest.raises(cnnzoo.UsageError, match="gives one probability"):
        fit(one, pair, pair, tmp_path, named)
    blended = replace(named, mixup=0.2)
    with pytest.raises(cnnzoo.UsageError, match="takes class numbers, and mixup"):
        fit(build("mlp"), digits, digits, tmp_path, blended)
    weighed = Recipe(mixup=0.2, class_weights="balanced")
    with pytest.raises(cnnzoo.UsageError, match="mixup blends images of two"):
        fit(build("mlp"), digits, digits, tmp_path, weighed)
    with pytest.raises(cnnzoo.UsageError, match="expected a number above 0"):
        fit(build("mlp"), digits, digits, tmp_path, Recipe(mixup=0.0))
    with pytest.raises(cnnzoo.UsageError, match="has no classifier to train"):
        fit(build("mlp", include_top=False), digits, digits, tmp_path)
    assert logits.cnnzoo.class_names is None


def test_training_on_logits(digits, tmp_path):
    keras.utils.set_random_seed(6)
    model = build("mlp", classifier_activation=None, depth=1, width=32)
    history = fit(model, digits, digits, tmp_path, Recipe(epochs=4, batch_size=32))
    assert history["val_accuracy"][-1] > 0.7


def test_the_models_own_class_names_and_their_order_stay(digits, tmp_path):
    keras.utils.set_random_seed(6)
    model = build(
        "mlp", class_names="9876543210", depth=1, width=32, include_preprocessing=True
    )
    fit(model, digits, digits, tmp_path, Recipe(epochs=6, batch_size=32))
    assert model.cnnzoo.class_names == tuple("9876543210")
    result = cnnzoo.evaluate(model, digits)
    assert result.accuracy > 0.7
    nines = np.flatnonzero(np.asarray(digits.labels) == 9)
    assert np.mean(result.probabilities[nines].argmax(1) == 0) > 0.5


def test_images_and_folders_may_be_mixed(digits, photos, tmp_path):
    folder = open_source(str(photos))
    rows = np.flatnonzero(np.isin(np.asarray(digits.labels), (1, 4, 7)))
    some = align_labels(digits.take(rows), digits.class_names)
    places = np.searchsorted([1, 4, 7], np.asarray(some.labels))
    some = some.relabel(places, tuple("147"))
    for i, (train, validation) in enumerate(((folder, some), (some, folder))):
        model = build("mlp", classes=3, depth=1, width=8, include_preprocessing=True)
        history = fit(model, train, validation, tmp_path / str(i), Recipe(epochs=1))
        assert np.isfinite(history["val_loss"]).all()


def test_a_model_of_open_size(digits, photos):
    model = build("lenet_gap", input_shape=(None, None, 1))
    assert cnnzoo.evaluate(model, digits).images == 600
    assert cnnzoo.predict(model, []) == []
    with pytest.raises(cnnzoo.UsageError, match=r"no fixed input size.*build it with a"):
        cnnzoo.predict(model, [next(photos.rglob("*.png"))])


def test_labels_without_names(digits):
    with pytest.raises(cnnzoo.DatasetError, match="the label 9 and 0 class names"):
        cnnzoo.evaluate(build("mlp"), replace(digits, class_names=()))


def test_models_without_probabilities(digits):
    features = build("mlp", include_top=False)
    logits = build("mlp", classifier_activation=None)
    for model in (features, logits):
        with pytest.raises(cnnzoo.UsageError, match="gives no probabilities"):
            cnnzoo.evaluate(model, digits)
    with pytest.raises(cnnzoo.DatasetError, match="labelled images are needed"):
        cnnzoo.evaluate(build("mlp"), replace(digits, labels=None))


@pytest.fixture
def photos(digits, tmp_path):
    """Three digits as a folder of class folders of RGB pictures."""
    for name in "147":
        (tmp_path / "photos" / name).mkdir(parents=True)
    for i, label in enumerate(np.asarray(digits.labels)):
        if str(label) in "147":
            picture = Image.fromarray(digits.images[i].squeeze()).convert("RGB")
            picture.save(tmp_path / "photos" / str(label) / f"{i}.png")
    return tmp_path / "photos"


def test_a_folder_of_photos(photos, tmp_path):
    keras.utils.set_random_seed(2)
    folder = open_source(str(photos))
    train, validation = folder.split(0.2, seed=0)
    model = build(
        "lenet_gap", classes=3, input_shape=(20, 20, 3), include_preprocessing=True
    )
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=5e-3)
    history = fit(model, train, validation, tmp_path / "run", recipe)
    assert max(history["val_accuracy"]) > 0.8
    assert cnnzoo.load(tmp_path / "run" / "model.keras").cnnzoo.class_names == tuple(
        "147"
    )
    result = cnnzoo.evaluate(model, folder)
    assert result.confusion.sum(1).tolist() == [60, 60, 60]
    assert result.accuracy > 0.8


def test_a_bad_photo_is_named_from_inside_fit(photos, tmp_path):
    bad = photos / "4" / "bad.png"
    bad.write_bytes(b"no picture")
    folder = open_source(str(photos), depth="names")
    model = build("lenet_gap", classes=3, input_shape=(16, 16, 1))
    with pytest.raises(ImageDecodeError, match=r"4/bad\.png"):
        fit(model, folder, folder, tmp_path / "run", Recipe(epochs=1))
    with pytest.raises(ImageDecodeError, match=r"4/bad\.png"):
        cnnzoo.evaluate(model, folder)


def test_shifted_copies():
    pixels = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    all_of_them = add_shifted_copies(Images(pixels, np.array([3]), tuple("0123")), 1)
    up, left, right, down = all_of_them.images[1:, ..., 0]
    np.testing.assert_array_equal(all_of_them.images[0], pixels[0])
    assert up[0].tolist() == [4, 5, 6, 7]
    assert up[3].tolist() == [0, 0, 0, 0]
    assert down[0].tolist() == [0, 0, 0, 0]
    assert left[0].tolist() == [1, 2, 3, 0]
    assert right[0].tolist() == [0, 0, 1, 2]
    assert np.asarray(all_of_them.labels).tolist() == [3] * 5


def test_fitted_to_a_network():
    grey = Images(np.full((2, 8, 8, 1), 90, np.uint8), np.array([0, 1]), ("a", "b"))
    colour = load_images(grey, (4, 6, 3))
    assert colour.images.shape == (2, 4, 6, 3)
    assert np.all(colour.images == 90)
    assert np.shares_memory(load_images(grey, (8, 8, 1)).images, grey.images)
    for dtype in (np.float32, np.int64):
        other = replace(colour, images=colour.images.astype(dtype))
        assert np.all(load_images(other, (8, 8, 1)).images == 90)
    with pytest.raises(cnnzoo.DatasetError, match="of 1 channels into 4"):
        load_images(grey, (8, 8, 4))


def test_open_source(tmp_path):
    assert len(open_source("mnist", "test")) == 10_000
    with pytest.raises(cnnzoo.DatasetError, match="is no data set: expected mnist"):
        open_source(str(tmp_path / "nothing"))
    (tmp_path / "t.csv").write_text("label,a,b,c,d\n1,0,0,0,9\n0,1,2,3,4\n")
    table = open_source(str(tmp_path / "t.csv"))
    assert isinstance(table, Images)
    assert table.images[0, ..., 0].tolist() == [[0, 0], [0, 9]]
    images, labels = make_model_inputs(table, (2, 2, 1), 8)
    assert images.shape == (2, 2, 2, 1)
    assert np.asarray(labels).tolist() == [1, 0]
