"""Settings of a process: a quiet start, threads, and what affects a training's bits."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from threading import Lock
from typing import Literal

from cnnzoo.errors import UsageError
from cnnzoo.system.validation import COUNT, check_values

Verbose = Literal["auto", 0, 1, 2]
VERBOSE = (("auto", 0, 1, 2).__contains__, '"auto", 0, 1 or 2')
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's
_IMPORTING = Lock()
HIDDEN = {"1": "I", "2": "IW", "3": "IWE"}  # by the level: information, warnings, errors


def import_keras() -> None:
    """Imports Keras, without TensorFlow's start-up messages about CUDA and oneDNN.

    Its log level is set to 3, which shows fatal errors alone, unless the caller has set
    it (`TF_CPP_MIN_LOG_LEVEL`) or has imported TensorFlow. At 2, every machine without a
    GPU would tell of a failed call of cuInit, as an error. Some messages are written
    before the level applies, so stderr is filtered during the import.
    """
    with _IMPORTING:
        known = {"keras", "tensorflow"} & set(sys.modules)
        kinds = None if known else HIDDEN.get(os.environ.setdefault(LOG_LEVEL, "3"))
        noise = f"WARNING: All log messages before absl|[{kinds}][0-9]{{4}} "
        with _without(noise) if kinds else nullcontext():
            import keras  # noqa: F401


@contextmanager
def _without(noise: str) -> Iterator[None]:
    """Passes what is written to stderr within the context through sed.

    It is a process of its own, so that the last lines of this one appear if it crashes.

    Args:
        noise: Extended regular expression of the beginnings of lines that are left out.
    """
    with ExitStack() as after:
        with suppress(OSError):  # there is no stderr, or no sed, as on Windows
            stderr = os.dup(2)
            after.callback(os.close, stderr)
            sed = Popen(
                ["sed", "-E", f"/^({noise})/d"],
                stdin=PIPE,
                stdout=stderr,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
            assert sed.stdin
            after.callback(_end, sed)
            os.dup2(sed.stdin.fileno(), 2)
            after.callback(os.dup2, stderr, 2)
        yield


def _end(sed: Popen) -> None:
    """Lets sed write its last lines; a process that began meanwhile has its pipe, too."""
    assert sed.stdin
    sed.stdin.close()
    with suppress(TimeoutExpired):
        sed.wait(1)


def cores() -> int:
    """Number of CPU cores that this process may use.

    It is that of the machine, or lower if an affinity or a container limits it.
    """
    import joblib

    return joblib.cpu_count()


def configure(threads: int | None = None) -> None:
    """Makes this process fast by setting the number of threads per computation.

    Importing cnnzoo never does this; the command line does.

    Args:
        threads: Number of threads per computation, at least 1, on TensorFlow and
            PyTorch; JAX has no such setting once it runs. None for the number of
            cores, which in a container can be lower than backends detect.

    Raises:
        UsageError: `threads` is below 1, or TensorFlow has already computed something
            with other settings.
    """
    if threads is None:
        threads = cores()
        if threads == _cores_by_affinity():  # backends detect these themselves
            return
    check_values("compute", {"threads": threads}, {"threads": COUNT})
    import_keras()
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        _configure_tensorflow(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def progress_level(verbose: Verbose) -> int:
    """Keras's number for `verbose`, as progress is shown on stdout.

    Args:
        verbose: 0 for silent, 1 for a progress bar, 2 for single lines; "auto" for a
            progress bar on a terminal or in a notebook, else single lines.

    Raises:
        UsageError: It is none of these.
    """
    check_values("show progress", {"verbose": verbose}, {"verbose": VERBOSE})
    if verbose != "auto":
        return int(verbose)
    if sys.stdout is None:  # of a program with windows alone
        return 0
    is_terminal = getattr(sys.stdout, "isatty", bool)()
    return 1 if is_terminal or "ipykernel" in sys.modules else 2


@dataclass(frozen=True)
class Processor:
    """Facts about the CPU.

    Attributes:
        vendor: Name of the vendor, such as "GenuineIntel" or "AuthenticAMD".
        flags: Names of the instruction sets, such as "avx512f" or "amx_bf16".
    """

    vendor: str = ""
    flags: frozenset[str] = frozenset()


@cache
def processor(facts: Path = Path("/proc/cpuinfo")) -> Processor:
    """Facts about the CPU from Linux; empty on other systems.

    Args:
        facts: File with lines such as `flags : avx avx2`, for each core.
    """
    try:
        lines = facts.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return Processor()
    values = {name.strip(): value for name, _, value in (x.partition(":") for x in lines)}
    vendor, flags = values.get("vendor_id", ""), values.get("flags", "")
    return Processor(vendor.strip(), frozenset(flags.split()))


def device_facts() -> dict[str, object]:
    """The settings that affect the last bits of a training.

    Returns:
        `device`; `threads` per computation, None on JAX, which chooses it itself;
        `deterministic`, whether equal trainings have bit-equal results, as on a CPU, None
        if the backend does not provide this.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        device = "gpu" if torch.cuda.is_available() else "cpu"
        deterministic = torch.are_deterministic_algorithms_enabled()
        threads = torch.get_num_threads()
    elif backend == "jax":
        import jax  # pyright: ignore[reportMissingImports], in an extra of its own

        device, deterministic, threads = jax.default_backend(), None, None
    else:
        import tensorflow as tf

        device = "gpu" if tf.config.get_visible_devices("GPU") else "cpu"
        deterministic = None
        threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return {
        "device": device,
        "threads": threads,
        "deterministic": device == "cpu" or deterministic,
    }


def _configure_tensorflow(threads: int) -> None:
    import tensorflow as tf

    config = tf.config.threading
    try:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise UsageError(
            f"cannot go on with {threads} threads, since TensorFlow has already computed "
            f"with {config.get_intra_op_parallelism_threads() or 'its own number'} and "
            f"{config.get_inter_op_parallelism_threads() or 'its own number'} of its "
            "operations at a time; call cnnzoo.configure() first of all"
        ) from error


def _cores_by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
