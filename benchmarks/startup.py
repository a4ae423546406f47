"""Start-up: building networks, and a new process that imports and builds one."""

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.task import Parts, Task, Work, versions

NETWORKS = (  # names of the builders in both libraries
    "VGG16",
    "VGG19",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "InceptionV3",
    "InceptionResNetV2",
    "Xception",
)


def our_builds(work: Work) -> Task:
    import cnnzoo

    return builds(lambda name: getattr(cnnzoo, name)())


def stock_builds(work: Work) -> Task:
    import keras

    return builds(lambda name: getattr(keras.applications, name)(weights=None))


def builds(build: Callable[[str], object]) -> Task:
    """A task whose rounds build each network and measure its time."""
    import keras

    def run() -> Parts:
        seconds = {}
        for name in NETWORKS:
            start = time.perf_counter()
            model = build(name)
            seconds[name] = time.perf_counter() - start
            del model
            keras.utils.clear_session(free_memory=True)
        return seconds

    return Task(run, {"versions": versions("keras", "tensorflow", "cnnzoo")})


def our_process(work: Work) -> Task:
    return process("import cnnzoo; cnnzoo.VGG16()")


def stock_process(work: Work) -> Task:
    return process("import keras; keras.applications.VGG16(weights=None)")


def process(code: str) -> Task:
    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=sys.stderr)

    return Task(run, {"versions": versions("keras", "tensorflow", "cnnzoo")})
