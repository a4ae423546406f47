"""Effects of a recipe on the numbers of a training, each against numbers by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from short_runs import RECIPE, halves, network

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.train import Recipe, Run
from cnnzoo.train.callbacks import BestCheckpoint, patience
from cnnzoo.train.compilation import compile_model
from cnnzoo.train.ema import EMA

SGD = replace(RECIPE, epochs=1, batch_size=64, optimizer="sgd", patience=None)


def uneven() -> Images:
    """48 images above and 16 below."""
    data = halves(96)
    labels = np.asarray(data.labels)
    rows = [*np.flatnonzero(labels == 0), *np.flatnonzero(labels == 1)[:16]]
    return data.take(np.array(rows))


@pytest.mark.parametrize(("weights", "expected"), [(None, 0.25), ("balanced", 0.0)])
def test_class_weights_reach_the_loss(weights, expected: float, tmp_path: Path):
    """The gradient of a bias is p - y, here 0.5 - 0.75, and 0 where classes are even."""
    model = network(dropout=0.0)
    classifier = model.get_layer("predictions")
    classifier.set_weights([w * 0 for w in classifier.get_weights()])
    recipe = replace(SGD, learning_rate=1.0, class_weights=weights)
    Run(tmp_path).fit(model, uneven(), halves(), recipe)
    np.testing.assert_allclose(classifier.bias.numpy(), [expected, -expected], atol=1e-6)


def test_weight_decay_is_for_kernels_alone():
    model = cnnzoo.build("resnet20", classes=2, activation="prelu")
    recipe = replace(SGD, learning_rate=0.1, weight_decay=0.5)
    compile_model(model, recipe, 64)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape, "float32"))
    model.optimizer.apply([v.value * 0 for v in variables], variables)
    shrunk = {v.path.split("/")[-1]: float(v.numpy().flat[0]) for v in variables}
    assert shrunk == pytest.approx(
        {"kernel": 0.95, "gamma": 1.0, "beta": 1.0, "bias": 1.0, "alpha": 1.0}
    )


@pytest.mark.parametrize(("momentum", "ways"), [(None, (0.1, 0.2)), (0.9, (0.19, 0.461))])
def test_momentum_is_nesterovs(momentum, ways: tuple[float, float]):
    """With a gradient of 1 at a rate of 0.1: 0.1 (1 + 0.9), then 0.1 (1 + 0.9 1.9)."""
    model = network()
    compile_model(model, replace(SGD, learning_rate=0.1, momentum=momentum), 64)
    variables = model.trainable_variables
    start = variables[0].numpy().copy()
    for way in ways:
        model.optimizer.apply([v.value * 0 + 1 for v in variables], variables)
        np.testing.assert_allclose(start - variables[0].numpy(), way, rtol=1e-5)


def test_averages_follow_early_steps_more_closely():
    """Step t moves them by 9 / (t + 9) of the way, in the end by 1 - momentum."""
    model = network()
    ema = EMA(model, 0.99)
    first = model.trainable_variables[0]
    for step, share in ((1, 0.9), (9, 0.5), (10_000, 0.01)):
        first.assign(np.zeros(first.shape, "float32"))
        ema.variables[0].assign(np.ones(first.shape, "float32"))
        ema.update(step)
        np.testing.assert_allclose(ema.variables[0].numpy(), 1 - share, rtol=1e-4)


def test_the_rate_rises_for_a_twentieth_and_falls_to_zero():
    model = network()
    recipe = Recipe(epochs=10, batch_size=16, learning_rate=0.5, schedule="cosine")
    compile_model(model, recipe, 160)  # 100 steps
    rate = model.optimizer._learning_rate
    found = [float(rate(step)) for step in (0, 1, 5, 5 + 95 // 2, 100)]
    np.testing.assert_allclose(found, [0, 0.1, 0.5, 0.254, 0], atol=1e-3)


def test_a_plateau_halves_the_rate_after_a_third_of_the_patience():
    model, recipe = network(), Recipe(learning_rate=0.8, patience=9)
    compile_model(model, recipe, 64)
    callbacks = patience(recipe, "val_loss")
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    rates = []
    for epoch in range(10):
        assert not model.stop_training
        for callback in callbacks:
            callback.on_epoch_end(epoch, {"val_loss": 1.0})
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.8] * 3 + [0.4] * 3 + [0.2] * 3 + [0.1])
    assert model.stop_training


def test_the_first_of_equal_epochs_is_the_best():
    model = network()
    best = BestCheckpoint(None)
    best.set_model(model)
    for epoch, value in enumerate((3.0, 5.0, 7.0)):
        model.get_layer("predictions").bias.assign([value, value])
        best.on_epoch_end(epoch, {"val_loss": [0.5, 0.4, 0.4][epoch]})
    best.restore()
    assert model.get_layer("predictions").bias.numpy().tolist() == [5.0, 5.0]
