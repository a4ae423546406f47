"""Labels in any of the usual forms as class numbers, by one rule."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from cnnzoo.data.arrays import check_labels
from cnnzoo.errors import LabelError
from cnnzoo.system.validation import is_number


def class_numbers(
    labels: Any, images: int, names: Sequence[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers, (n,) int64, and the names of the classes.

    Numbers are indices into `names`; without names, the classes are "0" to the largest
    label, or one per column. Texts are names themselves, sorted as text unless `names`
    has them all.

    Args:
        labels: List or array of numbers or texts, (n,) or (n, 1), or one-hot rows,
            (n, classes).
        images: Number of images, n.
        names: Known class names, such as those of a model.

    Raises:
        LabelError: The labels have none of these forms, or are not one per image.
    """
    array = _array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 2 and len(array):
        columns = array.shape[1]
        if not _is_one_hot(array) or len(names) not in (0, columns):
            expected = f"{len(names)} columns" if names else "a column for each class"
            raise _fault(
                f"one-hot rows, {expected}, with a single 1 in each",
                f"rows such as {str(array[0].tolist())[:80]}",
            )
        names = names or _numbers(columns)
        array = array.argmax(1)
    if array.shape != (images,):
        raise _fault(f"one for each of {images} images", f"the shape {array.shape}")
    if array.dtype.kind in "OU" and array.size and isinstance(array[0], str):
        texts = array.tolist()
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise _fault("texts alone after the first", f"{text!r} as label {row}")
        names = tuple(names if set(texts) <= set(names) else sorted(set(texts)))
        places = {name: number for number, name in enumerate(names)}
        return np.array([places[text] for text in texts], np.int64), names
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and _is_whole(array)):
        array = array.astype(np.int64)
    check_labels(array, images)
    last = int(array.max(initial=-1))
    if names and last >= len(names):
        raise _fault(f"numbers below {len(names)}, the number of classes", f"{last}")
    return array.astype(np.int64), tuple(names or _numbers(last + 1))


def _array(labels: Any) -> np.ndarray:
    try:
        array = np.asarray(labels)
        if array.dtype.kind == "U":  # NumPy makes texts of the numbers beside texts
            array = np.asarray(labels, object)
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise _fault("a list or an array", str(error)[:200]) from error
    if array.dtype.kind == "S" or (
        array.dtype == object and all(isinstance(label, bytes) for label in array.flat)
    ):  # texts of tf.data
        texts = [label.decode("utf-8", "replace") for label in array.flat]
        return np.array(texts, object).reshape(array.shape)
    if array.dtype == object and all(is_number(one, Integral) for one in array.flat):
        return np.array(array.tolist())  # of pandas
    return array


def _is_one_hot(array: np.ndarray) -> bool:
    numeric = array.dtype.kind in "biuf"
    return (
        numeric and bool(np.isin(array, (0, 1)).all()) and bool((array.sum(1) == 1).all())
    )


def _is_whole(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all() and (array == np.floor(array)).all())


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _fault(expected: str, found: str) -> LabelError:
    return LabelError(
        f"cannot take these labels: expected {expected}, found {found}; pass numbers of "
        "classes or their names, (n,) or (n, 1), or one-hot rows"
    )
