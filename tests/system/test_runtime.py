"""The settings of a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnzoo
from cnnzoo.system import runtime


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
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": ""}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "99999", "cpu/cpu.cfs_period_us": "50000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "99999"}, None),
        ({}, None),
    ],
)
def test_share_of_a_container(tmp_path: Path, files: dict[str, str], cores: int | None):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert runtime._share(tmp_path) == cores


def test_share_is_at_most_the_cores_there_are(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("99900000 100000")
    assert runtime._share(tmp_path) == len(os.sched_getaffinity(0))
