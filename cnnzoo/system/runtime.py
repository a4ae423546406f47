"""Settings that a process makes once, before its first computation."""

from pathlib import Path

import keras

from cnnzoo.errors import UsageError
from cnnzoo.system.cores import cores


def configure(threads: int | None = None) -> None:
    """Makes this process fast: how many threads a computation is spread over.

    Importing cnnzoo never does this; the command line does.

    Args:
        threads: of one computation, at least 1, on TensorFlow and PyTorch; JAX has no
            such setting once it runs. None for as many as the process may use
            cores, of which a container can have fewer than backends see.

    Raises:
        UsageError: `threads` is below 1, or TensorFlow has already computed something
            with other settings.
    """
    if threads is None:
        threads = _share()
    if threads is None:  # backends know of affinities
        return
    if threads < 1:
        raise UsageError(
            f"cannot compute with {threads} threads: expected at least 1, so pass such a "
            "number or leave threads out"
        )
    backend = keras.backend.backend()
    if backend == "tensorflow":
        _tensorflow(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def in_force() -> dict[str, object]:
    """The settings that decide about the last bits of a training.

    Returns:
        `device`; `threads` of one computation, None where JAX chooses; `deterministic`,
        whether the same training ends in the same bits, as it does on a CPU, None where
        the backend does not tell.
    """
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

        device = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
        deterministic = None
        threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return {
        "device": device,
        "threads": threads,
        "deterministic": device == "cpu" or deterministic,
    }


def _tensorflow(threads: int) -> None:
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


def _share(controls: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The cores that a container may use; None where its time is not limited.

    Args:
        controls: Linux's folder of limits: microseconds of CPU time, and of how many, in
            one file of its second version, in two of the first.
    """
    second, first = controls / "cpu.max", controls / "cpu"
    try:
        if second.exists():
            quota, period = second.read_text(encoding="ascii").split()
        else:
            quota, period = (
                (first / name).read_text(encoding="ascii")
                for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        share = int(quota) // int(period)
    except (OSError, ValueError):  # another system, or "max"
        return None
    if int(quota) < 0:  # the first version's word for no limit
        return None
    return min(max(1, share), cores())
