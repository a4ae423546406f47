"""Networks by the same training, to answer together: from seeds, or on bootstraps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.errors import UsageError
from cnnzoo.saving import load
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import MODEL_FILE, Run

KINDS = ("fold", "seed", "bag")  # of folders, by who trains in them

NewModel = Callable[[], keras.Model]


def repeat(
    new_model: NewModel,
    train: Source,
    validation: Source,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    verbose: int = 0,
) -> list[keras.Model]:
    """The same training from several seeds, each a `Run` in `seed-N`.

    Args:
        new_model: builds the network anew; Keras's seed is set before.
        seeds: of the weights, of the order of images and of their augmentation.
    """
    return [
        trained(
            new_model,
            (train, validation),
            Path(folder) / f"seed-{seed}",
            recipe,
            seed=seed,
            verbose=verbose,
        )
        for seed in seeds
    ]


def bag(
    new_model: NewModel,
    train: Source,
    validation: Source,
    folder: str | Path,
    recipe: Recipe | None = None,
    *,
    members: int = 5,
    seed: int = 0,
    verbose: int = 0,
) -> list[keras.Model]:
    """Members of an ensemble, each a `Run` in `bag-N` on a bootstrap of the images.

    A bootstrap is as many images, drawn with replacement: L. Breiman, Bagging
    Predictors, Machine Learning 24, 1996.

    Args:
        new_model: builds the network anew; Keras's seed is set before, to `seed` and the
            number of the member.
    """
    found = []
    for number in range(1, members + 1):
        draw = np.random.default_rng((seed, number))
        rows = np.sort(draw.integers(0, len(train), len(train)))
        model = trained(
            new_model,
            (train.take(rows), validation),
            Path(folder) / f"bag-{number}",
            recipe,
            seed=seed + number,
            verbose=verbose,
        )
        found.append(model)
    return found


def members(folder: str | Path) -> list[keras.Model]:
    """The networks that `kfold`, `repeat` or `bag` trained in a folder, in their order.

    Raises:
        UsageError: there are none, of two of these, or one whose training is not over.
        WeightFileError: a file is damaged.
    """
    found = sorted(
        (kind, int(number), path)
        for path in Path(folder).glob("*-*")
        for kind, _, number in [path.name.rpartition("-")]
        if kind in KINDS and number.isdecimal()
    )
    if len({kind for kind, _, _ in found}) != 1:
        raise UsageError(
            f"{folder} has no trained networks, such as fold-1/{MODEL_FILE}, or those of "
            "several calls; expected a folder of one of kfold, repeat and bag"
        )
    for _, _, path in found:
        if not Run(path).is_over:
            raise UsageError(
                f"the training in {path} is not over; call what began it again, which "
                "goes on with it"
            )
    return [load(path / MODEL_FILE) for _, _, path in found]


def trained(
    new_model: NewModel,
    parts: tuple[Source, Source],
    folder: Path,
    recipe: Recipe | None,
    *,
    seed: int,
    verbose: int,
) -> keras.Model:
    """A network made anew and trained in a folder, or what is there of that."""
    keras.utils.set_random_seed(seed)
    model = new_model()
    own = replace(recipe or Recipe(), seed=seed)
    Run(folder).fit(model, *parts, own, verbose=verbose)
    return model
