"""Names of our layers in other libraries: the tables of `names.toml`.

That file explains its tables; a new network or library needs one there, nothing here.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cnnzoo.models import vgg

Rules = tuple[tuple[str, str], ...]

FILE = Path(__file__).with_name("names.toml")


@dataclass(frozen=True)
class NameTable:
    """Names that a library gives to the layers of some networks.

    Attributes:
        family: Where files with these names come from, such as "torchvision".
        networks: Catalog names of the networks.
        rules: Patterns of our layer names, each with their name; the first match is used.
        preprocessing: Mode that the weights need; None for that of the network.
    """

    family: str
    networks: tuple[str, ...]
    rules: Rules
    preprocessing: str | None = None

    def name(self, layer: str) -> str | None:
        """Their name for a layer of ours; None if the rules have none."""
        for pattern, template in self.rules:
            if match := re.fullmatch(pattern, layer):
                return _expand(template, match)
        return None


@cache
def name_tables() -> tuple[NameTable, ...]:
    """All tables, in the order of the file."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["table"]
    return tuple(table for row in rows for table in _tables(**row))


def name_table(family: str, network: str) -> NameTable:
    """A library's table for a network, which must have one."""
    tables = (table for table in name_tables() if table.family == family)
    return next(table for table in tables if network in table.networks)


def _tables(
    family: str,
    networks: Sequence[str],
    names: str = "",
    convolutions: str = "",
    ends: tuple[str, str] = (".conv", ".bn"),
    counted: str | None = None,
    preprocessing: str | None = None,
) -> Iterator[NameTable]:
    """What a table of the file stands for: of counted layers, one table per network."""
    rules = tuple(
        (f"{ours}{ending}", f"{theirs}{end}")
        for ours, theirs in _rules(convolutions)
        for ending, end in (("_bn", ends[1]), ("", ends[0]))
    )
    rules += _rules(names)
    if counted is None:
        yield NameTable(family, tuple(networks), rules, preprocessing)
        return
    for network in networks:
        own = (*_counted(counted, network), *rules)
        yield NameTable(family, (network,), own, preprocessing)


def _rules(text: str) -> Rules:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return tuple((ours, theirs) for ours, theirs in lines)


def _counted(module: str, network: str) -> Iterator[tuple[str, str]]:
    """Rules for a VGG, whose layers are counted with ReLUs and pools."""
    repeats, *_ = vgg.REPEATS[network.removesuffix("_bn")]
    step = 3 if network.endswith("_bn") else 2
    place = 0
    for stage, count in enumerate(repeats, start=1):
        for i in range(1, count + 1):
            yield f"stage{stage}_conv{i}", f"{module}.{place}"
            yield f"stage{stage}_conv{i}_bn", f"{module}.{place + 1}"
            place += step
        place += 1


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
