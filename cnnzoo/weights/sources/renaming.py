"""Layer names of another library: by rules, and by numbers that Keras assigns."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import keras

from cnnzoo import graph
from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import HEAD, is_aux, is_head

Rules = tuple[tuple[str, str], ...]
NUMBERED = {"": "conv2d", "_bn": "batch_normalization"}  # our ending: their kind


@dataclass(frozen=True)
class NameMap:
    """Names that keras.applications gives to the layers of one network.

    Convolutions without a name there are numbered as they were drawn, as "conv2d_17" is,
    and so are their normalisations.

    Attributes:
        builder: Name of the network's builder there.
        rules: Patterns of our names, each with their name; the first match is used.
    """

    builder: str
    rules: Rules

    def numbered(self, model: keras.Model) -> list[str]:
        """Our convolutions without a name there, in the order of their numbers."""
        return [
            op.name
            for op in graph.drawing_order(model)
            if isinstance(op, keras.layers.Conv2D)
            and not by_rule(self.rules, op.name)
            and not (is_head(op.name) or is_aux(op.name))
        ]

    def layers(self, model: keras.Model) -> set[str]:
        """Our layers with weights that keras.applications has, too."""
        numbered = {f"{name}{end}" for name in self.numbered(model) for end in NUMBERED}
        return numbered | {x.name for x in model.layers if by_rule(self.rules, x.name)}

    def names(
        self, model: keras.Model, theirs: Collection[str], source: str
    ) -> dict[str, str]:
        """Their name for each of our layers that has one, and for those of the head.

        Args:
            model: Our network.
            theirs: Names of the source's layers.
            source: Name of the source in messages.

        Raises:
            WeightFileError: The source has fewer numbered layers, or a gap.
        """
        names, numbered = {}, self.numbered(model)
        for ending, kind in NUMBERED.items() if numbered else ():
            numbers = _numbers(kind, theirs)
            first, count = min(numbers, default=0), len(numbered)
            # Layers of a head of one's own may follow.
            if sorted(numbers)[:count] != list(range(first, first + count)):
                raise WeightFileError(
                    f"{source} has {len(numbers)} layers named {kind}_N, and "
                    f"keras.applications.{self.builder} has {count}, "
                    "numbered without a gap; give a source of that network"
                )
            names |= {
                f"{ours}{ending}": numbers[first + i] for i, ours in enumerate(numbered)
            }
        for layer in (*(layer.name for layer in model.layers), *HEAD):
            if name := by_rule(self.rules, layer):
                names[layer] = name
        return names


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
        return by_rule(self.rules, layer)


def by_rule(rules: Rules, layer: str) -> str | None:
    """What the first rule that fits makes of a name; None if none does."""
    for pattern, template in rules:
        if match := re.fullmatch(pattern, layer):
            return _expand(template, match)
    return None


def _expand(template: str, match: re.Match[str]) -> str:
    """The template with the groups of a match: `{1}`, `{1-1}`, or `{1+1:abcde}`.

    A number behind a group is added to it; of letters or digits, the one at this place is
    taken.
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
