"""The context of a layer's call: training or inference, and the processor."""

import os
import platform
from functools import cache
from pathlib import Path

from keras.src.backend.common import global_state

from cnnzoo.system.runtime import processor


def learning() -> bool:
    """Whether the current call was made with `training=True`.

    Keras passes the argument only to layers whose `call` has it, and keeps it for the
    others in a private attribute, which is read only here.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    return bool(getattr(context, "training", None))


@cache
def avx512(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN can use AVX-512; also True without oneDNN, as on ARM.

    Args:
        facts: Linux's file about the processor; other systems are assumed to have none.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    held_to = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if held_to in ("SSE41", "AVX") or held_to.startswith("AVX2"):
        return False
    return "avx512f" in processor(facts).flags


@cache
def on_cpu() -> bool:
    """Whether TensorFlow finds no GPU."""
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
