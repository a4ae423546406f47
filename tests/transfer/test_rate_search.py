"""Learning rates that are tried before one is taken."""

from dataclasses import replace
from math import inf
from pathlib import Path

import keras
import numpy as np
import pytest
from transferring import CLASSES, TRAIN, VALIDATION, quick

import cnnzoo
from cnnzoo.errors import CheckpointError, TrainingError
from cnnzoo.train import Recipe, Run
from cnnzoo.transfer import Phase, fit, plan, rate_search
from cnnzoo.transfer.cases import RATES
from cnnzoo.transfer.rate_search import choose_learning_rate
from cnnzoo.zoo.classifier import reset_classifier

RECIPE = Recipe(epochs=10, batch_size=16, schedule="cosine", precision="float32")


@pytest.fixture
def network(source) -> keras.Model:
    keras.utils.set_random_seed(0)
    return reset_classifier(source, class_names=CLASSES, cut="stage2_pool")


def test_the_better_rate_is_chosen(network, tmp_path, monkeypatch):
    before = [variable.numpy() for variable in network.variables]
    paths = [variable.path for variable in network.variables]
    for rates in ((1e-2, 1e-9), (1e30, 1e-2)):
        folder = tmp_path / str(rates[0])
        assert (
            choose_learning_rate(network, TRAIN, VALIDATION, RECIPE, rates, folder)
            == 1e-2
        )
    after = [variable.numpy() for variable in network.variables[: len(paths)]]
    assert all(map(np.array_equal, before, after))
    monkeypatch.setattr(
        rate_search, "_lowest_loss", lambda *_: pytest.fail("tried again")
    )
    assert choose_learning_rate(network, TRAIN, VALIDATION, RECIPE, rates, folder) == 1e-2
    (folder / rate_search.SEARCH_FILE).write_text("{")
    with pytest.raises(CheckpointError, match=r"lr_search\.json, which is damaged"):
        choose_learning_rate(network, TRAIN, VALIDATION, RECIPE, rates, folder)


def test_no_rate_is_low_enough(network, tmp_path, monkeypatch):
    monkeypatch.setattr(rate_search, "_lowest_loss", lambda *_: inf)
    with pytest.raises(TrainingError, match="none of the learning rates"):
        choose_learning_rate(network, TRAIN, VALIDATION, RECIPE, (1.0, 2.0), tmp_path)


@pytest.mark.parametrize(
    ("epochs", "images", "passes"), [(4, 19, 1), (10, 48, 1), (20, 48, 2), (26, 42, 3)]
)
def test_a_rate_has_a_tenth_of_the_steps(
    epochs: int, images: int, passes: int, network, tmp_path, monkeypatch
):
    trainings = []

    def note(self, model, train, validation, recipe):
        trainings.append((len(train), recipe.epochs, recipe.learning_rate))
        return {"val_loss": [float("nan"), 3.0, 2.0]}

    monkeypatch.setattr(Run, "fit", note)
    recipe = replace(RECIPE, epochs=epochs)
    choose_learning_rate(network, TRAIN, VALIDATION, recipe, (0.1, 0.2), tmp_path)
    assert trainings == [(images, passes, 0.1), (images, passes, 0.2)]


def test_cases_2_and_4_search_the_rate():
    assert plan(2).phases[-1].rates == RATES
    assert plan(4).phases[-1].rates == RATES[1:]
    assert "adam at the best of 0.0003, 0.001" in str(plan(4))
    again = plan(4)
    again.phases[-1].learning_rate = 2e-5
    assert again.phases[-1].rates == (2e-5,)
    assert "adam at 2e-05" in str(again)


def test_rates_are_not_tried_on_features(source):
    requested = plan(1)
    requested.phases[0].learning_rate = (0.1, 0.2)
    with pytest.raises(cnnzoo.UsageError, match=r"the learning rates \(0.1, 0.2\)"):
        fit(source, TRAIN, VALIDATION, requested)


def test_a_kill_after_the_search_changes_nothing(source, tmp_path: Path, monkeypatch):
    requested = quick(2)
    requested.phases[1] = Phase(
        name="whole", learning_rate=(1e-9, 1e-3), epochs=2, batch_size=16, guarded=False
    )
    whole = fit(source, TRAIN, VALIDATION, requested, folder=tmp_path / "whole")
    assert whole.phases[1].learning_rate == 1e-3
    folder = tmp_path / "killed"
    train = Run.fit

    def killed(self, *args, **options):
        if self.folder.is_relative_to(folder):
            raise KeyboardInterrupt
        return train(self, *args, **options)

    monkeypatch.setattr(Run, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(source, TRAIN, VALIDATION, requested, folder=folder)
    monkeypatch.undo()
    assert (folder / "2-whole" / rate_search.SEARCH_FILE).exists()
    again = fit(source, TRAIN, VALIDATION, requested, folder=folder)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
