"""Layer names of another library: by rules, and by numbers that Keras assigns."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import PREDICTIONS, head

Rules = tuple[tuple[str, str], ...]
NUMBERED = {"": "conv2d", "_bn": "batch_normalization"}  # our ending: their kind


@dataclass(frozen=True)
class NameMap:
    """Names that keras.applications gives to the layers of one network.

    Attributes:
        builder: Name of the network's builder there.
        rules: Patterns of our names, each with their name; the first match is used.
        numbered: Our convolutions, each with its `_bn`, whose names there are numbered,
            such as "conv2d_17", in the order of these numbers.
    """

    builder: str
    rules: Rules
    numbered: tuple[str, ...] = ()

    def has(self, layer: str) -> bool:
        return layer.removesuffix("_bn") in self.numbered or bool(self._by_rule(layer))

    def names(
        self, layers: Collection[str], theirs: Collection[str], source: str
    ) -> dict[str, str]:
        """Their name for each of our layers that has one, and for those of the head.

        Args:
            layers: Names of our layers.
            theirs: Names of the source's layers.
            source: Name of the source in messages.

        Raises:
            WeightFileError: The source has fewer numbered layers, or a gap.
        """
        names = {}
        for ending, kind in NUMBERED.items() if self.numbered else ():
            numbers = _numbers(kind, theirs)
            first, count = min(numbers, default=0), len(self.numbered)
            # Layers of a head of one's own may follow.
            if sorted(numbers)[:count] != list(range(first, first + count)):
                raise WeightFileError(
                    f"{source} has {len(numbers)} layers named {kind}_N, and "
                    f"keras.applications.{self.builder} has {count}, "
                    "numbered without a gap; give a source of that network"
                )
            names |= {
                f"{ours}{ending}": numbers[first + i]
                for i, ours in enumerate(self.numbered)
            }
        for layer in (*layers, head("dense1"), head("dense2"), PREDICTIONS):
            if name := self._by_rule(layer):
                names[layer] = name
        return names

    def _by_rule(self, layer: str) -> str | None:
        for pattern, template in self.rules:
            if match := re.fullmatch(pattern, layer):
                return match.expand(template)
        return None


def _numbers(kind: str, names: Collection[str]) -> Mapping[int, str]:
    """The names "conv2d", "conv2d_1", ... by their number."""
    matches = (re.fullmatch(rf"{kind}(?:_(\d+))?", name) for name in names)
    return {int(match[1] or 0): match[0] for match in matches if match}


@dataclass(frozen=True)
class ModuleNames:
    """Names that a library of PyTorch or Caffe gives to the modules of some networks.

    Attributes:
        family: Where files with these names come from, such as "torchvision".
        rules: Patterns of our layer names, each with their name; the first match is used.
        preprocessing: Mode that the weights need; None for that of the network.
    """

    family: str
    rules: Rules
    preprocessing: str | None = None

    def name(self, layer: str) -> str | None:
        """Their name for a layer of ours; None if the rules have none."""
        for pattern, template in self.rules:
            if match := re.fullmatch(pattern, layer):
                return expand(template, match)
        return None


def expand(template: str, match: re.Match[str]) -> str:
    """The template with the groups of a match: `{1}`, `{1-1}`, or `{1+1:abcde}`.

    A number behind a group is added to it; of letters, the one at this place is taken.
    """

    def part(found: re.Match[str]) -> str:
        group, shift, letters = found.groups()
        text = match[int(group)]
        text = str(int(text) + int(shift)) if shift else text
        return letters[int(text) - 1 : int(text)] if letters else text

    return re.sub(r"\{(\d)([+-]\d+)?(?::(\w+))?\}", part, template)


def rules(text: str) -> Rules:
    """Rules from a table with a pattern and a template per line."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return tuple((ours, theirs) for ours, theirs in lines)


def with_norms(text: str, conv: str = ".conv", norm: str = ".bn") -> Rules:
    """Rules for convolutions and for their normalisations, by endings of their names."""
    endings = (("_bn", norm), ("", conv))
    return tuple((o + mine, t + end) for o, t in rules(text) for mine, end in endings)
