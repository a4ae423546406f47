"""What the values of a recipe may be."""

from collections.abc import Callable
from typing import Any

import keras

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError
from cnnzoo.system.validation import is_above_zero, is_at_least_zero, is_count, is_share
from cnnzoo.train.recipe import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError for values out of range, or that do not go together."""
    for name, (fits, expected) in RULES.items():
        value = getattr(recipe, name)
        if not (fits(value) or (value is None and name in OPTIONAL)):
            raise UsageError(
                f"cannot train with {name}={value!r}: expected {expected}, so pass such "
                "a value"
            )
    if recipe.momentum is not None and recipe.optimizer.lower() != "sgd":
        raise UsageError(
            f"momentum={recipe.momentum} is for the optimiser sgd; got "
            f"{recipe.optimizer!r}, so leave momentum out or choose sgd"
        )
    if recipe.mixup is not None and recipe.class_weights:
        raise UsageError(
            "class_weights weigh images of one class, and mixup blends images of two; "
            "leave one of them out"
        )


def _is_optimizer(name: object) -> bool:
    try:
        keras.optimizers.get(name)
    except (KeyError, TypeError, ValueError):
        return False
    return isinstance(name, str)


COUNT = (is_count, "a whole number of at least 1")
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": COUNT,
    "batch_size": COUNT,
    "patience": COUNT,
    "optimizer": (_is_optimizer, "a name that Keras has, such as adam, sgd or rmsprop"),
    "learning_rate": (is_above_zero, "a number above 0"),
    "momentum": (is_share, "a number of 0 to below 1"),
    "averaging": (is_share, "a number of 0 to below 1"),
    "layer_decay": (is_above_zero, "a number above 0"),
    "mixup": (is_above_zero, "a number above 0"),
    "weight_decay": (is_at_least_zero, "a number of at least 0"),
    "start_decay": (is_at_least_zero, "a number of at least 0"),
    "augment": (lambda value: isinstance(value, Augment), "an Augment"),
    "schedule": (("plateau", "cosine").__contains__, '"plateau" or "cosine"'),
    "class_weights": (("balanced",).__contains__, '"balanced" or None'),
}
NEVER_NONE = {"epochs", "batch_size", "schedule", "optimizer"}
OPTIONAL = RULES.keys() - NEVER_NONE
