"""A small training, killed again and again.

    python tests/helpers/killed_training.py 10 FOLDER

Children are forked from a process that has imported everything and computed nothing, so
that a start takes a fraction of a second. The last line on standard output is JSON: how
many were killed, how many went on, and whether the end is that of a training that was
left alone, number by number.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.train.checkpoint.store import CheckpointStore, StoredCheckpoint
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run

RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    averaging=0.9,
    precision="float32",
    augment=Augment(rotation_range=10, zoom_range=0.1),
)


def train(folder: Path) -> None:
    """Four epochs of six steps, with Dropout, and a checkpoint after each step."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (128, 12, 12, 1)).astype(np.uint8)
    images = Images(pixels, np.arange(128) % 2, ("even", "odd"))
    train, validation = images.split(0.25, seed=0)
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(
        "mlp",
        input_shape=(12, 12, 1),
        classes=2,
        depth=1,
        width=16,
        dropout=0.5,
        include_preprocessing=True,
    )
    Run(folder, save_seconds=0).fit(model, train, validation, RECIPE)


def child(folder: Path) -> int:
    """Starts the training in a process of its own; returns its number."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            train(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return process


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").glob("step-*")}


def ended(
    process: int, seconds: float = 60.0, until: Callable[[], bool] = lambda: False
) -> int | None:
    """The exit code of a process, negative for a signal; None if it goes on.

    It is waited for so many seconds, or until something happens.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def last(folder: Path) -> StoredCheckpoint:
    saved = CheckpointStore(folder / "checkpoints").newest()
    assert saved is not None
    return saved


def cut_short(place: Path, seconds: float, *, soon: bool) -> int:
    """Starts the training and kills it within so many seconds; returns its exit code.

    Args:
        soon: it is killed right after a checkpoint, however slow the machine is.
    """
    before = checkpoints(place)
    process = child(place)
    code = None
    if soon:
        code = ended(process, until=lambda: checkpoints(place) != before)
        seconds = min(seconds, 0.2)
    if code is None:
        code = ended(process, random.uniform(0, seconds))
    if code is None:
        os.kill(process, signal.SIGKILL)
        code = ended(process)
    assert code in (0, -signal.SIGKILL), f"a start after a kill ended with {code}"
    return code


def main(kills: int, folder: Path) -> None:
    start = time.monotonic()
    assert ended(child(folder / "alone")) == 0
    alone = time.monotonic() - start
    random.seed(0)
    killed = finished = went_on = 0
    while killed < kills:
        place = folder / f"killed-{finished}"
        while True:
            goes_on = bool(checkpoints(place))
            if cut_short(place, alone, soon=killed % 2 == 1) == 0:
                break
            killed += 1
            went_on += goes_on
        one, other = last(folder / "alone"), last(place)
        timeless = {"seconds": 0, "cpu_seconds": 0}
        assert one.facts | timeless == other.facts | timeless
        for name, array in one.arrays.items():
            np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
        history = json.loads((place / "history.json").read_text())
        assert history == json.loads((folder / "alone" / "history.json").read_text())
        left = [path.name for path in place.rglob("*cnnzoo-tmp*")]
        assert not left, left
        finished += 1
    print(json.dumps({"killed": killed, "went_on": went_on, "finished": finished}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
