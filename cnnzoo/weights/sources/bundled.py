"""Weights that travel in the package, each with metadata that tells where it comes from.

`small_vgg-mnist.safetensors` holds the numbers, `small_vgg-mnist.json` the metadata.
The file stands alone since each source of weights has one.
"""

import json
from pathlib import Path

from cnnzoo.weights.formats.safetensors_file import ENDING

FOLDER = Path(__file__).parents[1] / "trained"


def path(network: str, tag: str) -> Path | None:
    """Path of a network's weights of that tag; None where there are none."""
    found = FOLDER / f"{network}-{tag}{ENDING}"
    return found if tag in tags(network) else None


def tags(network: str) -> tuple[str, ...]:
    """Tags of the weights that the package has of a network."""
    names = [file.stem.rpartition("-") for file in sorted(FOLDER.glob(f"*{ENDING}"))]
    return tuple(tag for name, _, tag in names if name == network)


def metadata(network: str, tag: str) -> dict:
    """How these weights were made: recipe, command, errors, data, licence."""
    file = FOLDER / f"{network}-{tag}.json"
    return json.loads(file.read_text(encoding="utf-8"))
