"""Figures of accuracies: at the cuts of a network, and of networks over their cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox

from cnnzoo.visualization.figures import BLUE, GREY, as_bytes, literal

# Offsets of a network's name from its point, in 1/72 inch; the nearest first.
NAMES_AT = [(x, y) for y in (4, -12, 20, -28, 36, -44) for x in (7, -7)]


def accuracy_by_cut(
    names: Sequence[str],
    accuracies: Sequence[float],
    errors: Sequence[float],
    baseline: Sequence[float],
    *,
    used: str,
    together: float,
    pixels: float,
    title: str,
) -> bytes:
    """The accuracy of a probe at each cut of a network, as a PNG.

    Args:
        names: Names of the cuts, shallow to deep.
        accuracies: Accuracy at each cut, 0 to 1.
        errors: Standard errors of the accuracies.
        baseline: Accuracies with random weights.
        used: Name of the cut to mark, if it is one.
        together: Accuracy on all cuts together.
        pixels: Accuracy on the pixels alone.
        title: Title of the figure.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    percent, spread, random = (
        [100 * value for value in values] for values in (accuracies, errors, baseline)
    )
    axes.errorbar(names, percent, spread, fmt="o-", capsize=3, color=BLUE, label="ridge")
    axes.plot(names, random, "o--", color=GREY, label="ridge, random weights")
    style = {"color": GREY, "lw": 1, "ls": "-."}
    axes.axhline(100 * pixels, label="ridge, pixels alone", **style)
    axes.axhline(100 * together, label="ridge, all cuts", color=BLUE, lw=1, ls=":")
    if used in names:
        axes.axvline(names.index(used), color=BLUE, alpha=0.2, lw=8)
    axes.set(ylabel="accuracy on left-out images, %", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return as_bytes(figure)


class Point(NamedTuple):
    """A network in `accuracy_by_cost`.

    Attributes:
        name: Name of the network.
        cost: What it costs, above 0.
        accuracy: Accuracy, 0 to 1.
        error: Standard error of the accuracy.
        is_as_good: Whether it is not shown to be less accurate than the best.
    """

    name: str
    cost: float
    accuracy: float
    error: float
    is_as_good: bool


def accuracy_by_cost(points: Sequence[Point], *, cost: str, title: str) -> bytes:
    """The accuracy of networks over what they cost, as a PNG.

    Args:
        points: The networks.
        cost: Name of the cost, with its unit.
        title: Title of the figure.
    """
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    labels = {True: "not shown to be less accurate than the best", False: "less accurate"}
    for is_as_good, label in labels.items():
        rows = [point for point in points if point.is_as_good == is_as_good]
        if rows:
            _, x, accuracies, errors, _ = zip(*rows, strict=True)
            y, spread = 100 * np.array(accuracies), 100 * np.array(errors)
            fill = BLUE if is_as_good else "white"
            style = {"fmt": "o", "capsize": 3, "color": BLUE, "mfc": fill}
            axes.errorbar(x, y, spread, label=label, **style)
    axes.set(xscale="log", xlabel=cost, title=title)
    axes.set_ylabel("accuracy on left-out images, ± a standard error, %")
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    _name_points(figure, axes, points)
    return as_bytes(figure)


def _name_points(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Writes each name beside its point, where it covers nothing if there is room."""
    figure.draw_without_rendering()  # settles the layout
    ends = [(p.cost, 100 * (p.accuracy + s * p.error)) for p in points for s in (-1, 1)]
    pixels = axes.transData.transform(ends).reshape(-1, 2, 2)
    taken = [Bbox(bar).padded(4) for bar in pixels]
    for point in points:
        place = point.cost, 100 * point.accuracy
        text = literal(point.name)
        name = axes.annotate(text, place, (0, 0), textcoords="offset points")
        name.set_in_layout(False)

        def covered(offset: tuple[float, float], name: Annotation = name) -> int:
            """How much the name covers at this offset, to which it is moved."""
            name.xyann = offset
            name.set_horizontalalignment("left" if offset[0] > 0 else "right")
            box = name.get_window_extent()
            inside = all(axes.bbox.contains(*corner) for corner in box.corners())
            return box.count_overlaps(taken) + (0 if inside else len(taken))

        covered(min(NAMES_AT, key=covered))
        taken.append(name.get_window_extent())
