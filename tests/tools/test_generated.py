"""Files that are computed from the networks must be up to date."""

import json
from dataclasses import fields

import generate
import out_of_fold
import overview
import pages
import pytest
import trainings

from cnnzoo.evaluation import read_predictions
from cnnzoo.models.catalog import SPECS
from cnnzoo.models.index import INDEX, ModelInfo
from cnnzoo.models.proofs import load_proofs
from cnnzoo.zoo import sketch

STALE = "is stale: run `make index` and look at the difference"


@pytest.mark.parametrize("name", SPECS)
def test_golden_structure(name):
    golden = (generate.GOLDEN / f"{name}.txt").read_text()
    assert generate.golden(sketch(SPECS[name])) == golden, f"{name} {STALE}"


@pytest.mark.parametrize("name", SPECS)
def test_index(name):
    rows = {row["name"]: row for row in json.loads(INDEX.read_text())}
    computed = generate.index_row(SPECS[name], sketch(SPECS[name]))
    assert json.loads(json.dumps(computed)) == rows[name], f"index.json {STALE}"


def test_index_holds_the_catalog_and_nothing_else():
    rows = json.loads(INDEX.read_text())
    assert [row["name"] for row in rows] == list(SPECS)
    assert {path.stem for path in generate.GOLDEN.iterdir()} == set(SPECS)
    assert all(set(row) == {field.name for field in fields(ModelInfo)} for row in rows)


def test_readme_table():
    text = generate.README.read_text(encoding="utf-8")
    assert generate.readme(text) == text, f"README.md {STALE}"
    table = text.split(generate.BEGIN)[1].split(generate.END)[0]
    assert table.count("\n| `") == len(SPECS)


def test_pages():
    networks = generate.NETWORKS.read_text(encoding="utf-8")
    assert networks == pages.networks_page(), f"networks.md {STALE}"
    assert networks.count("\n| `") == len(SPECS) >= 45
    assert generate.PICTURE.read_text(encoding="utf-8") == overview.overview(), STALE
    assert generate.PROOFS.read_text(encoding="utf-8") == pages.proofs_page(), STALE
    assert generate.MNIST.read_text(encoding="utf-8") == trainings.page(), STALE


def test_every_network_has_a_proof_of_its_graph_as_it_is():
    proven = {proof.network for proof in load_proofs().proofs}
    assert proven == set(SPECS)
    digests = generate.graph_digests()
    changed = [name for name in SPECS if load_proofs().graphs.get(name) != digests[name]]
    assert not changed, f"run `make proofs`: the graphs of {changed} have changed since"


def test_every_proof_is_within_its_bound():
    for proof in load_proofs().proofs:
        assert 0 <= proof.difference <= proof.bound <= 1e-4, proof


def test_intervals_are_rounded_once():
    """Wilson's is 0.62548 to 0.97232 %, and 0.625 % would become 0.62 %."""
    text = pages.interval_text({"errors": 78, "images": 10_000})
    assert text == "78 of 10,000, 0.63 to 0.97 %"


@pytest.mark.parametrize(("row", "file"), out_of_fold.KEPT.items())
def test_errors_out_of_fold_are_those_of_the_kept_probabilities(row: str, file: str):
    listed = json.loads(trainings.LIST.read_text())["folds"]["rows"]
    [record] = [record for record in listed if record["row"] == row]
    found = read_predictions(out_of_fold.KEPT_PROBABILITIES / f"{file}.npz")
    assert (found.errors, found.images) == (record["errors"], record["images"])
    assert found.error_interval == pytest.approx(record["interval"], abs=1e-3)
