"""Checks of arguments: predicates for numbers, and tables of rules."""

from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from cnnzoo.errors import UsageError

Rule = tuple[Callable[[Any], bool], str]  # a predicate, and its description


def check_values(
    action: str, values: Mapping[str, Any], rules: Mapping[str, Rule]
) -> None:
    """Checks values by name, before any of them is used.

    Args:
        action: Action that the message names, such as "train".
        values: Values by name, of which some may have no rule.
        rules: Rule of each name that is checked.

    Raises:
        UsageError: A value does not meet its rule; the message names the first.
    """
    for name, (fits, expected) in rules.items():
        if not fits(values[name]):
            raise UsageError(
                f"cannot {action} with {name}={values[name]!r:.200}: expected "
                f"{expected}, so pass such a value"
            )


def optional(rule: Rule) -> Rule:
    """A rule that also allows None."""
    fits, expected = rule
    return lambda value: value is None or fits(value), f"{expected}, or None"


def one_of(*names: str) -> Rule:
    """A rule for a text that is one of these."""
    return names.__contains__, " or ".join(f'"{name}"' for name in names)


def is_number(value: Any, kind: type = Real) -> bool:
    """Whether `value` is a finite number of Python or NumPy, and not a boolean."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return isinstance(value, Integral) or isfinite(value)


def is_count(value: Any) -> bool:
    """Whether `value` is a whole number of at least 1."""
    return is_number(value, Integral) and value >= 1


def is_above_zero(value: Any) -> bool:
    return is_number(value) and value > 0


def is_at_least_zero(value: Any) -> bool:
    return is_number(value) and value >= 0


def is_fraction(value: Any) -> bool:
    """Whether `value` is a number from 0 to below 1."""
    return is_number(value) and 0 <= value < 1


COUNT: Rule = (is_count, "a whole number of at least 1")
ABOVE_ZERO: Rule = (is_above_zero, "a number above 0")
AT_LEAST_ZERO: Rule = (is_at_least_zero, "a number of at least 0")
SEED: Rule = (
    lambda value: is_number(value, Integral) and 0 <= value < 2**32,
    "a whole number from 0 to 4294967295",
)
SHARE: Rule = (
    lambda value: is_above_zero(value) and (value < 1 or isinstance(value, Integral)),
    "a share above 0 and below 1, such as 0.1, or a number of images",
)
FRACTION: Rule = (is_fraction, "a number from 0 to below 1")
