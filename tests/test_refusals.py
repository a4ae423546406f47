"""Arguments and data that would give a wrong result without a word, and are refused."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from PIL import Image
from short_runs import RECIPE, halves, network

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.errors import CnnzooError, LabelError, SaveError, UsageError
from cnnzoo.evaluation import evaluate_probabilities
from cnnzoo.inference import decode_predictions, probabilities
from cnnzoo.train import Checkpoint, Recipe, Run, bag, kfold, repeat

DATA = halves()
X = DATA.images


def named(*names: str) -> Images:
    return DATA.relabel(np.asarray(DATA.labels), names)


def overflowing(name: str = "mlp") -> keras.Model:
    """A network with finite weights, which are too large for finite answers."""
    model = cnnzoo.build(name, classes=2, input_shape=(12, 12, 1))
    model.set_weights([np.full(w.shape, 1e30, w.dtype) for w in model.get_weights()])
    return model


def stock(units: int) -> keras.Model:
    """A model that Keras alone made."""
    images = keras.Input((12, 12, 1))
    flat = keras.layers.Flatten()(images)
    return keras.Model(images, keras.layers.Dense(units, "softmax")(flat))


def nan_weights() -> keras.Model:
    model = network()
    model.weights[0].assign(model.weights[0] * np.nan)
    return model


def fit(folder: Path, recipe: Recipe = RECIPE, **more):
    return Run(folder).fit(network(), DATA, DATA, recipe, **more)


def schedule(callback: type, **options) -> Callable:
    recipe = Recipe(epochs=1, schedule="cosine")
    return lambda f: fit(f, recipe, callbacks=[callback(**options)])


REFUSED: dict[str, tuple[Callable, type[CnnzooError], str]] = {
    "evaluate: NaN": (
        lambda f: cnnzoo.evaluate(overflowing(), DATA),
        UsageError,
        "predicts NaN for 64 of 64 images, such as 'image 0'",
    ),
    "predict: NaN": (
        lambda f: cnnzoo.predict(overflowing(), X[:1]),
        UsageError,
        "predicts NaN for 1 of 1 images",
    ),
    "save: NaN": (
        lambda f: cnnzoo.save(nan_weights(), f / "m.keras"),
        SaveError,
        "weights that hold NaN or infinity, such as .*, so nothing was written",
    ),
    "save_weights: NaN": (
        lambda f: cnnzoo.save_weights(nan_weights(), f / "m.safetensors"),
        SaveError,
        "NaN or infinity",
    ),
    "evaluate: a name twice": (
        lambda f: cnnzoo.evaluate(network(), named("a", "a")),
        LabelError,
        "two of 2 classes have the name 'a'",
    ),
    "build: a name twice": (
        lambda f: network(classes=None, class_names=("a", "a")),
        LabelError,
        "two of 2 classes have the name 'a'",
    ),
    "fit: a name twice": (
        lambda f: Run(f).fit(network(), named("a", "a"), DATA, RECIPE),
        LabelError,
        "two of 2 classes have the name 'a'",
    ),
    "build: one class": (
        lambda f: network(classes=1),
        UsageError,
        "one class and a softmax always answers 1.0",
    ),
    "build: classes without a top": (
        lambda f: network(include_top=False, classes=2),
        UsageError,
        "without its top has no classifier, .* with classes, so leave",
    ),
    "predict: top": (
        lambda f: cnnzoo.predict(network(), X[:1], top=-1),
        UsageError,
        "top=-1: expected a whole number of at least 1",
    ),
    "evaluate: batch size": (
        lambda f: cnnzoo.evaluate(network(), DATA, batch_size=0),
        UsageError,
        "batch_size=0: expected a whole number of at least 1",
    ),
    "probabilities: no images": (
        lambda f: probabilities(network(), X[:0]),
        UsageError,
        "there are no images",
    ),
    "kfold: a model": (
        lambda f: kfold(network(), DATA, f, RECIPE, folds=2),
        UsageError,
        "each training needs a new network; got the model 'mlp'",
    ),
    "kfold: a model, and a pair": (
        lambda f: kfold(network(), (X, DATA.labels), f, RECIPE, folds=2),
        UsageError,
        "each training needs a new network; got the model 'mlp'",
    ),
    "repeat: a model, and a pair": (
        lambda f: repeat(network(), (X, DATA.labels), 0.2, f, RECIPE),
        UsageError,
        "each training needs a new network; got the model 'mlp'",
    ),
    "fit: a loss object": (
        lambda f: fit(f, Recipe(loss=keras.losses.CategoricalCrossentropy())),  # pyright: ignore
        UsageError,
        "loss=<.*: expected Keras's name of a loss, whose options go into loss_options",
    ),
    "fit: the hue of grey images": (
        lambda f: fit(f, Recipe(augment=Augment(hue_range=0.1))),
        UsageError,
        "images with 1 channels: expected 3, so leave these changes out",
    ),
    "fit: two plateaus": (
        lambda f: fit(f, callbacks=[ReduceLROnPlateau()]),
        UsageError,
        "ReduceLROnPlateau sets a learning rate that the schedule 'plateau' of the rec",
    ),
    "fit: a callback": (
        lambda f: fit(f, callbacks=keras.callbacks.History()),
        UsageError,
        r"callbacks are a list; got a History, so pass \[callback\]",
    ),
    "fit: a function among the callbacks": (
        lambda f: fit(f, callbacks=[print]),
        UsageError,
        "objects of keras.callbacks; got <built-in function print>, so make",
    ),
    "fit: a class among the callbacks": (
        lambda f: fit(f, callbacks=[keras.callbacks.TerminateOnNaN]),
        UsageError,
        "objects of keras.callbacks; got <class",
    ),
    "Checkpoint: a callback": (
        lambda f: Checkpoint(f, callbacks=keras.callbacks.EarlyStopping()),  # pyright: ignore
        UsageError,
        r"callbacks are a list; got a EarlyStopping, so pass \[callback\]",
    ),
    "adopt: a name twice": (
        lambda f: cnnzoo.adopt(stock(2), ("a", "a")),
        LabelError,
        "two of 2 classes have the name 'a'",
    ),
    "adopt: one class": (
        lambda f: cnnzoo.adopt(stock(1)),
        UsageError,
        "ends in one unit and a softmax, which always answers 1.0",
    ),
    "build: a name with a slash": (
        lambda f: cnnzoo.build("lenet5", name="a/b"),
        UsageError,
        "name='a/b': expected a text without /",
    ),
    "save: a name with NUL": (
        lambda f: cnnzoo.save(network(), f / "a\0b.keras"),
        SaveError,
        "no file name may have a NUL in it",
    ),
    "build: pooling beside a top": (
        lambda f: cnnzoo.build("lenet_gap", pooling="max"),
        UsageError,
        "with its top pools as its head does; got pooling='max'",
    ),
    "predict: top of no images": (
        lambda f: cnnzoo.predict(network(), [], top=0),
        UsageError,
        "top=0: expected a whole number of at least 1",
    ),
    "assess: NaN": (
        lambda f: cnnzoo.transfer.assess(overflowing("lenet_gap"), DATA),
        UsageError,
        "model 'lenet_gap' gives NaN or infinity at ",
    ),
    "decode_predictions: NaN": (
        lambda f: decode_predictions(np.full((2, 3), np.nan), "abc"),
        UsageError,
        "probabilities of 2 of 2 images are NaN or infinite",
    ),
    "evaluate_probabilities: NaN": (
        lambda f: evaluate_probabilities(np.diag([np.nan, 1.0]), X[:2, 0, 0, 0], "ab"),
        UsageError,
        "probabilities of 1 of 2 images are NaN or infinite",
    ),
    "fit: a rate beside a schedule": (
        schedule(LearningRateScheduler, schedule=lambda epoch: 1e-3),
        UsageError,
        "LearningRateScheduler sets a learning rate that the schedule 'cosine'",
    ),
    "fit: a plateau beside a schedule": (
        schedule(ReduceLROnPlateau),
        UsageError,
        "ReduceLROnPlateau sets a learning rate",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path):
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        call(tmp_path)
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize("function", [kfold, repeat, bag])
def test_one_network_for_every_training(function: Callable, tmp_path: Path):
    """On labels of pure chance it would remember the images of the other folds."""
    same, recipe = network(), Recipe(epochs=1, batch_size=16, precision="float32")
    data = (DATA,) if function is kfold else (DATA, DATA)
    with pytest.raises(UsageError, match="has been trained already"):
        function(lambda: same, *data, tmp_path, recipe)


def test_classes_without_training_images(tmp_path: Path):
    rows = np.flatnonzero(np.asarray(DATA.labels) == 0)
    with pytest.warns(UserWarning, match="1 of 2 classes have no training image.*below"):
        Run(tmp_path).fit(network(), DATA.take(rows), DATA, RECIPE)


def test_frozen_layers_stay_frozen_in_a_file(tmp_path: Path):
    model = network()
    cnnzoo.transfer.freeze(model, until="features")
    frozen = [layer.name for layer in model.layers if not layer.trainable]
    loaded = cnnzoo.load(cnnzoo.save(model, tmp_path / "m.keras"))
    assert frozen
    assert [layer.name for layer in loaded.layers if not layer.trainable] == frozen
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def test_a_placeholder_is_no_image(tmp_path: Path):
    """Among a hundred photographs, a single GIF is a sign that one is missing."""
    for number in range(120):
        path = tmp_path / f"{'ab'[number % 2]}/{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    Image.new("L", (8, 8)).save(tmp_path / "a/imageNotFound.gif")
    kept = cnnzoo.scan(tmp_path)
    assert kept.report.rare == ("a/imageNotFound.gif",)
    left = cnnzoo.scan(tmp_path, on_bad="skip")
    assert (len(kept), len(left)) == (121, 120)
    reason = "of a format that nearly no other file has"
    assert left.report.skipped == (("a/imageNotFound.gif", reason),)
    first, second = Image.new("L", (8, 8), 7), Image.new("L", (8, 8), 9)
    first.save(tmp_path / "a/0.jpg", "MPO", save_all=True, append_images=[second])
    (tmp_path / "c").mkdir()
    Image.new("L", (8, 8), 5).save(tmp_path / "c/all.png")
    kept, left = cnnzoo.scan(tmp_path), cnnzoo.scan(tmp_path, on_bad="skip")
    assert kept.report.rare == ("a/imageNotFound.gif", "c/all.png")
    assert kept.report.formats["MPO"] == 1
    assert left.report.skipped == (("a/imageNotFound.gif", reason),)
    assert left.class_names == ("a", "b", "c")
