"""Trainings that are killed, stopped, damaged or started twice."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path

import keras
import numpy as np
import pytest
from faults import kth_call_fails
from filelock import FileLock
from PIL import Image
from short_runs import (
    RECIPE,
    Stop,
    StopAfterValidation,
    assert_equal,
    halves,
    last,
    network,
    train,
)

import cnnzoo
from cnnzoo.data.folders.folder import scan
from cnnzoo.errors import CheckpointError, ResumeMismatchError, SaveError, TrainingError
from cnnzoo.system import files
from cnnzoo.system.locks import folder_lock
from cnnzoo.train.checkpoint.state import TrainingSession
from cnnzoo.train.checkpoint.store import ARRAYS, MANIFEST, STATE, CheckpointStore
from cnnzoo.train.run import Run

HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("alone")
    train(folder)
    return folder


# It goes on -----------------------------------------------------------------------------


@pytest.mark.parametrize("times", [4, pytest.param(10, marks=pytest.mark.proof)])
def test_killed(times: int, tmp_path: Path):
    """After kill -9 at any moment, the result equals that of an undisturbed training.

    `make soak` kills a hundred times.
    """
    process = subprocess.run(
        [sys.executable, HELPERS / "killed_training.py", str(times), tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    counts = json.loads(process.stdout.splitlines()[-1])
    assert counts["killed"] >= times
    assert counts["went_on"] >= times // 3


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 7])
def test_an_error_at_any_batch(batches: int, alone: Path, tmp_path: Path):
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, callbacks=[Stop(batches, RuntimeError)])
    _, history = train(tmp_path)
    assert_equal(last(tmp_path), last(alone))
    assert history == json.loads((alone / "history.json").read_text())


def test_no_batch_is_used_twice(tmp_path: Path):
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, callbacks=[Stop(2, RuntimeError)])
    train(tmp_path)
    steps = RECIPE.epochs * 3
    assert int(last(tmp_path)["optimizer/00000"]) == steps


@pytest.mark.parametrize("kind", [Stop, StopAfterValidation])
@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, None),
        (signal.SIGTERM, SystemExit, 143),
        (signal.SIGHUP, SystemExit, 129),
    ],
    ids=["ctrl-c", "term", "hup"],
)
def test_signals(kind: type, number: int, error, code, alone: Path, tmp_path: Path):
    """Signals stop the training with a checkpoint, also when none was due."""
    before = signal.signal(number, signal.default_int_handler)  # who may ignore it
    try:
        with pytest.raises(error) as raised:
            train(tmp_path, save_seconds=inf, callbacks=[kind(2, number)])
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    if code:
        assert raised.value.code == code
    assert CheckpointStore(tmp_path / "checkpoints").newest() is not None
    train(tmp_path, save_seconds=inf, verbose=2)
    assert_equal(last(tmp_path), last(alone))


def test_a_signal_while_the_best_weights_are_loaded(tmp_path: Path, monkeypatch):
    def restore(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("cnnzoo.train.run.BestCheckpoint.restore", restore)
    with pytest.raises(SystemExit) as caught:
        train(tmp_path)
    assert caught.value.code == 143


def test_ignored_signals_stay_ignored(alone: Path, tmp_path: Path):
    """As under `nohup` and a shell's `&`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        train(tmp_path, callbacks=[Stop(2, signal.SIGHUP)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert_equal(last(tmp_path), last(alone))


def test_killed_during_validation(tmp_path: Path):
    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            self.model.stop_training = True

    _, expected = train(tmp_path / "alone", callbacks=[Enough()])
    with pytest.raises(RuntimeError, match="the power went"):
        train(
            tmp_path / "cut", callbacks=[Enough(), StopAfterValidation(1, RuntimeError)]
        )
    _, history = train(tmp_path / "cut", callbacks=[Enough()])
    assert history == expected
    assert_equal(last(tmp_path / "cut"), last(tmp_path / "alone"))


def test_the_second_ctrl_c_ends_at_once(tmp_path: Path):
    class Twice(Stop):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, save_seconds=inf, callbacks=[Twice(1, signal.SIGINT)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert CheckpointStore(tmp_path / "checkpoints").newest() is None


def test_best_and_patience_are_remembered(tmp_path: Path):
    recipe = replace(RECIPE, epochs=8, patience=4, learning_rate=0.05)
    train(tmp_path / "alone", recipe)
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path / "cut", recipe, callbacks=[StopAfterValidation(4, RuntimeError)])
    train(tmp_path / "cut", recipe)
    one, other = (
        CheckpointStore(tmp_path / n / "checkpoints").newest() for n in ("alone", "cut")
    )
    assert one
    assert other
    timeless = {"seconds": 0, "cpu_seconds": 0}
    assert one.facts | timeless == other.facts | timeless
    kinds = [kind for kind, _ in one.facts["callbacks"]]
    expected = ["BestCheckpoint", "ReduceLROnPlateau", "EarlyStopping", "HistoryFile"]
    assert kinds == expected
    best = [cnnzoo.load(tmp_path / n / "model.keras") for n in ("alone", "cut")]
    for weights in zip(*(model.get_weights() for model in best), strict=True):
        np.testing.assert_array_equal(*weights)


def test_a_finished_training(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    model, history = train(tmp_path / "run", callbacks=[Stop(1, RuntimeError)])
    assert history == json.loads((alone / "history.json").read_text())
    best = cnnzoo.load(alone / "model.keras")
    np.testing.assert_array_equal(model.get_weights()[0], best.get_weights()[0])


def test_more_epochs(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    longer = replace(RECIPE, epochs=5)
    _, history = train(tmp_path / "run", longer)
    train(tmp_path / "at once", longer)
    assert len(history["loss"]) == 5
    assert_equal(last(tmp_path / "run"), last(tmp_path / "at once"))


def test_averages_are_evaluated_and_saved(tmp_path: Path):
    recipe = replace(RECIPE, averaging=0.9, patience=None)
    model, _ = train(tmp_path, recipe)
    arrays = last(tmp_path)
    kernel = arrays["ema/00000"]
    assert np.abs(kernel - arrays["model/00000"]).max() > 1e-5
    np.testing.assert_array_equal(model.get_weights()[0], kernel)


# Damage ---------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE = [
    *((name, way) for name in (ARRAYS, STATE, MANIFEST) for way in (cut, empty, fifo)),
    *((name, Path.unlink) for name in (ARRAYS, STATE, MANIFEST)),
    *((name, flip) for name in (ARRAYS, STATE)),
]


@pytest.mark.parametrize(
    ("name", "way"), DAMAGE, ids=[f"{n}-{w.__name__}" for n, w in DAMAGE]
)
def test_a_damaged_checkpoint(name: str, way: Callable, alone: Path, tmp_path: Path):
    """The previous checkpoint is used, and the reason is reported."""
    shutil.copytree(alone / "checkpoints", tmp_path / "checkpoints")
    store = CheckpointStore(tmp_path / "checkpoints")
    newest = sorted(store.folder.iterdir())[-1]
    way(newest / name)
    saved = store.newest()
    assert saved
    assert saved.name < newest.name
    assert len(saved.rejected) == 1
    assert saved.rejected[0].startswith(newest.name)


@pytest.mark.parametrize("number", [2, None, "3"])
def test_a_checkpoint_of_another_version(number, alone: Path, tmp_path: Path):
    shutil.copytree(alone / "checkpoints", tmp_path / "checkpoints")
    store = CheckpointStore(tmp_path / "checkpoints")
    path = sorted(store.folder.iterdir())[-1] / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": number}))
    message = f"step-0.* has format {number!r}: expected 3, which this version"
    with pytest.raises(CheckpointError, match=message):
        store.newest()


@pytest.mark.parametrize("number", [1, None])
def test_metadata_of_another_version(number, alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    path = tmp_path / "run/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))
    message = rf"run\.json has format {number}: expected 2, which this version"
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path / "run")


def test_training_resumes_from_the_previous_checkpoint(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    flip(sorted((tmp_path / "run/checkpoints").iterdir())[-1] / ARRAYS)
    train(tmp_path / "run")
    assert_equal(last(tmp_path / "run"), last(alone))
    log = (tmp_path / "run/log.txt").read_text().splitlines()
    assert "ignored a damaged checkpoint: step-000000" in log[-3]
    assert "starts after 2 epochs and 3 batches" in log[-2]
    assert "the training ended after 3 epochs and 0 batches" in log[-1]


def test_all_checkpoints_damaged(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    for path in (tmp_path / "run/checkpoints").iterdir():
        cut(path / ARRAYS)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=r"that is whole: step-0.*; s"):
        train(tmp_path / "run")
    assert [path for path in before if not path.exists()] == []


def test_order_is_that_of_the_numbers(tmp_path: Path):
    store = CheckpointStore(tmp_path)
    for step in (9, 10):
        store.write(step, {"x": np.arange(step)}, {})
    os.utime(tmp_path / "step-00000009", (2e9, 2e9))
    saved = store.newest()
    assert saved
    assert saved.step == 10


def test_two_checkpoints_are_kept(tmp_path: Path):
    store = CheckpointStore(tmp_path)
    for step in range(5):
        store.write(step, {"x": np.array(step, "float32")}, {"at": inf})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000003",
        "step-00000004",
    ]
    saved = store.newest()
    assert saved
    assert saved.arrays["x"] == 4
    assert saved.arrays["x"].shape == ()
    assert saved.facts == {"at": inf}


def test_a_damaged_checkpoint_does_not_count(tmp_path: Path):
    store = CheckpointStore(tmp_path)
    for step in (8, 20):
        store.write(step, {"x": np.arange(step)}, {})
    flip(tmp_path / "step-00000020" / ARRAYS)
    assert (saved := store.newest())
    assert saved.step == 8
    store.write(10, {"x": np.arange(10)}, {})
    assert {path.name for path in tmp_path.iterdir()} == {
        "step-00000008",
        "step-00000010",
    }
    store.write(20, {"x": np.arange(20)}, {})
    assert (saved := store.newest())
    assert saved.step == 20


FAULTS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EINTR]


@pytest.mark.parametrize("fault", FAULTS, ids=[errno.errorcode[f] for f in FAULTS])
@pytest.mark.parametrize("call", ["write_bytes", "mkdir", "rename", "_flush"])
def test_the_kth_call_fails(call: str, fault: int, tmp_path: Path):
    """Old checkpoints stay, and no incomplete one is left."""
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        store.write(step, {"x": np.arange(9)}, {})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    owner = files if call == "_flush" else Path
    failed = 0
    for k in range(20):
        with kth_call_fails(owner, call, k, fault), suppress(SaveError):
            store.write(3, {"x": np.arange(9)}, {})
            break
        failed += 1
        saved = store.newest()
        assert saved
        if not (tmp_path / "step-00000003").exists():  # all but its entry was on the disk
            assert saved.step == 2
            assert {p: p.read_bytes() for p in before} == before
        assert not list(tmp_path.glob(".cnnzoo-tmp-*"))
    assert failed >= 1


# Another training, or another process ---------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": replace(RECIPE, batch_size=8)}, "recipe.batch_size was 16 and is 8"),
        (
            {"recipe": replace(RECIPE, optimizer="sgd")},
            "recipe.optimizer was adam",
        ),
        ({"data": halves(60)}, r"data\.train\.images was 48 and is 45"),
        ({"model": {"width": 9}}, "network.parameters was"),
        ({"model": {"input_shape": (13, 13, 1)}}, r"network\.options\.input_shape was"),
    ],
    ids=["batch", "optimizer", "data", "width", "size"],
)
def test_another_training(change: dict, message: str, alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if "model" in change:
        change = {"model": network(**change["model"])}
    with pytest.raises(ResumeMismatchError, match=message):
        train(tmp_path / "run", **change)
    assert {path: path.read_bytes() for path in before} == before


def test_metadata_without_a_newer_field(alone: Path, tmp_path: Path):
    """A missing field means its default."""
    shutil.copytree(alone, tmp_path / "run")
    path = tmp_path / "run/run.json"
    card = json.loads(path.read_text())
    del card["recipe"]["weight_decay"]
    path.write_text(json.dumps(card))
    with pytest.raises(ResumeMismatchError, match=r"weight_decay was None and is 0\.5"):
        train(tmp_path / "run", replace(RECIPE, weight_decay=0.5))
    train(tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"network": 5},
        {"environment": None},
        {"environment": {"backend": "tensorflow"}},
        {"data": {}},
    ],
    ids=str,
)
def test_metadata_with_other_parts(change: dict, alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    path = tmp_path / "run/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match="does not tell which training"):
        train(tmp_path / "run")


def test_a_log_of_any_bytes_stops_no_training(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    (tmp_path / "run/log.txt").write_bytes(b"\xff\xff\n")
    train(tmp_path / "run")
    log = (tmp_path / "run/log.txt").read_bytes()
    assert log.startswith(b"\xff\xff\n")
    assert b"the training ended after" in log


def test_is_over(alone: Path, tmp_path: Path):
    assert not Run(tmp_path).is_over
    assert Run(alone).is_over
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, callbacks=[Stop(7, RuntimeError)])
    assert not Run(tmp_path).is_over


def test_an_unfinished_epoch(tmp_path: Path):
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, callbacks=[Stop(2, RuntimeError)])
    assert not Run(tmp_path).is_over
    (tmp_path / "history.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"history\.json is cut or altered"):
        assert Run(tmp_path).is_over


def test_another_picture_of_the_same_size(tmp_path: Path):
    for number, shade in enumerate((40, 200)):
        for name in "ab":
            (tmp_path / f"data/{name}").mkdir(parents=True, exist_ok=True)
            picture = Image.new("L", (8, 8), shade)
            picture.save(tmp_path / f"data/{name}/{number}.bmp")
    path = tmp_path / "data/a/0.bmp"
    before = scan(tmp_path / "data", checksums=True).fingerprint()
    size = path.stat().st_size
    Image.new("L", (8, 8), 90).save(path)
    assert path.stat().st_size == size
    assert scan(tmp_path / "data", checksums=True).fingerprint() != before


def test_checkpoints_without_metadata(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    (tmp_path / "run/run.json").unlink()
    with pytest.raises(CheckpointError, match=r"has checkpoints but no run\.json"):
        train(tmp_path / "run", replace(RECIPE, batch_size=8))
    assert not (tmp_path / "run/run.json").exists()


def test_other_settings_at_resume_are_logged(alone: Path, tmp_path: Path):
    """The result may differ in its last bits, and the log says why."""
    shutil.copytree(alone, tmp_path / "run")
    card = json.loads((alone / "run.json").read_text())
    assert card["environment"]["deterministic"] is True
    assert card["environment"]["threads"] >= 1
    now = card["environment"]["threads"]
    card["environment"] |= {"threads": 99, "unknown": 7}
    (tmp_path / "run/run.json").write_text(json.dumps(card))
    with pytest.warns(UserWarning, match="with other settings.* threads was 99 and"):
        train(tmp_path / "run")
    assert card["environment"]["versions"][keras.backend.backend()][0].isdigit()
    log = (tmp_path / "run/log.txt").read_text()
    assert f"continues with other settings: threads was 99 and is {now}\n" in log
    assert "other settings" not in (alone / "log.txt").read_text()


def test_seconds_add_up_over_processes(tmp_path: Path):
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, callbacks=[Stop(6, RuntimeError)])
    first = CheckpointStore(tmp_path / "checkpoints").newest()
    train(tmp_path)
    second = CheckpointStore(tmp_path / "checkpoints").newest()
    assert first
    assert second
    for kind in ("seconds", "cpu_seconds"):
        assert 0 < first.facts[kind] < second.facts[kind] < 600
    last_line = (tmp_path / "log.txt").read_text().splitlines()[-1]
    assert re.search(r"ended after 3 epochs .*, \d+ s in all$", last_line)


def test_truncated_metadata(alone: Path, tmp_path: Path):
    shutil.copytree(alone, tmp_path / "run")
    cut(tmp_path / "run/run.json")
    with pytest.raises(CheckpointError, match="does not tell which training"):
        train(tmp_path / "run")


def test_a_second_process_is_refused_with_the_id_of_the_first(tmp_path: Path):
    with folder_lock(tmp_path):
        here = f"in use by process {os.getpid()} on .* since 2"
        with pytest.raises(CheckpointError, match=here):
            train(tmp_path)
    train(tmp_path)


def test_a_full_disk_has_no_room_for_a_lock(tmp_path: Path):
    full = kth_call_fails(FileLock, "acquire", 0, errno.ENOSPC)
    with full, pytest.raises(SaveError, match=r"\.lock: No space left .* so make room"):
        train(tmp_path)


def test_a_link_to_a_folder_and_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    train(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far/model.keras").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaveError, match="cannot write"):
        train(tmp_path / "file")


def test_a_nan_loss_keeps_the_last_finite_checkpoint(tmp_path: Path):
    recipe = replace(RECIPE, learning_rate=1e30, optimizer="sgd")
    with pytest.raises(TrainingError, match="never finite"):
        train(tmp_path, recipe)
    saved = CheckpointStore(tmp_path / "checkpoints").newest()
    if saved:
        assert all(np.isfinite(array).all() for array in saved.arrays.values())


def test_nan_weights_are_not_saved(tmp_path: Path):
    """The weights may become NaN in a step whose loss is still finite."""

    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if batch == 1:
                bias = self.model.get_layer("predictions").bias
                bias.assign(np.full(bias.shape, np.nan))

    with pytest.raises(TrainingError, match="in batch 3 of epoch 1"):
        train(tmp_path, callbacks=[Poison()])
    saved = CheckpointStore(tmp_path / "checkpoints").newest()
    assert saved
    assert saved.facts["progress"]["batch"] == 1


def test_a_later_nan_loss_keeps_the_best_weights(tmp_path: Path):
    """The network of the first epoch is kept, with a warning."""

    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if int(self.model.optimizer.iterations) == 4:
                bias = self.model.get_layer("predictions").bias
                bias.assign(np.full(bias.shape, np.nan))

    with pytest.warns(
        RuntimeWarning, match="in batch 2 of epoch 2.* the best epoch before"
    ):
        model, _ = train(tmp_path, callbacks=[Poison()])
    best = cnnzoo.load(tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), best.get_weights(), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_another_model(tmp_path: Path):
    model, other = network(), network(width=9)
    for one in (model, other):
        one.compile("adam", "sparse_categorical_crossentropy")
    before = [weight.numpy() for weight in model.weights]
    taken = TrainingSession(other, []).capture()
    with pytest.raises(ResumeMismatchError, match=r"shape \(144, 8\) as model"):
        TrainingSession(model, []).restore(taken, "there")
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    stopping = [keras.callbacks.EarlyStopping()]
    with pytest.raises(ResumeMismatchError, match=r"expected callbacks \['Early"):
        TrainingSession(other, stopping).restore(taken, "there")
