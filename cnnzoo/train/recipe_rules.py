"""What the values of a recipe may be."""

from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any

from cnnzoo.errors import UsageError
from cnnzoo.train.recipes import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError for values out of range, or that do not go together."""
    for name, (fits, expected) in RULES.items():
        value = getattr(recipe, name)
        if not (fits(value) or (value is None and name in OPTIONAL)):
            raise UsageError(
                f"cannot train with {name}={value!r}: expected {expected}, so pass such "
                "a value"
            )
    if recipe.mixup is not None and recipe.class_weights:
        raise UsageError(
            "class_weights weigh images of one class, and mixup blends images of two; "
            "leave one of them out"
        )


def _is_number(value: Any, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and isfinite(value)


def _count(value: Any) -> bool:
    return _is_number(value, Integral) and value >= 1


def _above_zero(value: Any) -> bool:
    return _is_number(value) and value > 0


def _at_least_zero(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _share(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


COUNT = (_count, "a whole number of at least 1")
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": COUNT,
    "batch_size": COUNT,
    "patience": COUNT,
    "learning_rate": (_above_zero, "a number above 0"),
    "momentum": (_share, "a number of 0 to below 1"),
    "averaging": (_share, "a number of 0 to below 1"),
    "layer_decay": (_above_zero, "a number above 0"),
    "mixup": (_above_zero, "a number above 0"),
    "weight_decay": (_at_least_zero, "a number of at least 0"),
    "start_decay": (_at_least_zero, "a number of at least 0"),
    "schedule": (("plateau", "cosine").__contains__, '"plateau" or "cosine"'),
    "class_weights": (("balanced",).__contains__, '"balanced" or None'),
}
OPTIONAL = RULES.keys() - {"epochs", "batch_size", "schedule"}  # which may be None
