"""Compares changes of a recipe on all 60,000 training digits, many trainings at once.

    KERAS_BACKEND=jax CNNZOO_DATA=folder python tools/levers.py runs/levers --at-once 14

It trains each row of `ROWS` on the folds of `cnnzoo kfold --seed 0`, in one process per
training, which fits one GPU and 14 cores. Each training is a `Run`, so the command
continues after an interruption. `tools/out_of_fold.py` then evaluates the results. The
test split is not opened. On a GPU with little memory, set XLA_PYTHON_CLIENT_MEM_FRACTION.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from make_weights import VALIDATION_IMAGES

from cnnzoo.system import files
from cnnzoo.train.recipe import RECIPES, Recipe

FOLDS = 5
PROBABILITIES_FILE = "probabilities.npz"  # of a training
MNIST = replace(RECIPES["mnist"], precision="float32")
LONG = RECIPES["mnist_long"]
MILD = RECIPES["mnist_small_resnet"]
STRONG = replace(MILD, augment=MNIST.augment)


@dataclass(frozen=True)
class Row:
    """A recipe for a network.

    Attributes:
        network: Catalog name of the network.
        changes: Description of the recipe.
        recipe: The recipe; its seed is that of the fold.
        folds: Folds to train, from 1; 0 is the training with 5,000 validation images.
        plain_epochs: Number of last epochs without augmentation.
        seed: Seed of the training with 5,000 validation images; the others have the
            number of the fold.
        teachers: Names of rows whose networks of the same fold give 70 % of each label.
    """

    network: str
    changes: str
    recipe: Recipe
    folds: tuple[int, ...] = (1, 2, 3, 4, 5)
    plain_epochs: int = 0
    seed: int = 0
    teachers: tuple[str, ...] = ()


VERY_SMALL, SMALL, RESNET = "very_small_vgg", "small_vgg", "small_resnet"
ROWS = {
    "vsv18": Row(VERY_SMALL, "`mnist`", MNIST),
    "vsv18p": Row(
        VERY_SMALL, "`mnist`, last 2 epochs without augmentation", MNIST, plain_epochs=2
    ),
    "vsv40": Row(VERY_SMALL, "`mnist_long`, 40 epochs", LONG, (0, 1, 2, 3, 4, 5)),
    "vsv40-s1": Row(VERY_SMALL, "`mnist_long`, 40 epochs", LONG, (0,), seed=1),
    "vsv40-s2": Row(VERY_SMALL, "`mnist_long`, 40 epochs", LONG, (0,), seed=2),
    "vsv40p": Row(
        VERY_SMALL,
        "`mnist_long`, last 2 epochs without augmentation",
        LONG,
        (0, 1, 2, 3, 4, 5),
        plain_epochs=2,
    ),
    "svgg40": Row(SMALL, "`mnist_long`, 40 epochs", LONG, (0, 1, 2, 3, 4, 5)),
    "svgg40p": Row(
        SMALL,
        "`mnist_long`, last 2 epochs without augmentation",
        LONG,
        (0, 1),
        plain_epochs=2,
    ),
    "srn-mild18": Row(RESNET, "`mnist_small_resnet`", MILD, (1,)),
    "srn-strong18": Row(RESNET, "augmentation of `mnist`", STRONG, (1,)),
    "srn-strong40": Row(
        RESNET, "the same, 40 epochs", replace(STRONG, epochs=40), (0, 1, 2, 3, 4)
    ),
    "srn-strong40wd": Row(
        RESNET,
        "the same, weight decay 0.05",
        replace(STRONG, epochs=40, weight_decay=0.05),
        (1,),
    ),
    "srn-slow40": Row(
        RESNET,
        "augmentation of `mnist`, 40 epochs, rate 5e-4",
        replace(STRONG, epochs=40, learning_rate=5e-4),
        (1,),
    ),
    "vsv40-distil": Row(
        VERY_SMALL,
        "`mnist_long`, soft labels from `very_small_vgg` and `small_vgg`",
        replace(LONG, loss="categorical_crossentropy"),
        (1,),
        teachers=("vsv40", "svgg40"),
    ),
}
SOFT = 0.7  # share of the teachers in a label


def train(folder: Path, row: Row, name: str, fold: int) -> None:
    """Trains one network, and writes its result and its probabilities."""
    import keras

    import cnnzoo
    from cnnzoo.data import sources
    from cnnzoo.inference import probabilities
    from cnnzoo.train import Run, cross_validation

    source = cnnzoo.load_mnist("train")
    if fold:
        rows, test = list(sources.split_folds(source, FOLDS, 0))[fold - 1]
        data = cross_validation.split_validation(source.take(rows), 0, None)
        images = source.take(test)
    else:
        data = source.split(VALIDATION_IMAGES, row.seed)
        images = data[1]
    if row.plain_epochs:
        _without_augmentation(row.recipe.epochs - row.plain_epochs)
    if row.teachers:
        paths = [folder / f"{teacher}-{fold}" / "model.keras" for teacher in row.teachers]
        _with_soft_labels([cnnzoo.load(path) for path in paths])
    seed = fold or row.seed
    keras.utils.set_random_seed(seed)
    model = cnnzoo.build(row.network, include_preprocessing=True)
    run = folder / f"{name}-{fold}"
    history = Run(run).fit(model, *data, replace(row.recipe, seed=seed), verbose=2)
    found = probabilities(model, images).astype("float16")
    with files.replacing(run / PROBABILITIES_FILE) as temporary:
        np.savez_compressed(temporary, probabilities=found)
    files.write_json(run / "result.json", {"history": dict(history)})


def _without_augmentation(first: int) -> None:
    """From this epoch on, counted from 0, batches are not augmented."""
    from cnnzoo.data import batches

    augment = batches.apply_augment

    def apply(images, ranges, seed, epoch, batch):
        if epoch >= first:
            return images.astype(np.float32)
        return augment(images, ranges, seed, epoch, batch)

    batches.apply_augment = apply


def _with_soft_labels(teachers: list) -> None:
    """Labels are blended with the teachers' predictions of the augmented images."""
    from keras import ops

    from cnnzoo.train import compilation

    make_inputs = compilation.make_inputs

    def make(*args):
        train_batches, validation = make_inputs(*args)

        def adapt(images, labels):
            soft = [ops.convert_to_numpy(model(images)) for model in teachers]
            blended = SOFT * np.mean(soft, 0) + (1 - SOFT) * labels
            return images, blended.astype(np.float32)

        train_batches.adapt = adapt
        return train_batches, validation

    compilation.make_inputs = make


def train_all(folder: Path, at_once: int) -> None:
    """Trains all rows, each network in a process with one thread."""
    waiting = [(name, fold) for name, row in ROWS.items() for fold in row.folds]
    waiting = [one for one in waiting if not _result(folder, *one).exists()]
    running: dict[tuple[str, int], subprocess.Popen] = {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        while waiting or running:
            for one in list(running):
                if running[one].poll() is not None:
                    print(f"{one} ended with {running.pop(one).returncode}", flush=True)
            ready = [
                (name, fold)
                for name, fold in waiting
                if all(_result(folder, t, fold).exists() for t in ROWS[name].teachers)
            ]
            if not running and not ready:
                break  # the teachers of what is waiting have failed
            for one in ready[: at_once - len(running)]:
                waiting.remove(one)
                command = [sys.executable, __file__, folder, "--train", *map(str, one)]
                running[one] = subprocess.Popen(command, env=environment)
            time.sleep(1)
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)


def _result(folder: Path, name: str, fold: int) -> Path:
    return folder / f"{name}-{fold}" / "result.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--train", nargs=2, metavar=("ROW", "FOLD"))
    args = parser.parse_args()
    if args.train:
        name, fold = args.train
        train(args.folder, ROWS[name], name, int(fold))
    else:
        train_all(args.folder, args.at_once)


if __name__ == "__main__":
    main()
