"""Six networks, three ways to build them, and the properties of their graphs.

The networks come from builders (`cnnzoo.ResNet18`), from catalog names
(`cnnzoo.build("vgg16")`), and from two definitions that the library does not have: a
catalog row with some columns replaced, and a trunk function. Prints a table of
parameters, MACs, receptive fields and cut points, and draws a picture of each network.

    python examples/build_and_plot.py
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
from keras import KerasTensor
from rich.console import Console
from rich.table import Table

import cnnzoo
from cnnzoo import graph
from cnnzoo.layers.blocks import Conv, conv_bn, residual
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.pooling import max_pool
from cnnzoo.models import vgg
from cnnzoo.visualization.graphviz import plot
from cnnzoo.zoo import FEATURES, find

# VGG11's row with a smaller table, another head, and images of 32x32 pixels. VGG11's
# published counts do not apply to it, so those columns are None.
TINY_VGG = replace(
    find("vgg11"),
    name="tiny_vgg",
    trunk=partial(vgg.trunk, filters=(16, 32, 64), repeats=(1, 1, 2)),
    head=pooled_head,
    input_shape=(32, 32, 3),
    classes=10,
    preprocessing="unit",
    paper=None,
    parameters=None,
)


def residual_trunk(x: KerasTensor, *, conv: Conv) -> KerasTensor:
    """Two residual blocks, each with pooling: (b, h, w, c) to (b, h / 4, w / 4, 32)."""
    x = conv(x, 32, 3, name="stem_conv")
    for stage in (1, 2):
        branch = conv(x, 32, 3, name=f"stage{stage}_conv1")
        branch = conv.linear(branch, 32, 3, name=f"stage{stage}_conv2")
        x = residual(x, branch, conv=conv, name=f"stage{stage}")
        x = max_pool(x, 2, name=f"stage{stage}_pool")
    return x


OWN_RESIDUAL = cnnzoo.Spec(
    name="own_residual",
    family="own",
    trunk=residual_trunk,
    head=pooled_head,
    conv=conv_bn,
    input_shape=(32, 32, 3),
    classes=10,
    preprocessing="unit",
)

NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "lenet5": cnnzoo.LeNet5,
    "resnet18": partial(cnnzoo.ResNet18, classes=10, input_shape=(64, 64, 3)),
    "vgg16": partial(cnnzoo.build, "vgg16"),
    "inception_v1": partial(cnnzoo.build, "inception_v1"),
    "tiny_vgg": partial(cnnzoo.build, TINY_VGG),
    "own_residual": partial(cnnzoo.build, OWN_RESIDUAL),
}


def main(out: Path, names: Sequence[str] = tuple(NETWORKS)) -> dict[str, keras.Model]:
    """Prints the properties of the networks, and draws their pictures into `out`."""
    models = {}
    for name in names:
        # Graphs can be analysed without weights; those of VGG16 would take 553 MB.
        with keras.StatelessScope(initialize_variables=False):
            models[name] = NETWORKS[name]()

    table = Table("network", "parameters", "M MACs", "receptive field", "cut points")
    for name, model in models.items():
        rows = graph.layer_rows(model)
        field = next(row.receptive_field for row in rows if row.name == FEATURES)
        total, _ = graph.parameters(model)
        cuts = f"{len(graph.cut_points(model))} of {len(rows)}"
        millions = f"{(graph.macs(model) or 0) / 1e6:,.1f}"
        table.add_row(
            name, f"{total:,}", millions, "x".join(map(str, field or ("all",))), cuts
        )
        complete = plot(model, out / f"{name}.png", shapes=True, names=True)
        print(f"{out / name}.png: {'every layer' if complete else 'the stages'}")
    Console().print(table)
    if "own_residual" in models:
        # The layers inside a block are no cut points, since the shortcut bypasses them.
        cuts = ", ".join(graph.cut_points(models["own_residual"]))
        print(f"cut points of own_residual: {cuts}")
    return models


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/build_and_plot"))
    main(parser.parse_args().out)
