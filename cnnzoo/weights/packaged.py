"""Weights that travel in the package: `small_vgg-mnist.safetensors` and others."""

from pathlib import Path

from cnnzoo.weights.tensorfile import ENDING

FOLDER = Path(__file__).with_name("trained")


def path(network: str, tag: str) -> Path | None:
    """The file of a network's weights of that tag; None where there is none."""
    found = FOLDER / f"{network}-{tag}{ENDING}"
    return found if tag in tags(network) else None


def tags(network: str) -> tuple[str, ...]:
    """What `weights=` takes for a network that the package has weights of."""
    files = sorted(FOLDER.glob(f"{network}-*{ENDING}"))
    return tuple(file.stem.removeprefix(f"{network}-") for file in files)
