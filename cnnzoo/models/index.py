"""The catalog without a backend: what `models/index.json` says of each network.

`list`, `info`, the README's table and the builders' docstrings read it, so they need no
Keras. `make index` writes the file from the built networks; a test fails when it is
stale.
"""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from cnnzoo.errors import check_known
from cnnzoo.spec import Paper

ALIASES = {"googlenet": "inception_v1"}  # other names that people know
INDEX = Path(__file__).with_name("index.json")


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is known of a network of the catalog at its paper's input size.

    Attributes:
        name: Catalog name.
        family: Name of the file in `cnnzoo/models/` that draws it.
        parameters: Number of parameters, moving statistics included.
        trainable: Number of those that training changes.
        trunk: Number of those before the head.
        macs: Multiply-adds of convolutions and dense layers for one image.
        input_shape: Height and width in pixels, and channels.
        classes: Number of classes in the paper.
        min_size: Smallest height and width that it takes, in pixels.
        preprocessing: Mode of `preprocess_input`, or "custom".
        paper: Publication; None for a design of our own.
        published_parameters: Count in the paper or the public reference, or None.
        published_macs: MACs in the same, or None.
        stages: Output shape of each stage, (name, (h, w, c)).
        weights: Tags that `weights=` takes.
        differences: Where the graph differs from the paper's.
    """

    name: str
    family: str
    parameters: int
    trainable: int
    trunk: int
    macs: int
    input_shape: tuple[int, int, int]
    classes: int
    min_size: int
    preprocessing: str
    paper: Paper | None
    published_parameters: int | None
    published_macs: int | None
    stages: tuple[tuple[str, tuple[int, ...]], ...]
    weights: tuple[str, ...]
    differences: str


def list_models(
    pattern: str = "*", family: str | None = None, weights: str | None = None
) -> list[str]:
    """The names of the catalog, filtered, in the catalog's order.

    Args:
        pattern: Shell pattern of names, such as "resnet*".
        family: Family of the networks; None for all.
        weights: Tag of weights that the networks have; None for any.

    Raises:
        UsageError: There is no such family.
    """
    families = {info.family for info in every_model().values()}
    if family is not None:
        check_known("family", family, families)
    return [
        info.name
        for info in every_model().values()
        if fnmatchcase(info.name, pattern)
        and family in (None, info.family)
        and (weights is None or weights in info.weights)
    ]


def model_info(name: str) -> ModelInfo:
    """What the catalog knows of one network.

    Raises:
        UsageError: There is no network of that name; the message has the nearest.
    """
    name = ALIASES.get(name, name)
    check_known("model", name, every_model())
    return every_model()[name]


@cache
def every_model() -> dict[str, ModelInfo]:
    """What is known of each network by name, in the catalog's order."""
    rows = json.loads(INDEX.read_text(encoding="utf-8"))
    return {row["name"]: _info(row) for row in rows}


def _info(row: dict) -> ModelInfo:
    return ModelInfo(
        **{
            **row,
            "input_shape": tuple(row["input_shape"]),
            "paper": Paper(**row["paper"]) if row["paper"] else None,
            "stages": tuple((name, tuple(shape)) for name, shape in row["stages"]),
            "weights": tuple(row["weights"]),
        }
    )
