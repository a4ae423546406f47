"""The settings of a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cnnzoo
from cnnzoo.system.runtime import LOG_LEVEL, progress_level


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
    with pytest.raises(cnnzoo.UsageError, match="threads=0: expected a whole number"):
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


NOISE = "WARNING: All log messages before absl::InitializeLog()\nI0000 00:00 no cuda\n"
ERROR = "E0000 00:00 failed call to cuInit\n"
FAKE = f"import os\nos.write(2, {(NOISE + ERROR + 'kept').encode()!r})\n"


def fake(keras: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets programs that are run import this text as Keras."""
    (folder / "keras.py").write_text(keras)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    monkeypatch.delenv(LOG_LEVEL)


def test_the_last_words_of_a_crash_are_shown(tmp_path, monkeypatch):
    fake(f"{FAKE}os.abort()\n", tmp_path, monkeypatch)
    done = run("from cnnzoo.system.runtime import import_keras; import_keras()")
    assert (done.returncode, done.stderr) == (-signal.SIGABRT, "kept")


@pytest.mark.parametrize(
    ("level", "shown"),
    [(None, "kept"), ("1", ERROR + "kept"), ("0", NOISE + ERROR + "kept")],
)
def test_keras_is_imported_quietly(level: str | None, shown: str, tmp_path, monkeypatch):
    fake(FAKE, tmp_path, monkeypatch)
    if level:
        monkeypatch.setenv(LOG_LEVEL, level)
    done = run(
        "import os; from cnnzoo.system.runtime import LOG_LEVEL, import_keras;"
        "before = os.environ.get(LOG_LEVEL); import_keras(); import_keras();"
        "print(before, os.environ[LOG_LEVEL])"
    )
    assert done.stderr == shown
    assert done.stdout.split() == [str(level), level or "3"]


def test_python_is_quiet_too(monkeypatch):
    """The log level is set when Keras is needed, not before."""
    monkeypatch.delenv(LOG_LEVEL)
    done = run(
        "import os, sys, cnnzoo; cnnzoo.UsageError, cnnzoo.list_models();"
        f"assert not {{'keras', 'tensorflow'}} & set(sys.modules);"
        f"assert {LOG_LEVEL!r} not in os.environ; cnnzoo.build('lenet5')"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verbose", "terminal", "level"),
    [("auto", True, 1), ("auto", False, 2), (0, True, 0), (1, False, 1), (2, True, 2)],
)
def test_progress_level(verbose, terminal: bool, level: int, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert progress_level(verbose) == level


def test_an_unknown_progress_is_refused():
    with pytest.raises(
        cnnzoo.UsageError, match="verbose='loud': expected \"auto\", 0, 1"
    ):
        progress_level("loud")  # pyright: ignore[reportArgumentType]
