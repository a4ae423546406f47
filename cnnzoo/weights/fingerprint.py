"""Which weights a model has: where they come from, whether trained, and their hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from cnnzoo.metadata import metadata_of
from cnnzoo.weights.tensors import digest

SIGNS: Mapping[str, Mapping[str, int]] = {  # and the values of weights that show them
    "normalisations have seen no images": {"moving_mean": 0, "moving_variance": 1},
    "all biases are zero": {"bias": 0},
}
NEAR = 2e-3  # larger than any difference of two epsilons


@dataclass(frozen=True)
class Fingerprint:
    """Which weights a model, or its front, has.

    Attributes:
        source: Name of the file or other source that they were last loaded from; None if
            they were not.
        untrained: Signs that nobody trained them.
        sha256: Hash of their values, in the order of Keras.
    """

    source: str | None
    untrained: tuple[str, ...]
    sha256: str

    def to_dict(self) -> dict:
        """The fields as JSON has them."""
        return asdict(self)

    def __str__(self) -> str:
        nowhere = "none (random weights)" if self.untrained else "a model in memory"
        name = Path(self.source).name if self.source else nowhere
        return f"{name}, SHA-256 {self.sha256[:12]}"


def fingerprint(model: keras.Model, front: keras.Model) -> Fingerprint:
    """The fingerprint of the weights of a model's front.

    Args:
        model: Model from `build`, `load` or `adopt`.
        front: A model on some of the same layers.
    """
    signs = signs_of_no_training((w.name, w.numpy) for w in front.weights)
    return Fingerprint(metadata_of(model).weights, tuple(signs), digest(front.weights))


def signs_of_no_training(
    weights: Iterable[tuple[str, Callable[[], np.ndarray]]],
) -> Iterator[str]:
    """Yields what only weights have that nobody trained.

    Args:
        weights: Name that Keras gives each weight, and a function that reads its values.
    """
    weights = list(weights)
    for sign, initial in SIGNS.items():
        near = 0 if "bias" in initial else NEAR
        found = [
            np.allclose(read(), initial[name], atol=near)
            for name, read in weights
            if name in initial
        ]
        if found and all(found):
            yield sign
