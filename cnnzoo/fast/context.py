"""The circumstances in which a layer is called."""

import os
import platform
from functools import cache
from pathlib import Path

from keras.src.backend.common import global_state

from cnnzoo.system.runtime import processor


def learning() -> bool:
    """Whether the call under way was made with `training=True`.

    Keras passes that on only to layers whose `call` asks for it, and keeps it for the
    others in a private place, which is read here and nowhere else.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    return bool(getattr(context, "training", None))


@cache
def avx512(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN has AVX-512; True also where there is no oneDNN, as on ARM.

    Args:
        facts: Linux's file about the processor; on other systems AVX-512 is not expected.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    held_to = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if held_to in ("SSE41", "AVX") or held_to.startswith("AVX2"):
        return False
    return "avx512f" in processor(facts).flags


@cache
def on_cpu() -> bool:
    """Whether TensorFlow sees no GPU, for which there are other kernels."""
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
