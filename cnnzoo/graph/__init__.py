"""What a built Keras graph tells: layers, MACs, stages, cut points, sizes."""

from cnnzoo.graph.analysis import (
    LayerRow,
    ancestors,
    cut_points,
    drawing_order,
    layer_rows,
    macs,
    output_shapes,
    parameters,
    smallest_side,
    stages,
)

__all__ = [
    "LayerRow",
    "ancestors",
    "cut_points",
    "drawing_order",
    "layer_rows",
    "macs",
    "output_shapes",
    "parameters",
    "smallest_side",
    "stages",
]
