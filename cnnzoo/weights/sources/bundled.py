"""Weights in the package, each with metadata about its origin.

`small_vgg-mnist.safetensors` contains weights, `small_vgg-mnist.json` their metadata. The
file stands alone since each source of weights has one.
"""

import json
from pathlib import Path

from cnnzoo.weights.formats.safetensors_file import ENDING

FOLDER = Path(__file__).parents[1] / "trained"


def path(network: str, tag: str) -> Path | None:
    """Path of a network's weights with this tag; None if there are none."""
    found = FOLDER / f"{network}-{tag}{ENDING}"
    return found if tag in tags(network) else None


def tags(network: str) -> tuple[str, ...]:
    """Tags of the weights in the package for a network."""
    names = [file.stem.rpartition("-") for file in sorted(FOLDER.glob(f"*{ENDING}"))]
    return tuple(tag for name, _, tag in names if name == network)


def metadata(network: str, tag: str) -> dict:
    """Metadata of weights: recipe, command, errors, data and licence."""
    file = FOLDER / f"{network}-{tag}.json"
    return json.loads(file.read_text(encoding="utf-8"))
