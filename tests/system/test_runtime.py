"""The settings of a process."""

import os
import subprocess
import sys

import pytest

import cnnzoo


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


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinities")
def test_cores_that_the_process_may_not_use_do_not_count():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from cnnzoo.system.runtime import cores; print(cores())"
    )
    assert run(code).stdout.strip() == "1"


def test_the_limit_of_a_container_sets_the_threads():
    """Backends do not see it; joblib reads it, and its variable stands for it here."""
    code = (
        "import os; os.environ['LOKY_MAX_CPU_COUNT'] = '1';"
        "os.sched_getaffinity = lambda _: {0, 1};"
        "import cnnzoo, tensorflow as tf; cnnzoo.configure();"
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    assert run(code).stdout.strip() == "1"
