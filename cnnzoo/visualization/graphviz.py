"""A picture of a network's graph; Graphviz is a program of its own, so it is a file."""

from pathlib import Path
from typing import Literal

import keras

from cnnzoo.errors import UsageError
from cnnzoo.system import files
from cnnzoo.visualization import figures

FORMATS = (".png", ".svg")


def plot(
    model: keras.Model,
    path: str | Path,
    *,
    shapes: bool = False,
    names: bool = False,
    rankdir: Literal["TB", "LR"] = "TB",
) -> bool:
    """Draws every layer with Graphviz, or only the stages where Graphviz fails.

    Args:
        model: The network.
        path: Picture to write, .png or .svg.
        shapes: Whether to show the shapes of tensors.
        names: Whether to show the names of layers beside their classes.
        rankdir: "TB" draws from top to bottom, "LR" from left to right.

    Returns:
        True for every layer; False where only the stages could be drawn.

    Raises:
        UsageError: The path has another ending.
        SaveError: The picture cannot be written.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise UsageError(
            f"cannot plot to {path}: expected a .png or .svg file, so choose one of these"
        )
    dot = keras.utils.model_to_dot(
        model, show_shapes=shapes, show_layer_names=names, rankdir=rankdir
    )
    # Keras asks for right-angled edges, on which some versions of Graphviz abort.
    dot.set("splines", "true")
    try:
        picture = dot.create(format=path.suffix[1:])
    except (FileNotFoundError, AssertionError):  # pydot's: no `dot`, or it failed
        files.write_bytes(path, figures.stages(model, path.suffix[1:]))
        return False
    files.write_bytes(path, picture)
    return True
