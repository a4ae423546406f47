"""Locks of folders whose files are removed while they are held."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
from short_runs import halves, network, train

import cnnzoo
from cnnzoo.ensemble import storage
from cnnzoo.errors import CheckpointError
from cnnzoo.system.locks import folder_lock
from cnnzoo.train import Checkpoint

HOLDER = """
import sys, time
from pathlib import Path
from cnnzoo.system.locks import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def remove_the_lock(folder: Path) -> None:
    (folder / ".lock").unlink()


def remove_all_that_is_hidden(folder: Path) -> None:
    for path in folder.glob(".*"):
        path.unlink()


def another_lock(folder: Path) -> None:
    remove_the_lock(folder)
    (folder / ".lock").touch()


def move_the_folder(folder: Path) -> None:
    shutil.move(folder, folder.with_name("moved"))


def another_folder(folder: Path) -> None:
    move_the_folder(folder)
    shutil.copytree(folder.with_name("moved"), folder)


LOSSES = (
    remove_the_lock,
    remove_all_that_is_hidden,
    another_lock,
    move_the_folder,
    another_folder,
)


class AtBatch(keras.callbacks.Callback):
    """Does something to a folder at the sixth batch, and keeps what is then in it."""

    def __init__(self, loss, folder: Path):
        super().__init__()
        self.loss, self.folder, self.batches = loss, folder, 0
        self.left: dict[Path, bytes] = {}

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.batches += 1
        if self.batches == 6:
            self.loss(self.folder)
            self.left = contents(self.folder)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_holder_notices(loss, tmp_path: Path):
    folder = tmp_path / "run"
    with folder_lock(folder) as lock:
        lock.check()
        loss(folder)
        with pytest.raises(CheckpointError, match="was removed or replaced while"):
            lock.check()


@pytest.mark.parametrize("loss", [remove_the_lock, move_the_folder])
def test_a_run_stops_before_it_writes(loss, tmp_path: Path):
    watch = AtBatch(loss, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"\.lock was removed or replaced while"):
        train(tmp_path / "run", callbacks=[watch])
    kept = {p: c for p, c in watch.left.items() if p.name != ".owner.json"}
    assert kept.items() <= contents(tmp_path / "run").items()
    assert watch.batches == 6
    if loss is remove_the_lock:
        assert len(train(tmp_path / "run")[1]["loss"]) == 3


def test_a_plain_fit_stops_before_it_writes(tmp_path: Path):
    model, data, watch = network(), halves(), AtBatch(remove_the_lock, tmp_path)
    model.compile("adam", "sparse_categorical_crossentropy")
    arguments = data.images, data.labels, 16, 3
    more = {"verbose": 0, "callbacks": [watch, Checkpoint(tmp_path)]}
    with pytest.raises(CheckpointError, match="was removed or replaced while"):
        model.fit(*arguments, **more)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000001"]


def test_an_ensemble_is_not_listed_without_its_lock(tmp_path: Path, monkeypatch):
    models = [network()]
    storage.write(tmp_path, models, "mean", None)
    before, real = contents(tmp_path), storage.save

    def save(model, path: Path) -> Path:
        remove_the_lock(tmp_path)
        return real(model, path)

    monkeypatch.setattr(storage, "save", save)
    with pytest.raises(CheckpointError, match="was removed or replaced while"):
        cnnzoo.Ensemble(models, "mean").save(tmp_path)
    members = {path: c for path, c in before.items() if path.suffix}
    assert contents(tmp_path).items() == members.items()


@pytest.mark.parametrize("loss", LOSSES[:3])
def test_a_removed_lock_file_frees_nothing(loss, tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        loss(tmp_path)
        who = "another process" if loss is remove_all_that_is_hidden else holder.pid
        with (
            pytest.raises(CheckpointError, match=f"in use by .*{who}"),
            folder_lock(tmp_path),
        ):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with folder_lock(tmp_path, wait=5.0):
        assert (tmp_path / ".owner.json").exists()


@pytest.mark.parametrize("passed", [True, False])
def test_a_lock_of_the_folder_from_outside(passed: bool, tmp_path: Path):
    """As of `flock DIR cnnzoo ...`; that of another program refuses."""
    outer = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(outer, fcntl.LOCK_EX)
    command = [sys.executable, "-c", HOLDER.replace("600", "0"), str(tmp_path)]
    more = {"pass_fds": [outer] if passed else [], "capture_output": True, "text": True}
    done = [subprocess.run(command, **more) for _ in range(2)]  # it is kept
    os.close(outer)
    assert [one.stdout for one in done] == ["held\n" if passed else ""] * 2
    assert passed or "in use by another process" in done[0].stderr


def test_waiting_ends_when_the_lock_is_free(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER.replace("600", "1"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        began = time.monotonic()
        with folder_lock(tmp_path, wait=60.0):
            assert 0.5 < time.monotonic() - began < 30
