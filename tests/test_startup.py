"""The settings of a process."""

import subprocess
import sys
from pathlib import Path

import pytest

import cnnzoo
from cnnzoo import startup


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_threads():
    code = (
        "import cnnzoo, tensorflow as tf; cnnzoo.configure(threads=1);"
        "print(tf.config.threading.get_intra_op_parallelism_threads());"
        "tf.zeros(1); cnnzoo.configure(threads=1);"
        "cnnzoo.configure(threads=2)"
    )
    done = run(code)
    assert done.stdout.strip() == "1"
    assert (
        "UsageError: cannot go on with 2 threads, since TensorFlow has already computed "
        "with 1 and 1 of its operations at a time; call cnnzoo.configure() first of all"
    ) in done.stderr


def test_importing_sets_nothing():
    code = (
        "import cnnzoo; cnnzoo.build; import tensorflow as tf;"
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    assert run(code).stdout.strip() == "0"  # TensorFlow's word for all


def test_no_threads():
    with pytest.raises(cnnzoo.UsageError, match="0 threads: expected at least 1"):
        cnnzoo.configure(threads=0)


@pytest.mark.parametrize(
    ("limits", "cores"),
    [("max 100000", None), ("250000 100000", 2), ("50000 100000", 1), ("", None)],
)
def test_share_of_a_container(tmp_path: Path, limits: str, cores: int | None):
    path = tmp_path / "cpu.max"
    path.write_text(limits)
    assert startup._share(path) == cores
    assert startup._share(tmp_path / "none") is None
