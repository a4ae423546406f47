"""Ratios of medians, goals reached or missed, shares of what the machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contest import Contender, Goal, Row
from benchmarks.results import Results
from benchmarks.rows import ROWS

TRAINING_FLOPS = 3 * 2  # a MAC: forward and two gradients, a multiply and an add each


@dataclass(frozen=True)
class Ratio:
    """The ratio of two medians, and the least and largest ratio of one round."""

    value: float
    low: float
    high: float


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Of seconds round by round, as many above as below."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(median(above) / median(below), min(each), max(each))


def speedup(results: Results, row: str, ours: str, theirs: str) -> Ratio | None:
    """How many times as fast as theirs; None where one of the two was not measured."""
    first, second = results.measured(row, ours), results.measured(row, theirs)
    return ratio(second.seconds, first.seconds) if first and second else None


def part_shares(results: Results, row: str, ours: str, theirs: str) -> dict[str, Ratio]:
    """Our time for each part as a share of theirs; nothing where one has no parts."""
    first, second = results.measured(row, ours), results.measured(row, theirs)
    if not first or not second:
        return {}
    return {name: ratio(first.parts[name], second.parts[name]) for name in first.parts}


def time_share(results: Results, row: str, ours: str, theirs: str) -> Ratio | None:
    """Our time as a share of theirs; of the worst part where the work has parts."""
    shares = part_shares(results, row, ours, theirs)
    if shares:
        return max(shares.values(), key=lambda share: share.value)
    return speedup(results, row, theirs, ours)


def memory_share(results: Results, row: str, ours: str, theirs: str) -> float | None:
    first, second = results.measured(row, ours), results.measured(row, theirs)
    return first.peak_bytes / second.peak_bytes if first and second else None


def fastest(results: Results, row: str, names: Sequence[str]) -> str | None:
    """The contender of these with the least median; None if none was measured."""
    found = {name: results.measured(row, name) for name in names}
    medians = {name: one.median for name, one in found.items() if one}
    return min(medians, key=lambda name: medians[name]) if medians else None


def reached(results: Results, row: Row, goal: Goal) -> Ratio | None:
    """The ratio that the goal is about."""
    theirs = fastest(results, row.name, goal.against)
    if theirs is None:
        return None
    compare = time_share if goal.at_most else speedup
    return compare(results, row.name, goal.ours, theirs)


def verdict(value: float | None, goal: Goal, machine: dict) -> str:
    """In words, for the table of goals; by the two decimals that stand there."""
    if value is None:
        return "not measured"
    shown = round(value, 2)
    if (shown <= goal.bound) if goal.at_most else (shown >= goal.bound):
        return "**reached**"
    if goal.matrix_units and not machine["matrix_units"]:
        return "missed; set for matrix units, which this CPU lacks"
    return "missed"


def flops(row: Row, macs: int) -> float:
    """Of a training step of the network with so many MACs an image."""
    return TRAINING_FLOPS * macs * row.work.batch


def product_rate(results: Results, precision: str) -> float | None:
    """FLOP/s of the matrix product, the bound for all networks."""
    found = results.measured("matmul", precision)
    rows, columns, _ = ROWS["matmul"].work.shape
    return 2 * rows * rows * columns / found.median if found else None


def machine_share(
    results: Results, row: Row, contender: Contender, macs: int
) -> float | None:
    """What share of the matrix product's rate, in its precision, a training step has."""
    found = results.measured(row.name, contender.name)
    rate = product_rate(results, found.facts["precision"]) if found else None
    return flops(row, macs) / found.median / rate if found and rate else None
