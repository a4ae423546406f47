"""Figures as bytes: stages of a network, learning curves, confusion matrix, galleries."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnzoo import graph
from cnnzoo.data.arrays import Source
from cnnzoo.evaluation import Evaluation
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.system.text import printable

BLUE, GREY = "#2b6cb0", "#718096"
GAP = 0.45  # between two stages, in units of the drawing
SHOWN = 32  # maximum number of misclassified images
NAMED = 100  # classes up to which a confusion matrix names them
LONGEST = 25  # characters of a line in a caption
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
    names = [literal(row.name) for row in evaluation.classes]
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
    longest = max(len(line) for text in captions for line in text.splitlines() or " ")
    size = min(8, 150 / longest)  # so that a line is as wide as its picture
    figure = Figure(figsize=(1.25 * columns, 1.6 * rows), layout="constrained")
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        pixels = np.clip(image.squeeze(), 0, 255).astype(np.uint8)  # floats would be 0..1
        axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=size)
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
    lines = [printable(fact["image"])[-LONGEST:], printable(fact["label"])[:LONGEST]]
    if "predicted" in fact:
        likeliest = printable(fact["predicted"])[: LONGEST - len("read as , 100 %")]
        lines.append(f"read as {likeliest}, {100 * fact['probability']:.0f} %")
    return literal("\n".join(lines))


def literal(name: str) -> str:
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
