"""Ratios of medians, goals reached or missed, shares of the machine's peak rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contest import Contender, Goal, Row
from benchmarks.results import Results
from benchmarks.rows import ROWS

TRAINING_FLOPS = 3 * 2  # per MAC: forward and two gradients, each a multiply and an add


@dataclass(frozen=True)
class Ratio:
    """The ratio of two medians, and the least and largest ratio of a single round."""

    value: float
    low: float
    high: float


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """The ratio of two lists of seconds per round, of equal length."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(median(above) / median(below), min(each), max(each))


def speedup(results: Results, row: str, ours: str, theirs: str) -> Ratio | None:
    """The speed-up of `ours` over `theirs`; None if one of them was not measured."""
    first, second = results.find(row, ours), results.find(row, theirs)
    return ratio(second.seconds, first.seconds) if first and second else None


def part_shares(results: Results, row: str, ours: str, theirs: str) -> dict[str, Ratio]:
    """The time of `ours` for each part as a share of `theirs`; empty without parts."""
    first, second = results.find(row, ours), results.find(row, theirs)
    if not first or not second:
        return {}
    return {name: ratio(first.parts[name], second.parts[name]) for name in first.parts}


def time_share(results: Results, row: str, ours: str, theirs: str) -> Ratio | None:
    """The time of `ours` as a share of `theirs`; the largest share of several parts."""
    shares = part_shares(results, row, ours, theirs)
    if shares:
        return max(shares.values(), key=lambda share: share.value)
    return speedup(results, row, theirs, ours)


def memory_share(results: Results, row: str, ours: str, theirs: str) -> float | None:
    first, second = results.find(row, ours), results.find(row, theirs)
    return first.peak_bytes / second.peak_bytes if first and second else None


def fastest(results: Results, row: str, names: Sequence[str]) -> str | None:
    """The contender with the least median; None if none was measured."""
    results_by_name = {name: results.find(row, name) for name in names}
    medians = {name: r.median for name, r in results_by_name.items() if r}
    return min(medians, key=lambda name: medians[name]) if medians else None


def goal_ratio(results: Results, row: Row, goal: Goal) -> Ratio | None:
    """The ratio to compare with the goal; None if it was not measured."""
    theirs = fastest(results, row.name, goal.against)
    if theirs is None:
        return None
    compare = time_share if goal.at_most else speedup
    return compare(results, row.name, goal.ours, theirs)


def verdict(value: float | None, goal: Goal, machine: dict) -> str:
    """The text for the table of goals, by the two decimals that the table shows."""
    if value is None:
        return "not measured"
    shown = round(value, 2)
    if (shown <= goal.bound) if goal.at_most else (shown >= goal.bound):
        return "**reached**"
    if goal.matrix_units and not machine["matrix_units"]:
        return "missed; set for matrix units, which this CPU lacks"
    return "missed"


def flops(row: Row, macs: int) -> float:
    """FLOP per training step of a network with so many MACs per image."""
    return TRAINING_FLOPS * macs * row.work.batch


def product_rate(results: Results, precision: str) -> float | None:
    """FLOP/s of the matrix product, the upper bound for all networks."""
    product = results.find("matmul", precision)
    rows, columns, _ = ROWS["matmul"].work.shape
    return 2 * rows * rows * columns / product.median if product else None


def machine_share(
    results: Results, row: Row, contender: Contender, macs: int
) -> float | None:
    """The rate of a training step as a share of the matrix product's in its precision."""
    step = results.find(row.name, contender.name)
    rate = product_rate(results, step.facts["precision"]) if step else None
    return flops(row, macs) / step.median / rate if step and rate else None
