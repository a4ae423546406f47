"""What an assessment has found of one cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnzoo.transfer.cut_points import Cut


@dataclass(frozen=True)
class Evidence:
    """What one cut is worth.

    Attributes:
        cut: where it is.
        accuracy: of the leave-one-out ridge probe, 0 to 1.
        error: one standard error of it.
        neighbours: accuracy of the five nearest images.
        log_evidence: LogME, how likely a linear model makes the classes, per image.
        twin: accuracy of the same probe on a twin with random weights.
        penalty: the probe's.
        p_value: of the gain over the last cut, exact, corrected for the number of cuts.
    """

    cut: Cut
    accuracy: float
    error: float
    neighbours: float
    log_evidence: float
    twin: float
    penalty: float
    p_value: float


def best_of(table: Sequence[Evidence]) -> Evidence:
    """The cut whose probe is right most often; of equals, the shallowest."""
    return max(table, key=lambda row: row.accuracy)
