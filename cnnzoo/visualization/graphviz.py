"""A picture of a network's graph, which the program Graphviz writes to a file."""

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
    """Draws every layer with Graphviz, or only the stages if Graphviz fails.

    Args:
        model: The network.
        path: Path of the picture, .png or .svg.
        shapes: Whether to show the shapes of tensors.
        names: Whether to show the names of layers beside their classes.
        rankdir: "TB" draws from top to bottom, "LR" from left to right.

    Returns:
        Whether every layer was drawn, and not only the stages.

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
    # Keras requests right-angled edges, on which some versions of Graphviz abort.
    dot.set("splines", "true")
    try:
        picture = dot.create(format=path.suffix[1:])
    except (FileNotFoundError, AssertionError):  # from pydot: `dot` is missing or failed
        files.write_bytes(path, figures.stages(model, path.suffix[1:]))
        return False
    files.write_bytes(path, picture)
    return True
