"""A training in one call, for tests."""

from pathlib import Path

import keras

from cnnzoo.data.arrays import Source
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import History, Run


def fit(
    model: keras.Model,
    train: Source,
    validation: Source,
    out: Path,
    recipe: Recipe | None = None,
) -> History:
    return Run(out).fit(model, train, validation, recipe)
