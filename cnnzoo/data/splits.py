"""Split of the rows of a data set into training and validation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.system.validation import SEED, SHARE, Rule, check_values

RULES: dict[str, Rule] = {"fraction": SHARE, "seed": SEED}


def split_rows(
    labels: np.ndarray,
    class_names: Sequence[str],
    fraction: float | int,
    seed: int,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows into a training and a validation part, stratified by class.

    Args:
        labels: Integers, (n,).
        class_names: Name of each label, for messages.
        fraction: Share of the validation part, above 0 and below 1, or its number of
            images if it is an int, which is approximate if rows are grouped.
        seed: Random seed of the split, 0 to 2**32 - 1.
        groups: Group numbers, (n,); rows of a group stay in one part. None for no groups.

    Returns:
        Two ascending arrays of row numbers that together contain each row once.

    Raises:
        DatasetError: A class cannot be in both parts.
        UsageError: The fraction or the seed is out of its range.
    """
    check_values("split", {"fraction": fraction, "seed": seed}, RULES)
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < 2:
            raise DatasetError(
                f"cannot split class {class_names[label]!r}: expected at least 2 "
                f"images, found {count}, so add images or leave the class out"
            )
    from sklearn.model_selection import train_test_split  # takes a second

    first, group = first_rows(groups, len(labels))
    size = fraction
    if len(first) < len(labels) and fraction >= 1:
        size = fraction / len(labels)
    try:
        _, chosen = train_test_split(
            np.arange(len(first)),
            test_size=size,
            random_state=seed,
            stratify=labels[first],
        )
    except ValueError as error:
        raise _too_few(labels, fraction, len(first)) from error
    is_validation = np.isin(group, chosen)
    parts = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
    if any(len(np.unique(labels[part])) < len(np.unique(labels)) for part in parts):
        raise _too_few(labels, fraction, len(first))
    return parts


def first_rows(groups: np.ndarray | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each group, which represents it, and the group of each row.

    Without groups, each row is a group of its own.
    """
    if groups is None:
        return np.arange(rows), np.arange(rows)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return first, group


def some_rows(count: int, most: int, seed: int) -> np.ndarray:
    """At most `most` of `count` rows, chosen at random, in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def groups_of(
    names: Sequence[str], copies: Sequence[bytes] | None, group_by: str | None
) -> np.ndarray | None:
    """Numbers of the groups of images that a split keeps together; None for no groups.

    Args:
        copies: Checksum of each image; images with equal checksums are one group.
        group_by: Regular expression; images in whose names it matches the same text are
            one group.

    Raises:
        UsageError: The regular expression is invalid, or does not match a name.
    """
    if group_by is None:
        return None if copies is None else np.unique(copies, return_inverse=True)[1]
    found = [group_key(group_by, name) for name in names]
    if copies is None:
        return np.unique(found, return_inverse=True)[1]
    return _joined(list(zip(found, copies, strict=True)))


def group_key(group_by: str, name: str) -> str:
    """The text of a name that identifies its group; see `groups_of`."""
    try:
        found = re.search(group_by, name)
    except re.error as error:
        raise UsageError(
            f"cannot group by {group_by!r}: expected a regular expression, found that "
            f"{error}, so pass one such as 'patient[0-9]+'"
        ) from error
    key = None if found is None else found[1 if found.re.groups else 0]
    if key is None:
        raise UsageError(
            f"cannot group by {group_by!r}, since it finds nothing in {name!r}; expected "
            "a text in every name, so pass a pattern that all of them have"
        )
    return key


def _joined(keys: Sequence[Sequence[object]]) -> np.ndarray:
    """Numbers of groups; rows that share any key are in one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[object, int] = {}
    pairs = [
        (row, len(keys) + numbers.setdefault(key, len(numbers)))
        for row, own in enumerate(keys)
        for key in own
    ]
    nodes = len(keys) + len(numbers)
    graph = coo_array((np.ones(len(pairs)), np.transpose(pairs)), (nodes, nodes))
    return connected_components(graph, directed=False)[1][: len(keys)]


def _too_few(labels: np.ndarray, fraction: float, groups: int) -> DatasetError:
    present = np.unique(labels)
    grouped = f" in {groups} groups" if groups < len(labels) else ""
    return DatasetError(
        f"cannot split {len(labels)} images of {len(present)} classes{grouped} with "
        f"fraction {fraction}: expected every class in both parts, found one left out of "
        "a part, so add images or choose a fraction nearer to 0.5"
    )
