"""Writes every file that is computed from the networks: `make index`.

- `cnnzoo/models/index.json`: what `list` and `info` read without a backend;
- `tests/golden/NAME.txt`: the structure of each network, a line a layer;
- the table of networks in `README.md`, between its two marks.

The tests compute the same again and fail where a file is stale.
"""

import json
from dataclasses import asdict
from pathlib import Path

import keras

from cnnzoo import files, graph
from cnnzoo.models import catalog
from cnnzoo.models.index import INDEX, ModelInfo, list_models, model_info
from cnnzoo.spec import Spec
from cnnzoo.zoo import sketch, smallest_side

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
README = ROOT / "README.md"
BEGIN, END = "<!-- networks: begin (make index) -->", "<!-- networks: end -->"


def index_row(spec: Spec, model: keras.Model) -> dict:
    """The row of `index.json`, in the form of `ModelInfo`."""
    parameters, trainable = graph.parameters(model)
    mode = spec.preprocessing
    return asdict(
        ModelInfo(
            name=spec.name,
            family=spec.family,
            parameters=parameters,
            trainable=trainable,
            macs=graph.macs(model) or 0,
            input_shape=spec.input_shape,
            classes=spec.classes,
            min_size=smallest_side(spec),
            preprocessing=mode if isinstance(mode, str) else "custom",
            paper=spec.paper,
            published_parameters=spec.parameters,
            published_macs=spec.macs,
            stages=tuple(
                (name, tuple(tensor.shape[1:]))
                for name, tensor in graph.stages(model).items()
            ),
            weights=(),
            differences=spec.differences,
        )
    )


def golden(model: keras.Model) -> str:
    """A line a layer: name, class, output shape, parameters."""
    rows = graph.layer_rows(model)
    lines = [
        f"{row.name} {row.kind} {'x'.join(map(str, row.shape))} {row.parameters}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def networks_table() -> str:
    """The README's table, from the index."""
    lines = [
        "| network | parameters | MACs | input | smallest | paper |",
        "|---|---:|---:|---|---:|---|",
    ]
    for info in map(model_info, list_models()):
        size = "x".join(map(str, info.input_shape))
        paper = f"[{info.paper.year}]({info.paper.url})" if info.paper else "our own"
        macs = f"{info.macs / 1e6:,.1f} M"
        cells = (
            f"`{info.name}`",
            f"{info.parameters:,}",
            macs,
            size,
            info.min_size,
            paper,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def readme(text: str) -> str:
    """The README with the table of today between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{networks_table()}\n{END}{after}"


def main() -> None:
    models = {name: sketch(spec) for name, spec in catalog.SPECS.items()}
    rows = [index_row(spec, models[name]) for name, spec in catalog.SPECS.items()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    files.write_text(INDEX, f"[\n{lines}\n]\n")
    for name, model in models.items():
        files.write_text(GOLDEN / f"{name}.txt", golden(model))
    if README.exists():
        files.write_text(README, readme(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
