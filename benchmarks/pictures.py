"""The pictures of `docs/speed.md`."""

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.contest import Growth
from benchmarks.ratios import speedup
from benchmarks.results import Results
from benchmarks.rows import EVERYONE, GROWTH, KERAS, ROWS, TRAINING
from cnnzoo.system import files

BLUE, GREY = "#2b6cb0", "#718096"
COLORS = (BLUE, GREY, "#a0aec0", "#f6ad55", "#dd6b20", "#9c4221")
MEGABYTE = 1e6


def write(results: Results, folder: Path) -> list[Path]:
    """Writes all pictures that the results have the data for; returns their paths."""
    pictures = {"speed_training": training(results)}
    for growth in GROWTH:
        if points(results, growth):
            pictures[f"speed_{growth.group}"] = grown(results, growth)
    paths = [folder / f"{name}.svg" for name in pictures]
    for path, content in zip(paths, pictures.values(), strict=True):
        files.write_bytes(path, content)
    return paths


def training(results: Results) -> bytes:
    """A bar chart of the speed-up of each contender over stock Keras in training."""
    rows = [row for row in TRAINING if row.name in results.rows]
    figure = Figure(figsize=(8, 0.9 * len(rows) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    thick = 0.8 / len(EVERYONE)
    for i, (contender, color) in enumerate(zip(EVERYONE, COLORS, strict=True)):
        ratios = [speedup(results, row.name, contender.name, KERAS.name) for row in rows]
        axes.barh(
            [place + (i - 2.5) * thick for place in range(len(rows))],
            [ratio.value if ratio else 0 for ratio in ratios],
            thick,
            color=color,
            label=contender.label,
        )
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks(range(len(rows)), [row.title.split(" training")[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as stock Keras on TensorFlow, float32")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return svg(figure)


def points(results: Results, growth: Growth) -> Mapping[int, tuple[float, float]]:
    """Milliseconds per step and peak megabytes, by x."""
    found = {
        row.x: results.measured(row.name, "cnnzoo")
        for row in ROWS.values()
        if row.group == growth.group
    }
    return {
        x: (1000 * one.median, one.peak_bytes / MEGABYTE)
        for x, one in found.items()
        if one
    }


def grown(results: Results, growth: Growth) -> bytes:
    """Time and memory side by side."""
    known = points(results, growth)
    figure = Figure(figsize=(8, 3), layout="constrained")
    figure.suptitle(f"Training {growth.title}", fontsize=11)
    for place, (quantity, color) in enumerate(
        (("ms a step", BLUE), ("peak memory, MB", GREY))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        values = [pair[place] for pair in known.values()]
        axes.plot(list(known), values, "o-", color=color)
        axes.set(
            xlabel=growth.axis,
            title=quantity,
            xticks=list(known),
            ylim=(0, 1.1 * max(values)),
        )
        axes.grid(alpha=0.3)
    return svg(figure)


def svg(figure: Figure) -> bytes:
    """The figure as SVG, with equal bytes for equal results."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cnnzoo", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
