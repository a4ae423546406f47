"""Training: runs that survive a kill, recipes, folds."""

from cnnzoo.train.checkpoint import Checkpoint
from cnnzoo.train.folds import Folds, kfold
from cnnzoo.train.members import bag, members, repeat
from cnnzoo.train.recipes import RECIPES, Recipe
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
