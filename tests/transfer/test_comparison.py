"""Which of several networks suits some images."""

import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo import UsageError
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.transfer import Comparison, assess, compare
from cnnzoo.transfer.cut_points import front, stage_cuts
from cnnzoo.transfer.evidence import score
from cnnzoo.weights.tensors import digest

_, DIGITS = load_embedded("test").split(80, seed=0)


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    keras.utils.set_random_seed(0)
    trained = cnnzoo.build("lenet_gap", weights="mnist")
    return {"random": cnnzoo.build("lenet5"), "trained": trained}


@pytest.fixture(scope="module")
def found(models) -> Comparison:
    with pytest.warns(UserWarning, match="random has weights that nobody trained, since"):
        return compare(models, DIGITS, batch_size=32)


def test_trained_weights_are_before_random_ones(models, found: Comparison):
    best, other = found.networks
    assert (best.name, other.name) == ("trained", "random")
    assert found.best is found.cheapest is best
    assert other.behind > 3 * other.behind_error > 0
    assert other.behind == pytest.approx(best.accuracy - other.accuracy)
    assert (best.behind, best.behind_error) == (0, 0)
    assert best.milliseconds > 0
    assert best.sides == (28, 28)
    last = stage_cuts(models["trained"])[-1]
    trunk = front(models["trained"], [last.name])
    assert best.cut == last.name
    assert best.parameters == trunk.count_params()
    assert best.macs == last.macs
    assert Path(best.weights.source or "").name == "lenet_gap-mnist.safetensors"
    assert best.weights.sha256 == digest(trunk.weights)
    assert other.weights.untrained == ("all biases are zero",)


def test_the_figures_are_those_of_assess(models, found: Comparison):
    """At the cut that it uses, without its random baseline."""
    used = assess(models["random"], DIGITS).used
    network = found.networks[1]
    assert network.used == replace(used, random_accuracies=())
    assert network.accuracy == pytest.approx(used.accuracy)
    assert network.error == pytest.approx(used.error)


def test_the_order_of_the_models_does_not_matter(models, found: Comparison, monkeypatch):
    """And images are read batch by batch, which the progress tells."""
    done, read, load = [], [], Images.load
    monkeypatch.setattr(
        Images, "load", lambda *args: (read.append(len(args[0])), load(*args))[1]
    )
    turned = [models["trained"], models["random"]]
    with pytest.warns(UserWarning, match="lenet5 has weights that nobody trained"):
        again = compare(
            turned, DIGITS, batch_size=32, progress=lambda *args: done.append(args)
        )
    assert max(read) == again.best.batch_size == 32
    assert done[:3] == [("lenet_gap", count, 80) for count in (32, 64, 80)]
    names = {"trained": "lenet_gap", "random": "lenet5"}
    for own, other in zip(found.networks, again.networks, strict=True):
        assert replace(own, name=names[own.name], milliseconds=1) == replace(
            other, milliseconds=1
        )


def test_the_difference_is_paired_by_image():
    """The lost shares are 0, 1, 0 and -1/3 of an image."""
    best, other = np.array([1, 1, 1, 0]), np.array([1, 0, 1, 1 / 3])
    figures = score(other, best)
    assert figures["accuracy"] == pytest.approx(7 / 12)
    assert figures["error"] == pytest.approx(np.sqrt(7 / 12 * 5 / 12 / 4))
    assert figures["behind"] == pytest.approx(1 / 6)
    deviation = np.sqrt((1 / 36 + 25 / 36 + 1 / 36 + 9 / 36) / 4)
    assert figures["behind_error"] == pytest.approx(deviation / 2)


def test_the_text_and_the_picture(found: Comparison):
    header, best, other, *notes = str(found).splitlines()
    assert header.split()[:4] == ["network", "accuracy", "behind", "the"]
    assert best.split()[:2] == ["trained", f"{100 * found.best.accuracy:.1f}"]
    assert other.endswith(f" {found.networks[1].milliseconds:.3g}")
    assert "weights of random: none (random weights), SHA-256 " in notes[4]
    assert "; no network of fewer multiply-adds is within 2 standard err" in notes[-1]
    near = replace(found.networks[1], behind=0.01, behind_error=0.006)
    close = replace(found, networks=(found.best, near))
    assert close.cheapest is near
    assert "; random is within 2 standard errors of it, with 358 k m" in close.notes()[-1]
    assert "the most accurate" not in str(replace(found, networks=(near,)))
    record = json.loads(json.dumps(close.to_dict()))
    assert (record["best"], record["cheapest"]) == ("trained", "random")
    assert record["networks"][0]["weights"]["sha256"] == found.best.weights.sha256
    assert "used" not in record["networks"][0]
    assert found.picture().startswith(b"\x89PNG")


def broken() -> keras.Model:
    model = cnnzoo.build("lenet5", name="broken")
    bias = model.weights[1]
    bias.assign(np.full(bias.shape, np.inf))
    return model


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "expected several, found none; pass a list or a dict"),
        ("vgg16", "expected several, found one str"),
        (["vgg16"], "cannot compare vgg16: expected a Keras model, found a str"),
        ([cnnzoo.build("lenet5")] * 2, "cannot compare lenet5, lenet5: expected a name"),
        ([keras.Sequential([keras.Input((28, 28, 1))])], "does not come from cnnzoo"),
        ([broken()], "cannot compare broken: model 'broken' gives NaN or infinity at"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*nobody trained")
def test_models_that_cannot_be_compared(models, message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        compare(models, DIGITS)


def test_invalid_numbers_and_images(models):
    with pytest.raises(UsageError, match="cannot compare with probed=0"):
        compare(models, DIGITS, probed=0)
    with pytest.raises(UsageError, match="with batch_size=0"):
        compare(models, DIGITS, batch_size=0)
    with pytest.raises(cnnzoo.DatasetError, match="images without labels"):
        compare(models, Images(DIGITS.images, None, ()))
