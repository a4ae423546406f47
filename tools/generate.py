"""Writes every file that is computed from the networks: `make index`, or for some of
the networks `make index NAMES="fork"`.

- `cnnzoo/models/index.json`: what `list` and `info` read without a backend;
- `tests/golden/NAME.txt`: the structure of each network, one line per layer;
- the table of networks in `README.md`, between its two marks, and its picture,
  `docs/pictures/networks.svg`;
- `docs/networks.md` and `docs/proofs.md`, which also show the results of `make proofs`;
- `docs/mnist.md`, from `tools/trainings.json`.

The tests compute the same again and fail if a file is stale.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import keras
import overview
import pages
import trainings

from cnnzoo import graph
from cnnzoo.errors import unknown
from cnnzoo.graph.keras_internals import graph_nodes, producer
from cnnzoo.layer_names import is_aux, is_head
from cnnzoo.models import catalog
from cnnzoo.models.index import INDEX, ModelInfo, every_model
from cnnzoo.spec import Spec
from cnnzoo.system import files
from cnnzoo.weights.sources import bundled, keras_applications
from cnnzoo.zoo import sketch
from cnnzoo.zoo.input_size import smallest_side

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
README = ROOT / "README.md"
NETWORKS = ROOT / "docs" / "networks.md"
PICTURE = ROOT / "docs" / "pictures" / "networks.svg"
PROOFS = ROOT / "docs" / "proofs.md"
MNIST = ROOT / "docs" / "mnist.md"
FACTS = (  # settings of a layer that determine its outputs for given weights
    "kernel_size",
    "pool_size",
    "strides",
    "padding",
    "groups",
    "activation",
    "rate",
    "epsilon",
    "scale",
    "size",
    "alpha",
    "beta",
    "k",
)
TRAINING_FACTS = {  # settings of its weights' start and training, with their usual values
    "momentum": None,
    "kernel_initializer": None,
    "depthwise_initializer": None,
    "pointwise_initializer": None,
    "bias_initializer": "Zeros",
    "gamma_initializer": "Ones",
    "beta_initializer": "Zeros",
    "moving_mean_initializer": "Zeros",
    "moving_variance_initializer": "Ones",
    "alpha_initializer": "Zeros",
    "kernel_regularizer": "None",
    "depthwise_regularizer": "None",
    "pointwise_regularizer": "None",
    "bias_regularizer": "None",
}
MARK = " | "  # between a layer's structure, which digests cover, and the rest
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
            trunk=sum(
                layer.count_params()
                for layer in model.layers
                if not is_head(layer.name) and not is_aux(layer.name)
            ),
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
            weights=(*keras_applications.tags(spec.name), *bundled.tags(spec.name)),
            differences=spec.differences,
        )
    )


def golden(model: keras.Model) -> str:
    """One line per layer: name, class, output shape, parameters, other settings that
    determine its outputs, and its inputs unless they are the line above; then, after a
    mark, unusual settings of its weights' start and training."""
    lines, above = [], ""
    for row, node in zip(graph.layer_rows(model), graph_nodes(model), strict=True):
        config = node.operation.get_config()
        facts = [f"{key}={_short(config[key])}" for key in FACTS if key in config]
        sources = [producer(tensor).name for tensor in node.input_tensors]
        if sources not in ([], [above]):
            facts.append(f"from={','.join(sources)}")
        line = (row.name, row.kind, _short(row.shape), str(row.parameters), *facts)
        training = _training_facts(config)
        lines.append(" ".join(line) + (MARK + " ".join(training) if training else ""))
        above = row.name
    return "\n".join(lines) + "\n"


def _training_facts(config: dict) -> list[str]:
    """The unusual `TRAINING_FACTS` of a layer, such as `kernel=HeNormal`."""
    found = {key: _short(config[key]) for key in TRAINING_FACTS if key in config}
    return [
        f"{key.removesuffix('_initializer')}={value}"
        for key, value in found.items()
        if value != TRAINING_FACTS[key]
    ]


def _short(value: object) -> str:
    if isinstance(value, dict) and "class_name" in value:  # an initializer, a regularizer
        options = {k: v for k, v in value["config"].items() if v is not None}
        inside = ",".join(f"{key}={_short(option)}" for key, option in options.items())
        return value["class_name"] + (f"({inside})" if inside else "")
    if isinstance(value, list | tuple):
        return "x".join(_short(item) for item in value)
    return str(value)


def graph_digests() -> dict[str, str]:
    """Digest of each network's structure, to detect proofs of an older graph."""
    digests = {}
    for path in GOLDEN.glob("*.txt"):
        structure = re.sub(rf"{re.escape(MARK)}.*", "", path.read_text(encoding="utf-8"))
        digests[path.stem] = sha256(structure.encode()).hexdigest()[:16]
    return digests


def readme(text: str) -> str:
    """The README with the current table between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{pages.readme_table()}\n{END}{after}"


def write_pages() -> None:
    """Writes the pages that depend on the index and the proofs alone."""
    if README.exists():
        files.write_text(README, readme(README.read_text(encoding="utf-8")))
    files.write_text(NETWORKS, pages.networks_page())
    files.write_text(PICTURE, overview.overview())
    files.write_text(PROOFS, pages.proofs_page())
    files.write_text(MNIST, trainings.page())


def main(names: Sequence[str] = ()) -> None:
    """Draws the named networks anew, and those that the index lacks; by default all."""
    for name in names:
        if name not in catalog.SPECS:
            raise unknown("model", name, catalog.SPECS)
    # All networks are drawn without the old index, which may be damaged.
    kept = json.loads(INDEX.read_text(encoding="utf-8")) if names else []
    rows = {row["name"]: row for row in kept}
    for name, spec in catalog.SPECS.items():
        if name in names or name not in rows:
            model = sketch(spec)
            rows[name] = index_row(spec, model)
            files.write_text(GOLDEN / f"{name}.txt", golden(model))
    lines = ",\n".join(json.dumps(rows[name]) for name in catalog.SPECS)
    files.write_text(INDEX, f"[\n{lines}\n]\n")
    every_model.cache_clear()  # the pages show the new index
    write_pages()


if __name__ == "__main__":
    main(sys.argv[1:])
