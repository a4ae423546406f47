"""A disk that is full after so many bytes: what was there stays, bit by bit.

A limit on the size of files stands for it, which every library's writes meet.
"""

import errno
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from faults import kth_call_fails
from short_runs import RECIPE, assert_equal, last, train

import cnnzoo
from cnnzoo.ensemble import Ensemble
from cnnzoo.errors import SaveError
from cnnzoo.system import files
from cnnzoo.train.checkpoint.store import CheckpointStore

LEVELS = 20


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return cnnzoo.build("lenet_gap", include_preprocessing=True)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "bytes": lambda folder, n: files.write_bytes(folder / "x", bytes([n]) * 50_000),
    "model.keras": lambda folder, n: cnnzoo.save(network(n), folder / "x.keras"),
    "weights.h5": lambda folder, n: cnnzoo.save_weights(
        network(n), folder / "x.weights.h5"
    ),
    "safetensors": lambda folder, n: cnnzoo.save_weights(
        network(n), folder / "x.safetensors"
    ),
    "checkpoint": lambda folder, n: CheckpointStore(folder).write(
        n, {"x": np.arange(9000)}, {}
    ),
    "ensemble": lambda folder, n: Ensemble([network(n)]).save(folder),
}


@pytest.mark.parametrize("call", ["_flush", "replace"])
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "checkpoint"])
def test_the_kth_call_fails(kind: str, call: str, tmp_path: Path):
    """The same with a broken disk; test_run.py tests checkpoints."""
    WRITERS[kind](tmp_path, 1)
    before, owner = contents(tmp_path), files if call == "_flush" else Path
    failed = 0
    for k in range(10):
        with kth_call_fails(owner, call, k, errno.EIO), suppress(SaveError):
            WRITERS[kind](tmp_path, 2)
            break
        failed += 1
        assert contents(tmp_path) == before
    assert failed >= 1


@pytest.mark.parametrize("kind", WRITERS)
def test_old_files_are_kept(kind: str, tmp_path: Path):
    write = WRITERS[kind]
    write(tmp_path, 1)
    before = contents(tmp_path)
    largest = max(map(len, before.values()))
    for level in range(LEVELS):
        with room(level * largest // LEVELS), pytest.raises(SaveError, match="make room"):
            write(tmp_path, 2)
        assert contents(tmp_path) == before
    write(tmp_path, 2)
    assert contents(tmp_path) != before


def test_a_training_resumes_when_the_disk_has_space_again(tmp_path: Path):
    train(tmp_path / "alone")
    whole = contents(tmp_path / "alone").values()
    largest = max(map(len, whole))
    for level in range(LEVELS):
        with room(level * largest // LEVELS), pytest.raises(SaveError, match="make room"):
            train(tmp_path / "full", RECIPE)
    train(tmp_path / "full")
    assert_equal(last(tmp_path / "full"), last(tmp_path / "alone"))
    assert not list((tmp_path / "full").rglob(f"{files.TEMPORARY_PREFIX}*"))
