"""Steps per epoch, and losses with options: their numbers, their record, a resume."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from short_runs import RECIPE, Stop, assert_equal, halves, last, network, train

import cnnzoo
from cnnzoo.cli.commands import training
from cnnzoo.cli.parser import make_parser
from cnnzoo.data.augment import Augment
from cnnzoo.data.batches import Batches
from cnnzoo.train import Recipe, compilation, kfold, losses
from cnnzoo.train.losses import choose

OPTIONS = {"label_smoothing": 0.1}
CHANGES = Augment(
    brightness_range=(0.6, 1.4),
    contrast_range=(0.5, 1.5),
    saturation_range=(0.2, 2),
    hue_range=0.3,
    lighting=0.1,
    crop_scale=(0.3, 1),
)
SMOOTH = replace(RECIPE, steps_per_epoch=5, loss_options=OPTIONS, augment=CHANGES)
P = np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
ONE_HOT = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize("name", [None, "categorical_crossentropy"])
def test_label_smoothing(name):
    loss: Any = choose(network(), name, {"label_smoothing": 0.2})
    assert isinstance(loss, keras.Loss)
    expected = -np.log([[0.9, 0.1], [0.7, 0.3]]) @ [0.9, 0.1]  # right class, other class
    np.testing.assert_allclose(losses.per_image(loss)(ONE_HOT, P), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(ONE_HOT, P), expected.mean(), rtol=1e-5)
    rows = losses.targets(halves(6), loss, 2).labels
    assert rows is not None
    assert rows[:2].tolist() == ONE_HOT.tolist()


def test_label_smoothing_of_one_unit_and_of_logits():
    one = network(classes=2, classifier_activation="sigmoid")
    assert one.output_shape == (None, 1)
    loss: Any = choose(one, None, {"label_smoothing": 0.2})
    assert isinstance(loss, keras.Loss)
    found = loss(np.array([[1.0]]), np.array([[0.8]]))
    expected = -0.9 * np.log(0.8) - 0.1 * np.log(0.2)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    loss = choose(network(classifier_activation=None), None, OPTIONS)
    assert isinstance(loss, keras.Loss)
    assert loss.get_config()["from_logits"]


def test_options_of_other_losses():
    loss: Any = choose(network(), "huber", {"delta": 0.05})
    expected = 0.05 * (np.array([0.1, 0.3]) - 0.025)
    found = losses.per_image(loss, {"delta": 0.05})(ONE_HOT, P)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(loss(ONE_HOT, P)) == pytest.approx(expected.mean(), rel=1e-5)
    assert choose(network(), "mse") == "mse"


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (None, {"label_smoothing": 1}, "label_smoothing=1: expected a number from 0"),
        ("mse", OPTIONS, "option of the loss MeanSquaredError 'label_smoothing'"),
        (None, {"from_logits": 1}, "'from_logits'; known: label_smoothing"),
        (None, {"smoothing": 1}, "did you mean 'label_smoothing'"),
    ],
)
def test_options_that_a_loss_lacks(name, given, message):
    with pytest.raises(cnnzoo.UsageError, match=message):
        choose(network(), name, given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps_per_epoch": 0}, "steps_per_epoch=0: expected a whole number"),
        ({"loss_options": {"label_smoothing": "a"}}, "loss_options=.*numbers by name"),
    ],
)
def test_invalid_recipes(change: dict, message: str, tmp_path: Path):
    with pytest.raises(cnnzoo.UsageError, match=message):
        train(tmp_path, Recipe(**change))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [None, 1, 2, 7])
def test_epochs_go_on_where_the_last_one_ended(steps: int | None):
    batches = Batches(halves(10), (12, 12, 1), 4, steps=steps, shuffle=True, seed=1)
    assert len(batches) == (steps or 3)
    passes = [np.random.default_rng([1, n]).permutation(10) for n in range(12)]
    rows = []
    for epoch in range(4):
        batches.epoch = epoch
        rows += [name for i in range(len(batches)) for name in batches.image_names(i)]
    expected = [f"image {row}" for row in np.concatenate(passes)]
    assert rows == expected[: len(rows)]
    assert len(rows) == 4 * (10 if steps is None else 4 * steps)


def test_a_resumed_training_is_bit_equal_and_its_options_are_recorded(tmp_path: Path):
    colour = replace(halves(), images=halves().images.repeat(3, axis=3))

    def run(folder: str, recipe: Recipe = SMOOTH, **options: Any) -> None:
        model = network(input_shape=(12, 12, 3))
        train(tmp_path / folder, recipe, data=colour, model=model, **options)

    run("alone")
    with pytest.raises(RuntimeError, match="the power went"):
        run("killed", callbacks=[Stop(7, RuntimeError)])
    run("killed")
    assert_equal(last(tmp_path / "killed"), last(tmp_path / "alone"))
    steps = SMOOTH.epochs * 5
    assert int(last(tmp_path / "alone")["optimizer/00000"]) == steps
    recipe = json.loads((tmp_path / "alone" / "run.json").read_text())["recipe"]
    assert (recipe["loss_options"], recipe["steps_per_epoch"]) == (OPTIONS, 5)
    other = replace(SMOOTH, loss_options={"label_smoothing": 0.2})
    with pytest.raises(cnnzoo.ResumeMismatchError, match=r"label_smoothing was 0\.1 and"):
        run("alone", other)


def test_the_cosine_schedule_has_the_steps_of_all_epochs():
    model = network()
    recipe = Recipe(epochs=4, steps_per_epoch=25, schedule="cosine", learning_rate=0.1)
    compilation.compile_model(model, recipe, 64)
    schedule = model.optimizer._learning_rate
    assert (schedule.warmup_steps, schedule.decay_steps) == (5, 95)


def test_on_the_command_line():
    words = "train mnist --model mlp --out a --steps-per-epoch 9 --loss-options"
    args = make_parser().parse_args([*words.split(), "label_smoothing=0.1"])
    recipe = training._recipe(args)
    assert (recipe.steps_per_epoch, recipe.loss_options) == (9, OPTIONS)


def test_the_default_batch_is_a_tenth(tmp_path: Path):
    images = {1: 1, 64: 6, 1279: 127, 9999: 128}
    assert {n: Recipe().images_per_step(n) for n in images} == images
    assert Recipe(batch_size=7).images_per_step(64) == 7
    short = Recipe(epochs=1, precision="float32")
    kfold(network, halves(), tmp_path, short, folds=2)
    recorded = json.loads((tmp_path / "fold-1/run.json").read_text())
    images = recorded["data"]["train"]["images"]
    assert images < 30
    assert recorded["recipe"]["batch_size"] == images // 10


def test_a_resumed_run_keeps_its_batch(tmp_path: Path):
    """Its default may have been another one."""
    recipe = replace(RECIPE, batch_size=20)
    first = train(tmp_path, recipe)[1]
    assert train(tmp_path, replace(recipe, batch_size=None))[1] == first
    with pytest.raises(cnnzoo.ResumeMismatchError, match="batch_size was 20 and is 4"):
        train(tmp_path, replace(recipe, batch_size=4))
    with pytest.raises(cnnzoo.UsageError, match="batch_size=0"):
        train(tmp_path, replace(recipe, batch_size=0))
