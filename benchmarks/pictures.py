"""The pictures of `docs/speed.md`."""

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.contest import Growth
from benchmarks.ratios import speedup
from benchmarks.results import Results
from benchmarks.rows import ALL_CONTENDERS, GROWTH, KERAS, ROWS, TRAINING
from cnnzoo.system import files

BLUE, GREY = "#2b6cb0", "#718096"
COLORS = (BLUE, GREY, "#a0aec0", "#f6ad55", "#dd6b20", "#9c4221")
MEGABYTE = 1e6


def write(results: Results, folder: Path) -> list[Path]:
    """Writes all pictures that the results have the data for; returns their paths."""
    pictures = {"speed_training": training_chart(results)}
    for growth in GROWTH:
        if points(results, growth):
            pictures[f"speed_{growth.group}"] = growth_chart(results, growth)
    paths = [folder / f"{name}.svg" for name in pictures]
    for path, content in zip(paths, pictures.values(), strict=True):
        files.write_bytes(path, content)
    return paths


def training_chart(results: Results) -> bytes:
    """A bar chart of the speed-up of each contender over stock Keras in training."""
    rows = [row for row in TRAINING if row.name in results.rows]
    figure = Figure(figsize=(8, 0.9 * len(rows) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(ALL_CONTENDERS)
    for i, (contender, color) in enumerate(zip(ALL_CONTENDERS, COLORS, strict=True)):
        ratios = [speedup(results, row.name, contender.name, KERAS.name) for row in rows]
        axes.barh(
            [position + (i - 2.5) * height for position in range(len(rows))],
            [ratio.value if ratio else 0 for ratio in ratios],
            height,
            color=color,
            label=contender.label,
        )
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks(range(len(rows)), [row.title.split(" training")[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("speed-up over stock Keras on TensorFlow, float32")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return svg(figure)


def points(results: Results, growth: Growth) -> Mapping[int, tuple[float, float]]:
    """Milliseconds per step and peak megabytes, by x."""
    by_x = {
        row.x: results.find(row.name, "cnnzoo")
        for row in ROWS.values()
        if row.group == growth.group
    }
    return {
        x: (1000 * result.median, result.peak_bytes / MEGABYTE)
        for x, result in by_x.items()
        if result
    }


def growth_chart(results: Results, growth: Growth) -> bytes:
    """Line charts of time and memory, side by side."""
    by_x = points(results, growth)
    figure = Figure(figsize=(8, 3), layout="constrained")
    figure.suptitle(f"Training {growth.title}", fontsize=11)
    for column, (quantity, color) in enumerate(
        (("ms per step", BLUE), ("peak memory, MB", GREY))
    ):
        axes = figure.add_subplot(1, 2, column + 1)
        values = [pair[column] for pair in by_x.values()]
        axes.plot(list(by_x), values, "o-", color=color)
        axes.set(
            xlabel=growth.axis,
            title=quantity,
            xticks=list(by_x),
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
