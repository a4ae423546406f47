"""The parts of the benchmarks: networks, turns, ratios, goals, pages. No timing."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from transferring import gratings

from benchmarks import (
    __main__ as command,
    alternate,
    machine,
    page,
    peers_keras,
    pictures,
    ratios,
    transfer_controls,
    transfer_page,
)
from benchmarks.contest import Contender, Goal, Row
from benchmarks.results import Measurement, Results, dumps, load
from benchmarks.rows import GROWTH_ROWS, LRN, ROWS, TRAINING, select_rows
from benchmarks.task import Work
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.models.index import model_info
from cnnzoo.transfer import assess

MACHINE = {
    "cpu": "A CPU",
    "flags": ["avx2"],
    "matrix_units": False,
    "cores": 2,
    "memory_bytes": 8 << 30,
    "system": "Linux 1",
    "python": "3.11.1",
    "load": 0.1,
}
CONTENDERS = """
from benchmarks.task import Task

def logger(name):
    def run():
        with open({path!r}, "a") as file:
            file.write(name + " ")
        print("a library's chatter")
    return run

def a(work):
    return Task(logger("a"), {{"threads": work.batch}})

def b(work):
    return Task(logger("b"), {{}})

def broken(work):
    raise ValueError("no such thing\\nsecond line")

def gone(work):
    import os
    os._exit(7)

def parted(work):
    return Task(lambda: {{"one": 1.0, "two": 2.0}}, {{}})
"""


def results_of(**rows: dict[str, Measurement]) -> Results:
    return Results("make bench", "2025-01-02", 5, 25.0, MACHINE, rows)


def measurement(
    *seconds: float, peak: int = 0, precision: str = "float32"
) -> Measurement:
    facts = {"precision": precision, "threads": 2, "versions": {"keras": "3.15.1"}}
    return Measurement(seconds, peak_bytes=peak, facts=facts)


@pytest.mark.parametrize("name", peers_keras.NETWORKS)
def test_the_keras_peer_has_our_parameters(name):
    info = model_info(name)
    with init_empty_weights():
        peer = peers_keras.NETWORKS[name](info.input_shape, info.classes)
    assert peer.count_params() == info.parameters
    trainable = sum(weight.shape.num_elements() for weight in peer.trainable_weights)
    assert trainable == info.trainable


@pytest.mark.parametrize("name", peers_keras.NETWORKS)
def test_the_torch_peer_has_our_parameters(name):
    torch = pytest.importorskip("torch")
    from benchmarks import peers_torch, train_torch

    info = model_info(name)
    with torch.device("meta"):
        peer = peers_torch.NETWORKS[name](info.input_shape, info.classes)
        height, width, channels = info.input_shape
        outputs = peer(torch.zeros(2, channels, height, width))
    assert outputs.shape == (2, info.classes)
    assert train_torch.parameters(peer) == info.parameters
    trainable = sum(tensor.numel() for tensor in peer.parameters())
    assert trainable == info.trainable


def test_every_network_of_the_training_rows_has_peers():
    networks = {row.work.network for row in TRAINING}
    assert networks == set(peers_keras.NETWORKS)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_names_in_a_row_exist(row: Row):
    names = [contender.name for contender in row.contenders]
    for goal in row.goals:
        assert goal.ours in names
        assert set(goal.against) <= set(names)
    for contender in row.contenders:
        module, function = contender.prepare.split(":")
        if module != "benchmarks.train_torch":
            assert callable(getattr(import_module(module), function))
    if row.work.network:
        assert model_info(row.work.network).classes == row.work.classes


def test_rows_are_selected_by_name_and_group():
    assert select_rows([]) == list(ROWS.values())
    assert [row.name for row in select_rows(["lrn", "small_vgg"])] == ["small_vgg", "lrn"]
    assert select_rows(["training"]) == list(TRAINING)
    assert select_rows(["growth"]) == list(GROWTH_ROWS)
    with pytest.raises(KeyError, match=r"no row or group vgg; there are .*small_vgg"):
        select_rows(["vgg"])


@pytest.fixture
def contenders(tmp_path: Path):
    """`contenders("a", "b")`, and the file in which they log their runs."""
    (tmp_path / "fake.py").write_text(CONTENDERS.format(path=str(tmp_path / "runs")))

    def named(*names: str) -> tuple[Contender, ...]:
        env = {"PYTHONPATH": str(tmp_path)}
        return tuple(Contender(name, name, f"fake:{name}", env) for name in names)

    return named


def measure(contenders: tuple[Contender, ...], folder: Path, rounds: int = 2, **work):
    row = Row("row", "", "", Work(**work), contenders)
    lines: list[str] = []
    return alternate.measure(row, row.work, rounds, folder, lines.append), lines


def test_contenders_take_turns_in_alternating_order(contenders, tmp_path):
    found, lines = measure(contenders("a", "b"), tmp_path, rounds=3, warm_ups=1)
    assert (tmp_path / "runs").read_text().split() == list("ab" + "ab" + "ba" + "ab")
    assert lines == ["  a: ready", "  b: ready"]
    assert [len(one.seconds) for one in found.values()] == [3, 3]
    assert all(one.peak_bytes > 1 << 20 for one in found.values())
    assert found["a"].facts == {"threads": 128}
    assert "chatter" in (tmp_path / "row" / "a.log").read_text()


def test_after_an_error_the_other_contenders_continue(contenders, tmp_path):
    found, lines = measure(contenders("broken", "gone", "a"), tmp_path, warm_ups=0)
    assert found["broken"].error == "ValueError: no such thing"
    assert found["gone"].error == "its process ended with code 7"
    assert lines[0] == "  broken: ValueError: no such thing"
    assert len(found["a"].seconds) == 2
    assert "second line" in (tmp_path / "row" / "broken.log").read_text()


def test_parts_are_kept_round_by_round(contenders, tmp_path):
    found, _ = measure(contenders("parted"), tmp_path)
    assert found["parted"].parts == {"one": [1.0, 1.0], "two": [2.0, 2.0]}


def test_ratio_of_medians_and_its_spread():
    assert ratios.ratio([2, 4, 9], [1, 2, 3]) == ratios.Ratio(2.0, 2.0, 3.0)
    results = results_of(
        row={"cnnzoo": measurement(1, 1, 4), "keras": measurement(3, 2, 2)}
    )
    assert ratios.speedup(results, "row", "cnnzoo", "keras") == ratios.Ratio(2, 0.5, 3)
    assert ratios.time_share(results, "row", "cnnzoo", "keras") == ratios.Ratio(
        0.5, 1 / 3, 2
    )
    assert ratios.speedup(results, "row", "cnnzoo", "jax") is None


def test_the_fastest_contender_counts_and_one_without_a_time_does_not():
    results = results_of(
        row={
            "a": measurement(3, 3),
            "b": measurement(2, 2),
            "c": Measurement(error="no compiler"),
        }
    )
    assert ratios.fastest(results, "row", ("a", "b", "c")) == "b"
    assert ratios.fastest(results, "row", ("c",)) is None


def test_the_part_with_the_largest_share_counts():
    ours = Measurement((3, 3), {"VGG16": [1, 1], "ResNet50": [2, 2]})
    theirs = Measurement((3, 3), {"VGG16": [2, 2], "ResNet50": [1, 1]})
    results = results_of(build={"cnnzoo": ours, "keras": theirs})
    share = ratios.time_share(results, "build", "cnnzoo", "keras")
    assert share == ratios.Ratio(2, 2, 2)


@pytest.mark.parametrize(
    ("value", "at_most", "matrix_units", "has_units", "words"),
    [
        (3.0, False, True, False, "**reached**"),
        (2.9, False, True, True, "missed"),
        (2.9, False, False, False, "missed"),
        (2.9, False, True, False, "missed; set for matrix units, which this CPU lacks"),
        (3.1, True, False, False, "missed"),
        (3.0, True, False, False, "**reached**"),
        (None, False, True, False, "not measured"),
    ],
)
def test_verdicts(value, at_most, matrix_units, has_units, words):
    goal = Goal(("keras",), "", 3.0, at_most=at_most, matrix_units=matrix_units)
    assert ratios.verdict(value, goal, {"matrix_units": has_units}) == words


def test_share_of_the_matrix_products_rate():
    """2 * 4096^3 FLOP in 0.1 s are 1.37 TFLOP/s; a step of 128 has 152 GFLOP."""
    row = ROWS["small_vgg"]
    macs = model_info("small_vgg").macs
    results = results_of(
        small_vgg={"cnnzoo": measurement(1.0)}, matmul={"float32": measurement(0.1)}
    )
    assert ratios.product_rate(results, "float32") == pytest.approx(1.374e12, rel=1e-3)
    assert ratios.product_rate(results, "bfloat16") is None
    assert ratios.flops(row, macs) == 6 * 128 * macs
    share = ratios.machine_share(results, row, row.contenders[0], macs)
    assert share == pytest.approx(0.1108, rel=1e-3)


@pytest.fixture
def few() -> Results:
    """Results of a run of a few rows."""
    mega = 1_000_000
    training = {
        "cnnzoo": measurement(0.2, 0.2, 0.25, peak=900 * mega, precision="bfloat16"),
        "keras": measurement(0.5, 0.6, 0.6, peak=1000 * mega),
        "keras-jax": Measurement(error="MemoryError: too much"),
        "torch-float32": measurement(0.6, 0.6, 0.6, peak=500 * mega),
        "torch-bfloat16": measurement(0.4, 0.4, 0.4, peak=500 * mega),
        "torch-bfloat16-compiled": measurement(0.3, 0.3, 0.3, peak=500 * mega),
    }
    return results_of(
        small_vgg=training,
        small_vgg_avx2={
            "cnnzoo": measurement(0.5, 0.5, peak=1100 * mega),
            "keras": measurement(0.6, 0.6, peak=1000 * mega),
        },
        lrn={"cnnzoo": measurement(0.1, 0.1), "tf.nn": measurement(0.15, 0.15)},
        growth_batch_1={"cnnzoo": measurement(0.01, peak=700 * mega)},
        growth_batch_8={"cnnzoo": measurement(0.02, peak=800 * mega)},
    )


def test_results_are_equal_after_a_round_trip(few, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(dumps(few))
    assert dumps(load(path)) == dumps(few)
    assert load(path).find("small_vgg", "keras-jax") is None


def test_table_of_goals(few):
    lines = page.goal_table(few).splitlines()
    assert lines[2:] == [
        "| SmallVGG training, batch 128 | stock Keras `fit`, float32 | at least 3x, "
        "with matrix units | 3.00x (2.40 to 3.00) | **reached** |",
        "| SmallVGG training, batch 128 | PyTorch bfloat16, the better of eager and "
        "compiled | at least 1.1x, with matrix units | 1.50x (1.20 to 1.50) | "
        "**reached** |",
        "| LRN forward + backward, 16x56x56x192 | `tf.nn.local_response_normalization` "
        "| at least 2x | 1.50x (1.50 to 1.50) | missed |",
        "| SmallVGG training, batch 128 | stock Keras `fit`, float32: peak memory | at "
        "most 1 | 0.90 | **reached** |",
        "| SmallVGG training, batch 128, oneDNN limited to AVX2 | stock Keras `fit`, "
        "float32: peak memory | at most 1 | 1.10 | missed |",
    ]


def test_table_of_training(few):
    lines = page.training_table(few).splitlines()
    assert lines[2] == (
        "| SmallVGG, batch 128 | cnnzoo | 3.00 (2.40 to 3.00) | 1.20 | "
        "0.90 | bfloat16 |  | 200 |"
    )
    assert lines[4] == (
        "| SmallVGG, batch 128 | Keras on JAX, float32 | not measured: MemoryError: too "
        "much |  |  |  |  |  |"
    )
    assert len(lines) == 2 + 6


def test_output_of_a_row(few):
    lines = page.row_lines(LRN, few).splitlines()
    assert lines[0].split()[:3] == ["cnnzoo", "100.0", "ms"]
    assert lines[1].endswith("cnnzoo is 1.50 times as fast")


def test_the_page_and_its_pictures(few, tmp_path):
    text = page.speed_page(few)
    assert page.goal_table(few) in text
    assert "- A CPU, 2 cores, without matrix units for bfloat16 (avx2);" in text
    assert "keras 3.15.1" in text
    assert "make bench" in text
    written = pictures.write(few, tmp_path)
    assert [path.name for path in written] == [
        "speed_training.svg",
        "speed_growth_batch.svg",
    ]
    assert all(path.read_bytes().startswith(b"<?xml") for path in written)
    again = pictures.write(few, tmp_path / "again")
    assert [path.read_bytes() for path in written] == [p.read_bytes() for p in again]


def test_the_page_is_that_of_the_stored_results():
    results = load(command.STORED)
    stale = "docs/speed.md is stale: run `python -m benchmarks --page`"
    text = command.PAGE.read_text(encoding="utf-8")
    assert text == page.speed_page(results), stale
    assert set(results.rows) == set(ROWS), "rows have changed: run `make bench`"
    for line in text.splitlines():
        if line.startswith("!["):
            picture = command.PAGE.parent / line.split("(")[-1].rstrip(")")
            assert 0 < picture.stat().st_size < 60_000, picture


def test_the_machine_is_read_from_its_file(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16\nflags : x\n")
    monkeypatch.setattr(machine, "CPUINFO", path)
    found = machine.describe()
    assert (found["cpu"], found["flags"]) == ("Some CPU", ["avx2", "amx_bf16"])
    assert found["matrix_units"] is True
    path.write_text("")
    assert machine.describe()["matrix_units"] is False


def test_a_quick_run_is_not_stored(monkeypatch, tmp_path, capsys):
    def measure_once(row, work, rounds, logs, report):
        assert (rounds, work.batch, work.steps) == (2, 2, 1)
        return {one.name: measurement(1.0, 1.0) for one in row.contenders}

    monkeypatch.setattr(command, "measure", measure_once)
    monkeypatch.setattr(command, "LATEST", tmp_path / "build" / "latest.json")
    out = tmp_path / "new" / "results.json"
    assert command.main(["--quick", "lrn", "--out", str(out)]) == 0
    assert load(out).find("lrn", "cnnzoo")
    assert (tmp_path / "build" / "latest.json").exists()
    assert "| 1.00x (1.00 to 1.00) | missed |" in capsys.readouterr().out
    assert command.main(["nonsense"]) == 2
    assert "no row or group nonsense" in capsys.readouterr().err


def test_a_complete_run_writes_the_page_and_can_write_it_again(monkeypatch, tmp_path):
    def measure_all(row, work, rounds, logs, report):
        assert (rounds, work) == (5, row.work)
        return {one.name: measurement(1.0, 2.0, peak=row.x + 1) for one in row.contenders}

    for name, place in {
        "STORED": "results.json",
        "LATEST": "build/results.json",
        "PAGE": "docs/speed.md",
        "PICTURES": "docs/pictures",
    }.items():
        monkeypatch.setattr(command, name, tmp_path / place)
    monkeypatch.setattr(command, "measure", measure_all)
    assert command.main([]) == 0
    results = load(tmp_path / "results.json")
    assert set(results.rows) == set(ROWS)
    text = (tmp_path / "docs/speed.md").read_text()
    assert text == page.speed_page(results)
    assert len(list((tmp_path / "docs/pictures").iterdir())) == text.count("![") == 4
    (tmp_path / "docs/speed.md").unlink()
    assert command.main(["--page"]) == 0
    assert (tmp_path / "docs/speed.md").read_text() == text


def test_a_row_takes_the_place_of_the_stored_one(monkeypatch, tmp_path):
    for name in ("STORED", "LATEST", "PAGE", "PICTURES"):
        monkeypatch.setattr(command, name, tmp_path / name.lower())
    ours = [1.0]

    def measure_once(row, work, rounds, logs, report):
        return {
            one.name: measurement(ours[0] if one.name == "cnnzoo" else 2.0, peak=1)
            for one in row.contenders
        }

    monkeypatch.setattr(command, "measure", measure_once)
    assert command.main([]) == 0
    ours[0] = 0.5
    assert command.main(["--update", "lrn"]) == 0
    results = load(tmp_path / "stored")
    assert set(results.rows) == set(ROWS)
    found = {name: results.find(name, "cnnzoo") for name in ("lrn", "small_vgg")}
    assert [one and one.median for one in found.values()] == [0.5, 1.0]
    assert (tmp_path / "page").read_text() == page.speed_page(results)
    with pytest.raises(SystemExit, match="have 5 rounds; use as many"):
        command.main(["--update", "lrn", "--rounds", "3"])
    other = {**command.machine.describe(), "cpu": "another"}
    monkeypatch.setattr(command.machine, "describe", lambda: other)
    with pytest.raises(SystemExit, match=r"another cpu; measure all"):
        command.main(["--update", "lrn"])


# transfer


def cell(case: int, policy: str, seed: int, accuracy: float) -> dict:
    return {
        "target": f"row {case}",
        "case": case,
        "policy": policy,
        "seed": seed,
        "accuracy": accuracy,
        "core_seconds": 10 * case,
        "reverted": ["whole"] if policy.startswith("4") else [],
    }


def test_the_transfer_page_has_verdicts_and_losses():
    accuracies = {"1: frozen": 0.8, "4: whole": 0.7, transfer_page.MEASURED: 0.8}
    cells = [
        cell(case, policy, seed, accuracy + 0.01 * seed + (0.2 if other else 0))
        for case in (1, 4)
        for policy, accuracy in accuracies.items()
        for seed in (0, 1)
        for other in [case == 4 and policy == transfer_page.MEASURED]
    ]
    assessments = [{"target": "row 1", "case": 1, "measured": case} for case in (1, 1, 3)]
    results = {
        "date": "2026-01-01",
        "quick": True,
        "machine": {"cpu": "some CPU"},
        "core_minutes": 90.0,
        "sources": [{"accuracy": 0.9}, {"accuracy": 0.99}],
        "cells": cells,
        "assessments": assessments,
    }
    text = transfer_page.page({"matrix": results})
    assert "| 1: row 1 | **80.5 ± 6.4**, 10 s |" in text
    assert "| **70.5 ± 6.4**, 40 s, 2 reverted |" in text
    assert "45 minutes on two cores" in text
    assert "- case 1: yes: `1: frozen` against `4: whole` +10.0 ± 0.0 points" in text
    assert "- case 4: no: `4: whole` against `1: frozen` -10.0 ± 0.0 points" in text
    assert "In 1 of 2 rows; the goal is 3" in text
    assert "the intended case in 67 % of 3 assessments" in text
    # The measured policy is the best of row 4, which must not offset a loss in row 1.
    assert "loses 0.0, 0.0\npoints in the four rows, 0.0 on average" in text


def test_the_transfer_page_is_that_of_the_stored_results():
    stored = json.loads(transfer_page.STORED.read_bytes())
    text = transfer_page.PAGE.read_text(encoding="utf-8")
    assert text == transfer_page.page(stored)


def test_the_transfer_page_has_the_times_of_each_method():
    def side(pixels: int, seconds: float) -> dict:
        methods = [
            {"name": "naive", "seconds": 40 * seconds, "accuracy": 0.5},
            {
                "name": "ours",
                "seconds": seconds,
                "low": 0.4,
                "high": 0.6,
                "accuracy": 0.5,
            },
            {"name": "a pass", "seconds": seconds / 1.25},
        ]
        ratios = {"naive_to_fit": 40, "fit_to_forward": 1.25, "assess_to_forward": 2.5}
        return {
            "side": pixels,
            "methods": methods,
            "assess_goal": 3 * seconds + 5,
            **ratios,
        }

    results = {
        "date": "2026-01-01",
        "machine": {"cpu": "some CPU", "cores": 2},
        "train_images": 240,
        "validation_images": 60,
        "epochs": 30,
        "sides": [side(224, 20.0), side(64, 2.0)],
    }
    text = transfer_page.page({"speed": results})
    assert "| ours | 20.0 | 40.0 | 50 %, 40 to 60 |" in text
    assert "| a pass | 1.6 | 50.0 |  |" in text
    assert "Goals at 224 pixels" in text
    assert "65 s here" in text
    assert text.index("### At 224 pixels") < text.index("### At 64 pixels")


def test_controls_of_the_matrix(source):
    """A linear model of pixels cannot classify gratings; random filters help."""
    train, test = gratings(200, 1), gratings(1000, 2)
    assessment = assess(source, train)
    accuracy = {
        method: transfer_controls.control(
            method, source, assessment, train, test, seed=0
        ).mean()
        for method in transfer_controls.METHODS
    }
    assert accuracy[transfer_controls.PIXELS] < 0.5
    assert accuracy[transfer_controls.RANDOM] > 0.6
