"""Augmentation as the command line writes it: NAME, or NAME=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from cnnzoo.data.augment import NORMALISING, Augment
from cnnzoo.errors import UsageError, unknown

_NAMES = tuple(f.name for f in fields(Augment) if f.name not in NORMALISING)
_FLAGS = ("horizontal_flip", "vertical_flip")


def parsed(texts: Sequence[str]) -> Augment:
    """Reads what is asked for.

    A flip stands alone; numbers are written as in Python, and several with commas
    between them: `rotation_range=10 zoom_range=0.9,1.2 horizontal_flip`. The last of one
    name counts. What normalises is left out, since a model could not carry it.

    Raises:
        UsageError: a name is unknown, or a value is missing or does not fit.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name in NORMALISING:
            raise UsageError(
                f"cannot augment with {name}: expected random changes, found a "
                "normalisation, so use --preprocessing, which the model then carries"
            )
        if name not in _NAMES:
            raise unknown("augmentation", name, _NAMES)
        if bool(equals) == (name in _FLAGS):
            expected = name if name in _FLAGS else f"{name}=VALUE"
            raise UsageError(
                f"cannot augment with {text[:100]!r}: expected {expected}, so write it so"
            )
        values[name] = True if name in _FLAGS else _value(name, value)
    return Augment(**values)


def _value(name: str, text: str) -> object:
    if name == "fill_mode":
        return text
    try:
        numbers = [_number(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"cannot augment with {name}={text[:100]}: expected a number, or several "
            f"with commas between them, found {text[:100]!r}, so write such numbers"
        ) from error
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)
