"""What the values of a recipe may be."""

import keras

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError
from cnnzoo.system.validation import (
    ABOVE_ZERO,
    AT_LEAST_ZERO,
    COUNT,
    FRACTION,
    Rule,
    check_values,
    optional,
)
from cnnzoo.train.recipe import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError for values out of range, or that do not go together."""
    check_values("train", vars(recipe), RULES)
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


RULES: dict[str, Rule] = {
    "epochs": COUNT,
    "batch_size": COUNT,
    "patience": optional(COUNT),
    "optimizer": (_is_optimizer, "a name that Keras has, such as adam, sgd or rmsprop"),
    "learning_rate": optional(ABOVE_ZERO),
    "momentum": optional(FRACTION),
    "averaging": optional(FRACTION),
    "layer_decay": optional(ABOVE_ZERO),
    "mixup": optional(ABOVE_ZERO),
    "weight_decay": optional(AT_LEAST_ZERO),
    "start_decay": optional(AT_LEAST_ZERO),
    "augment": optional((lambda value: isinstance(value, Augment), "an Augment")),
    "schedule": (("plateau", "cosine").__contains__, '"plateau" or "cosine"'),
    "class_weights": optional((("balanced",).__contains__, '"balanced"')),
}
