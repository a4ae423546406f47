"""The one check of values by a table of rules."""

import numpy as np
import pytest

from cnnzoo.errors import UsageError
from cnnzoo.system.validation import (
    ABOVE_ZERO,
    AT_LEAST_ZERO,
    COUNT,
    FRACTION,
    SEED,
    check_values,
    optional,
)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (COUNT, (1, np.int64(3)), (0, 1.0, True, None, "1")),
        (ABOVE_ZERO, (1e-9, np.float32(2)), (0, -1, float("inf"), float("nan"))),
        (AT_LEAST_ZERO, (0, 2.5), (-1e-9, False)),
        (FRACTION, (0, 0.999), (1, -0.1)),
        (SEED, (0, np.int64(2**32 - 1)), (-1, 2**32, 0.5)),
        (optional(COUNT), (None, 1), (0,)),
    ],
)
def test_rules(rule, good, bad):
    for value in good:
        check_values("train", {"x": value, "other": "unchecked"}, {"x": rule})
    for value in bad:
        with pytest.raises(
            UsageError, match=f"cannot train with x=.*: expected {rule[1]}"
        ):
            check_values("train", {"x": value}, {"x": rule})


def test_the_message_is_short():
    with pytest.raises(UsageError) as caught:
        check_values("train", {"x": "x" * 9999}, {"x": COUNT})
    assert len(str(caught.value)) < 400
