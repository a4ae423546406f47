"""The picture of an assessment: what each cut of a network is worth, by its depth."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cnnzoo.transfer.evidence import Evidence
from cnnzoo.visualization import figures


def depth_profile(
    rows: Sequence[Evidence], *, used: str, pixels: float, network: str
) -> bytes:
    """What each cut is worth, with weights and without, as a PNG.

    Args:
        rows: shallow to deep.
        used: the name of the cut that is marked.
        pixels: accuracy of the probe on the images alone, 0 to 1.
        network: the model's name.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    axes.errorbar(
        places,
        [100 * row.accuracy for row in rows],
        [100 * row.error for row in rows],
        fmt="o-",
        capsize=3,
        color=figures.BLUE,
        label="ridge, leave one out",
    )
    for values, style, color, label in (
        ([row.neighbours for row in rows], "s:", figures.BLUE, "five nearest images"),
        ([row.twin for row in rows], "o--", figures.GREY, "ridge, random weights"),
    ):
        percent = [100 * value for value in values]
        axes.plot(places, percent, style, color=color, label=label)
    axes.axhline(
        100 * pixels, color=figures.GREY, lw=1, ls="-.", label="ridge, pixels alone"
    )
    place = [row.cut.name for row in rows].index(used)
    axes.axvline(place, color=figures.BLUE, alpha=0.2, lw=8)
    axes.set_xticks(list(places), [row.cut.name for row in rows])
    axes.set(ylabel="accuracy, %", title=f"cuts of {network}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figures.as_bytes(figure)
