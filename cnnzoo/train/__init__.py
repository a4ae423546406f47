"""Training: runs that can be continued, recipes and cross-validation."""

from cnnzoo.system.runtime import import_keras

import_keras()

from cnnzoo.train.checkpoint.callback import Checkpoint
from cnnzoo.train.cross_validation import Folds, kfold
from cnnzoo.train.recipe import RECIPES, Recipe
from cnnzoo.train.replicates import bag, members, repeat
from cnnzoo.train.run import Run

__all__ = [
    "RECIPES",
    "Checkpoint",
    "Folds",
    "Recipe",
    "Run",
    "bag",
    "kfold",
    "members",
    "repeat",
]
