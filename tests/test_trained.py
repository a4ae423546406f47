"""The weights in the package: what their cards tell is so."""

from hashlib import sha256

import numpy as np
import pytest

import cnnzoo
from cnnzoo.data.mnist import load_embedded
from cnnzoo.weights import packaged

CARDS = sorted(path.stem for path in packaged.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", CARDS)
def test_a_card_tells_of_its_file(name: str):
    network, _, tag = name.rpartition("-")
    card = packaged.card(network, tag)
    path = packaged.path(network, tag)
    assert path is not None
    assert sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size == card["bytes"]
    assert cnnzoo.model_info(network).parameters == card["parameters"]
    model = cnnzoo.build(network, weights=tag)
    assert list(model.cnnzoo.class_names) == card["class_names"]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("name", [name for name in CARDS if name.endswith("-mnist")])
def test_networks_of_the_package_read_as_their_cards_say(name: str):
    """All that they misread of a sample is no more than they misread of the whole."""
    card = packaged.card(name.removesuffix("-mnist"), "mnist")
    sample = load_embedded("test").take(np.arange(0, 10_000, 10))
    model = cnnzoo.build(card["network"], weights="mnist", include_preprocessing=True)
    assert cnnzoo.evaluate(model, sample).errors <= card["errors_in_float16"]


@pytest.mark.proof
@pytest.mark.parametrize("name", [name for name in CARDS if name.endswith("-mnist")])
def test_networks_of_the_package_have_the_errors_of_their_cards(name: str):
    card = packaged.card(name.removesuffix("-mnist"), "mnist")
    model = cnnzoo.build(card["network"], weights="mnist", include_preprocessing=True)
    found = cnnzoo.evaluate(model, load_embedded("test"))
    # A sum in another order may turn one image that two classes nearly share.
    assert found.errors == pytest.approx(card["errors_in_float16"], abs=1)
