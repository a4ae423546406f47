"""The weights in the package agree with their metadata."""

import json
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import cnnzoo
from cnnzoo import Ensemble
from cnnzoo.data.mnist import load_embedded
from cnnzoo.weights.sources import bundled

# Of every tenth digit of the test split; the metadata tell the errors of the whole.
SAMPLE_ERRORS = {
    "lenet5": 7,
    "lenet_gap": 7,
    "small_resnet": 5,
    "small_vgg": 3,
    "very_small_vgg": 3,
}
TOOLS = Path(__file__).parents[2] / "tools"
NAMES = sorted(path.stem for path in bundled.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_metadata_describes_its_file(name: str):
    network, _, tag = name.rpartition("-")
    metadata = bundled.metadata(network, tag)
    path = bundled.path(network, tag)
    assert path is not None
    assert sha256(path.read_bytes()).hexdigest() == metadata["sha256"]
    assert path.stat().st_size == metadata["bytes"]
    assert cnnzoo.model_info(network).parameters == metadata["parameters"]
    model = cnnzoo.build(network, weights=tag)
    assert list(model.cnnzoo.class_names) == metadata["class_names"]
    assert model.cnnzoo.geometry is None  # digits and photographs have one size
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-mnist")])
def test_networks_of_the_package_match_their_metadata(name: str):
    metadata = bundled.metadata(name.removesuffix("-mnist"), "mnist")
    sample = load_embedded("test").take(np.arange(0, 10_000, 10))
    model = cnnzoo.build(metadata["network"], weights="mnist", include_preprocessing=True)
    expected = SAMPLE_ERRORS[metadata["network"]]
    assert cnnzoo.evaluate(model, sample).errors == pytest.approx(expected, abs=1)


@pytest.mark.proof
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-mnist")])
def test_networks_of_the_package_have_the_errors_of_their_metadata(name: str):
    metadata = bundled.metadata(name.removesuffix("-mnist"), "mnist")
    model = cnnzoo.build(metadata["network"], weights="mnist", include_preprocessing=True)
    found = cnnzoo.evaluate(model, load_embedded("test"))
    # A sum in another order may turn one image that two classes nearly share.
    assert found.errors == pytest.approx(metadata["errors_in_float16"], abs=1)


@pytest.mark.proof
def test_the_ensemble_of_the_package_has_the_errors_of_the_page():
    record = json.loads((TOOLS / "trainings.json").read_text())["ensembles"][0]
    result = Ensemble.pretrained("mnist").evaluate(load_embedded("test"))
    assert result.whole.errors == pytest.approx(record["test"]["errors"], abs=1)
    members = [member.errors for member in result.members]
    assert members == pytest.approx(record["test_members"], abs=1)


def test_listed_trainings_are_not_run_again(monkeypatch):
    """A training is recognised by its plan, in whatever folder it ran."""
    monkeypatch.syspath_prepend(str(TOOLS))
    from make_weights import PLAN, PlannedTraining, is_listed

    trainings = json.loads((TOOLS / "trainings.json").read_text())["trainings"]
    assert trainings
    names = [field.name for field in fields(PlannedTraining)]
    for record in trainings:
        plan = PlannedTraining(*(record[name] for name in names))
        assert plan in PLAN
        assert is_listed(plan, trainings)
        assert not is_listed(replace(plan, seed=99), trainings)


def test_other_classes_than_the_tag_has():
    with pytest.warns(
        UserWarning, match="; new predictions/kernel, predictions/bias; sk"
    ):
        model = cnnzoo.LeNetGAP(weights="mnist", classes=3)
    assert model.output_shape == (None, 3)
    assert model.cnnzoo.class_names is None
    trained = cnnzoo.LeNetGAP(weights="mnist")
    for one, two in zip(
        model.get_weights()[:-2], trained.get_weights()[:-2], strict=True
    ):
        np.testing.assert_array_equal(one, two)
