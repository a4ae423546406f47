"""Figures as bytes: stages of a network, learning curves, confusion matrix, galleries."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from cnnzoo import graph
from cnnzoo.data.arrays import Source
from cnnzoo.evaluation import Evaluation
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.system.text import printable

BLUE, GREY = "#2b6cb0", "#718096"
GAP = 0.45  # between two stages, in units of the drawing
SHOWN = 32  # maximum number of misclassified images
NAMED = 100  # classes up to which a confusion matrix names them
LONGEST = 24  # characters of a file name in a caption
# Offsets of a network's name from its point, in 1/72 inch; the nearest first.
NAMES_AT = [(x, y) for y in (4, -12, 20, -28, 36, -44) for x in (7, -7)]
SMALL = (96, 96)  # pixels to which misclassified image files are resized


def stages(model: keras.Model, format: str = "png") -> bytes:
    """Draws a network as a row of boxes: heights are map sizes, widths are channels.

    Args:
        model: The network.
        format: "png" or "svg".
    """
    ends = {"images": model.inputs[0], **graph.stages(model)}
    ends["output"] = model.outputs[0]
    sizes = [tuple(tensor.shape[1:]) for tensor in ends.values()]
    sizes = [to_channels_last(model, size) if len(size) == 3 else size for size in sizes]
    tallest = max(size[0] or 1 for size in sizes if len(size) == 3)
    figure = Figure(figsize=(1.6 * len(ends) + 0.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    left = 0.0
    for name, size in zip(ends, sizes, strict=True):
        height = math.sqrt((size[0] or tallest) / tallest) if len(size) == 3 else 0.12
        width = 0.12 + 0.055 * math.log2(size[-1] + 1)
        if left:
            arrow = {"arrowstyle": "->", "color": GREY}
            axes.annotate("", (left - 0.06, 0), (left - GAP + 0.06, 0), arrowprops=arrow)
        axes.bar(left + width / 2, 2 * height, width, -height, color=BLUE, alpha=0.8)
        label = f"{name}\n{'x'.join(str(side or '?') for side in size)}"
        axes.text(left + width / 2, -1.12, label, ha="center", va="top", fontsize=9)
        left += width + GAP
    axes.set(xlim=(-0.35, left - GAP + 0.35), ylim=(-1.6, 1.15), title=_title(model))
    axes.axis("off")
    return as_bytes(figure, format)


def learning_curves(history: Mapping[str, Sequence[float]]) -> bytes:
    """Draws loss and accuracy per epoch, training and validation, as a PNG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for place, quantity in enumerate(("loss", "accuracy"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for name, label, color in (
            (quantity, "training", GREY),
            (f"val_{quantity}", "validation", BLUE),
        ):
            values = history.get(name, ())
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, "o-", ms=3, color=color, label=label)
        axes.set(xlabel="epoch", title=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return as_bytes(figure)


def confusion(evaluation: Evaluation) -> bytes:
    """Draws the confusion matrix, rows true and columns predicted classes, as a PNG."""
    counts = evaluation.confusion
    names = [_literal(row.name) for row in evaluation.classes]
    side = max(4.0, min(14.0, 0.55 * len(names) + 1.5))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                style = {"ha": "center", "va": "center", "color": color}
                axes.text(column, row, str(count), style, size=8)
    rotation = 90 if max(map(len, names)) > 2 else 0
    named = names if len(names) <= NAMED else []
    axes.set_xticks(range(len(named)), named, rotation=rotation)
    axes.set_yticks(range(len(named)), named)
    title = f"{evaluation.images:,} images, {100 * evaluation.accuracy:.2f} % correct"
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return as_bytes(figure)


def gallery(images: np.ndarray, captions: Sequence[str], columns: int = 8) -> bytes:
    """Draws small pictures with captions, as a PNG.

    Args:
        images: (n, h, w, 1 or 3) pixels, 0 to 255.
        captions: Caption of each picture.
        columns: Number of pictures per row.
    """
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(1.25 * columns, 1.6 * rows), layout="constrained")
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        pixels = np.clip(image.squeeze(), 0, 255).astype(np.uint8)  # floats would be 0..1
        axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8)
        axes.axis("off")
    return as_bytes(figure)


def misclassified(source: Source, evaluation: Evaluation) -> bytes:
    """Draws the most confident errors, as a PNG.

    Args:
        source: The images that were evaluated, in their order.
        evaluation: The evaluation.
    """
    return predictions(
        source, evaluation.misclassified(source), "no image is misclassified"
    )


def label_errors(source: Source, evaluation: Evaluation) -> bytes:
    """Draws the images whose labels look wrong, the most suspicious first, as a PNG.

    Args:
        source: The images that were evaluated, in their order.
        evaluation: The evaluation.
    """
    return predictions(source, evaluation.label_errors(source), "no label looks wrong")


def predictions(source: Source, facts: Sequence[Mapping[str, Any]], none: str) -> bytes:
    """Draws the first images of a list with their labels and predictions, as a PNG.

    Args:
        source: The images.
        facts: Facts about images, as from `Evaluation.misclassified`; those about the
            prediction may be missing.
        none: Text of the figure if the list is empty.
    """
    if not facts:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, none, ha="center", va="center")
        return as_bytes(figure)
    rows = np.array([fact["row"] for fact in facts[:SHOWN]])
    height, width, channels = source.image_shape or (*SMALL, 3)
    images = source.load(rows, (height, width), channels)
    return gallery(images, [_caption(fact) for fact in facts[:SHOWN]])


def _caption(fact: Mapping[str, Any]) -> str:
    text = f"{_literal(fact['image'])[-LONGEST:]}\n{_literal(fact['label'])}"
    if "predicted" not in fact:
        return text
    likeliest = _literal(fact["predicted"])
    return f"{text} read as {likeliest}, {100 * fact['probability']:.0f} %"


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
        text = _literal(point.name)
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


def _literal(name: str) -> str:
    """A class name for a figure, in which "$" would begin a formula."""
    return printable(name).replace("$", r"\$")


def _title(model: keras.Model) -> str:
    total, _ = graph.parameters(model)
    macs = graph.macs(model)
    cost = "" if macs is None else f", {macs / 1e6:,.1f} M MACs"
    return f"{model.name}: {total:,} parameters{cost}"


def as_bytes(figure: Figure, format: str = "png") -> bytes:
    """The content of a figure's file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, dpi=110)
    return buffer.getvalue()
