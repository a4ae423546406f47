"""How a table of names is read: rows of patterns, and layers that Keras only counts."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import PREDICTIONS, head

COUNTED = {"": "conv2d", "_bn": "batch_normalization"}  # ending here: kind there


@dataclass(frozen=True)
class Table:
    """What keras.applications calls the layers of one network.

    Attributes:
        builder: the network's name there.
        rows: a pattern for our names, and what they become; the first that fits counts.
        counted: our convolutions, each with its `_bn`, that have a number for a name
            there, such as "conv2d_17", in the order of these numbers.
    """

    builder: str
    rows: tuple[tuple[str, str], ...]
    counted: tuple[str, ...] = ()

    def has(self, layer: str) -> bool:
        return layer.removesuffix("_bn") in self.counted or bool(self._by_row(layer))

    def names(
        self, layers: Collection[str], known: Collection[str], source: str
    ) -> dict[str, str]:
        """Their name for each of our layers that has one, and for those of the head.

        Args:
            layers: ours.
            known: the layers of the source.
            source: what messages call it.

        Raises:
            WeightFileError: the source counts other layers than the table.
        """
        names = {}
        for ending, kind in COUNTED.items():
            numbers = _numbers(kind, known)
            first = min(numbers, default=0)
            if sorted(numbers) != list(range(first, first + len(self.counted))):
                raise WeightFileError(
                    f"{source} has {len(numbers)} layers named {kind}_N, and "
                    f"keras.applications.{self.builder} has {len(self.counted)}, "
                    "numbered without a gap; give a source of that network"
                )
            names |= {
                f"{ours}{ending}": numbers[first + i]
                for i, ours in enumerate(self.counted)
            }
        for layer in (*layers, head("dense1"), head("dense2"), PREDICTIONS):
            theirs = self._by_row(layer)
            if theirs:
                names[layer] = theirs
        return names

    def _by_row(self, layer: str) -> str | None:
        for pattern, template in self.rows:
            match = re.fullmatch(pattern, layer)
            if match:
                return match.expand(template)
        return None


def _numbers(kind: str, names: Collection[str]) -> Mapping[int, str]:
    """The names "conv2d", "conv2d_1", ... by their number."""
    matches = (re.fullmatch(rf"{kind}(?:_(\d+))?", name) for name in names)
    return {int(match[1] or 0): match[0] for match in matches if match}
