"""Folders of trainings from which files are lost, altered or exchanged."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from short_runs import RECIPE, Stop, halves, network, train

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.errors import CheckpointError, ResumeMismatchError
from cnnzoo.train import Checkpoint, Run
from cnnzoo.train.checkpoint.store import CheckpointStore


def getting_worse() -> Images:
    """Images whose validation part gets worse from the first epoch on."""
    data = halves()
    return data.relabel(1 - np.asarray(data.labels), data.class_names)


def start(folder: Path, **more):
    """A training whose best epoch is the first one."""
    run = Run(folder, save_seconds=0)
    return run.fit(network(), halves(), getting_worse(), RECIPE, **more)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A training that was stopped in its third epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(RuntimeError, match="the power went"):
        start(folder, callbacks=[Stop(9, RuntimeError)])
    return folder


def remove(path: Path) -> None:
    path.unlink()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def zero_the_tail(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))


def exchange(path: Path) -> None:
    other = network()
    other.set_weights([weight * 0 + 0.1 for weight in other.get_weights()])
    cnnzoo.save(other, path)


@pytest.mark.parametrize("change", [remove, flip_a_bit, zero_the_tail, exchange])
def test_the_best_model_is_put_back(change, stopped: Path, tmp_path: Path):
    run = shutil.copytree(stopped, tmp_path / "run")
    best = cnnzoo.load(run / "model.keras").get_weights()
    change(run / "model.keras")
    history = start(run)
    assert history["val_loss"][0] == min(history["val_loss"])
    found = cnnzoo.load(run / "model.keras").get_weights()
    for one, other in zip(found, best, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_temperature_is_put_back(tmp_path: Path, monkeypatch):
    """After a kill before it was fitted, and where the file has another one."""
    model, _ = train(tmp_path / "alone")
    cut, temperature = tmp_path / "cut", model.cnnzoo.temperature
    assert temperature != 1

    def killed(*_):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr("cnnzoo.train.run.calibrate", killed)
        with pytest.raises(RuntimeError, match="the power went"):
            train(cut)
    other = network()
    other.cnnzoo = replace(other.cnnzoo, temperature=3.0)  # of earlier weights
    for value in (2.0, temperature):
        train(cut, model=other)
        assert other.cnnzoo.temperature == temperature
        assert cnnzoo.load(cut).cnnzoo.temperature == temperature
        other.cnnzoo = replace(other.cnnzoo, temperature=value)
        cnnzoo.save(other, cut / "model.keras")
    before = (cut / "model.keras").read_bytes()
    train(cut, model=other)  # all of it is over
    assert (cut / "model.keras").read_bytes() == before


def test_a_best_model_that_vanishes_under_way(tmp_path: Path):
    class Remove(Stop):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            (tmp_path / "model.keras").unlink(missing_ok=True)

    model = network()
    data = halves(), getting_worse()
    Run(tmp_path).fit(model, *data, RECIPE, callbacks=[Remove(1, 0)])
    loaded = cnnzoo.load(tmp_path / "model.keras")
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("which", ["stopped", "over"])
def test_lost_checkpoints_are_no_new_start(which: str, stopped: Path, tmp_path: Path):
    run = shutil.copytree(stopped, tmp_path / "run")
    if which == "over":
        start(run)
    shutil.rmtree(run / "checkpoints")
    before = {path.name: path.read_bytes() for path in run.glob("*.*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"model\.keras but no checkpoints"):
        start(run)
    after = {path.name: path.read_bytes() for path in run.glob("*.*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("history", "told"),
    [
        (None, r"history\.json but no checkpoints"),
        ("[", "cut or altered; get it from a backup"),
        ("{}", ""),  # it ended in its first epoch
        ('{"loss": [null], "val_loss": [null]}', ""),
    ],
)
def test_a_model_that_is_lost_too(history, told: str, stopped: Path, tmp_path: Path):
    run = shutil.copytree(stopped, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    remove(run / "model.keras")
    if history is not None:
        (run / "history.json").write_text(history)
    if told:
        with pytest.raises(CheckpointError, match=told):
            start(run)
    else:
        assert len(start(run)["loss"]) == RECIPE.epochs


def test_a_model_without_a_training_is_not_written_over(tmp_path: Path):
    cnnzoo.save(network(), tmp_path / "model.keras")
    with pytest.raises(CheckpointError, match=r"model\.keras but no checkpoints"):
        train(tmp_path)


def test_a_kill_after_the_first_validation_leaves_a_checkpoint(tmp_path: Path):
    """Also when none was due; else the next start would find a model without one."""
    with pytest.raises(RuntimeError, match="the power went"):
        train(tmp_path, save_seconds=1e9, callbacks=[Stop(4, RuntimeError)])
    _, history = train(tmp_path)
    assert len(history["loss"]) == RECIPE.epochs


def test_other_pictures_of_the_same_size(tmp_path: Path):
    """A scan without checksums is no excuse."""

    def run(shade: int, **more) -> None:
        for number in range(6):
            for name in "ab":
                path = tmp_path / f"data/{name}/{number}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (12, 12), shade + number).save(path)
        data = cnnzoo.scan(tmp_path / "data")
        Run(tmp_path / "run").fit(network(), data, data, RECIPE, **more)

    with pytest.raises(RuntimeError, match="the power went"):
        run(10, callbacks=[Stop(1, RuntimeError)])
    with pytest.raises(ResumeMismatchError, match=r"data\.train\.sha256"):
        run(150)


def test_a_plain_fit_says_which_checkpoint_it_ignores(tmp_path: Path):
    def fit(epochs: int):
        model, data = network(), halves()
        model.compile("adam", "sparse_categorical_crossentropy")
        more = {"verbose": 0, "callbacks": [Checkpoint(tmp_path)]}
        return model.fit(data.images, data.labels, epochs=epochs, **more)

    fit(3)
    zero_the_tail(tmp_path / "step-00000003/arrays.safetensors")
    with pytest.warns(RuntimeWarning, match="ignored step-00000003 has another arrays"):
        history = fit(4)
    assert history.epoch == [0, 1, 2, 3]
    saved = CheckpointStore(tmp_path).newest()
    assert saved
    assert len(saved.facts["epochs"]) == 4
