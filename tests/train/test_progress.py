"""Whatever takes long shows its progress, in plain lines where stdout is no terminal."""

import keras
import pytest

import cnnzoo
from cnnzoo.data.mnist import load_embedded
from cnnzoo.ensemble import Ensemble
from cnnzoo.inference import evaluate
from cnnzoo.train import Recipe, Run, kfold

RECIPE = Recipe(epochs=2, batch_size=32, precision="float32")
DIGITS = load_embedded("train").split(100, seed=0)[1]


def network() -> keras.Model:
    return cnnzoo.build("mlp", width=8, class_names=DIGITS.class_names)


@pytest.fixture(scope="module")
def models() -> list[keras.Model]:
    return [network(), network()]


def fit(models, folder, **options):
    Run(folder).fit(models[0], DIGITS, DIGITS, RECIPE, **options)


CALLS = {
    "fit": (fit, ["Epoch 1/2", "4/4 - ", "Epoch 2/2", "4/4 - "]),
    "kfold": (
        lambda models, folder, **options: kfold(
            network, DIGITS, folder, RECIPE, folds=2, **options
        ),
        ["Epoch 2/2", "Epoch 2/2"],
    ),
    "ensemble": (
        lambda models, _, **options: Ensemble(models).evaluate(DIGITS, **options),
        ["1/1 - ", "1/1 - "],
    ),
    "evaluate": (
        lambda models, _, **options: evaluate(
            models[0], DIGITS, 20, **{"verbose": "auto", **options}
        ),
        ["5/5 - "],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_progress(name: str, models, tmp_path, capsys):
    call, parts = CALLS[name]
    call(models, tmp_path / "loud")
    shown = capsys.readouterr().out
    for part in parts:
        before, found, shown = shown.partition(part)
        assert found, (before, part)
        assert not set("\r\b\x1b") & set(before + shown)
    call(models, tmp_path / "quiet", verbose=0)
    assert capsys.readouterr().out == ""


def test_a_few_images_get_small_batches(tmp_path, capsys):
    """Ten steps an epoch by default, not one."""
    digits, _ = DIGITS.split(50, seed=0)
    history = Run(tmp_path).fit(network(), digits, DIGITS, None, verbose=2)
    assert len(history["loss"]) == 10
    assert "10/10 - " in capsys.readouterr().out
