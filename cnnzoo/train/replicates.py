"""Repeated training for an ensemble: from several seeds, or on bootstrap samples."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.arrays import Source, is_source
from cnnzoo.data.inputs.conversion import Labelled, as_train_validation
from cnnzoo.errors import UsageError
from cnnzoo.inference import class_names
from cnnzoo.saving import load
from cnnzoo.system.runtime import Verbose
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run
from cnnzoo.weights.formats.keras_archive import MODEL_FILE

KINDS = ("fold", "seed", "bag")  # prefixes of folders: of kfold, repeat and bag

NewModel = Callable[[], keras.Model]


def repeat(
    new_model: NewModel,
    train: Labelled,
    validation: Labelled | float,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    verbose: Verbose = "auto",
) -> list[keras.Model]:
    """Trains a network from several seeds, each as a `Run` in `seed-N`.

    Args:
        new_model: Function that builds the network; Keras's seed is set before.
        train: Training images, as in `Run.fit`.
        validation: Images by which the best epoch is chosen, or a share of `train`, which
            is the same for all seeds.
        folder: Folder of the runs.
        recipe: Training recipe; None for the defaults.
        seeds: Random seeds of the weights, the order of images and their augmentation.
        verbose: As in `Run.fit`.
    """
    once = partial(train_once, new_model=new_model, recipe=recipe, verbose=verbose)
    data = _open(new_model, train, validation, 0)
    return [once(Path(folder) / f"seed-{seed}", data=data, seed=seed) for seed in seeds]


def bag(
    new_model: NewModel,
    train: Labelled,
    validation: Labelled | float,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    members: int = 5,
    seed: int = 0,
    verbose: Verbose = "auto",
) -> list[keras.Model]:
    """Trains members of an ensemble on bootstrap samples, each as a `Run` in `bag-N`.

    A bootstrap sample has as many images, drawn with replacement: L. Breiman, Bagging
    Predictors, Machine Learning 24, 1996.

    Args:
        new_model: Function that builds the network; Keras's seed is set before, to
            `seed` plus the number of the member.
        train: Training images, as in `Run.fit`.
        validation: Images by which the best epoch is chosen, or a share of `train`.
        folder: Folder of the runs.
        recipe: Training recipe; None for the defaults.
        members: Number of members.
        seed: Random seed of the split and of the bootstrap samples.
        verbose: As in `Run.fit`.
    """
    once = partial(train_once, new_model=new_model, recipe=recipe, verbose=verbose)
    images, validation = _open(new_model, train, validation, seed)
    models = []
    for number in range(1, members + 1):
        rng = np.random.default_rng((seed, number))
        rows = np.sort(rng.integers(0, len(images), len(images)))
        data, path = (images.take(rows), validation), Path(folder) / f"bag-{number}"
        models.append(once(path, data=data, seed=seed + number))
    return models


def members(folder: str | Path) -> list[keras.Model]:
    """Loads the networks that `kfold`, `repeat` or `bag` trained in a folder, in order.

    Raises:
        UsageError: The folder has no networks, or those of several calls, or a training
            has not ended.
        CheckpointError: The checkpoints of a training are lost.
        WeightFileError: A file is damaged.
    """
    runs = sorted(
        (kind, int(number), path)
        for path in Path(folder).glob("*-*")
        for kind, _, number in [path.name.rpartition("-")]
        if kind in KINDS and number.isdecimal()
    )
    if len({kind for kind, _, _ in runs}) != 1:
        raise UsageError(
            f"{folder} has no trained networks, such as fold-1/{MODEL_FILE}, or those of "
            "several calls; expected a folder of one call of kfold, repeat or bag"
        )
    for _, _, path in runs:
        if not Run(path).is_over:
            raise UsageError(
                f"the training in {path} has not ended; repeat the call that started it, "
                "which continues it"
            )
    return [load(path) for _, _, path in runs]


def train_once(
    folder: Path,
    new_model: NewModel,
    data: tuple[Source, Source],
    recipe: Recipe | None,
    *,
    seed: int,
    verbose: Verbose,
) -> keras.Model:
    """Builds a network and trains it in a folder, or continues its training there.

    Raises:
        UsageError: `new_model` is no function, or gives a network that was trained here.
    """
    _check_function(new_model)
    keras.utils.set_random_seed(seed)
    model = new_model()
    if model.compiled and int(model.optimizer.iterations):
        raise UsageError(
            f"{folder} needs a new network; got one, {model.name!r}, that has been "
            "trained already, as if it had seen these images, so build or load the "
            "network inside the function"
        )
    seeded = replace(recipe or Recipe(), seed=seed)
    Run(folder).fit(model, *data, seeded, verbose=verbose)
    return model


def known_names(new_model: NewModel, data: Labelled) -> tuple[str, ...]:
    """The class names to which numbers in the labels of `data` refer.

    Raises:
        UsageError: `new_model` is no function.
    """
    _check_function(new_model)
    return () if is_source(data) else class_names(new_model())


def _check_function(new_model: NewModel) -> None:
    if isinstance(new_model, keras.Model):
        raise UsageError(
            f"each training needs a new network; got the model {new_model.name!r}, so "
            "pass a function that builds one, such as lambda: cnnzoo.build(...)"
        )


def _open(
    new_model: NewModel, train: Labelled, validation: Labelled | float, seed: int
) -> tuple[Source, Source]:
    return as_train_validation(train, validation, known_names(new_model, train), seed)
