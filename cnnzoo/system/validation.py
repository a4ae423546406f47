"""What numbers may be: predicates for arguments that are checked before any use."""

from math import isfinite
from numbers import Integral, Real
from typing import Any


def is_number(value: Any, kind: type = Real) -> bool:
    """Whether it is a finite number, of Python or NumPy; True and False are none."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return isinstance(value, Integral) or isfinite(value)


def is_count(value: Any) -> bool:
    """Whether it is a whole number of at least 1."""
    return is_number(value, Integral) and value >= 1


def is_above_zero(value: Any) -> bool:
    return is_number(value) and value > 0


def is_at_least_zero(value: Any) -> bool:
    return is_number(value) and value >= 0


def is_share(value: Any) -> bool:
    """Whether it is 0 to below 1."""
    return is_number(value) and 0 <= value < 1
