"""What a run gives, and its JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Measured:
    """One contender's rounds of one row.

    Attributes:
        seconds: each round's.
        parts: each round's by part, where the work has parts.
        peak_bytes: the most memory that its process held.
        facts: precision, threads, versions, parameters.
        error: why there is nothing; empty where all went well.
    """

    seconds: Sequence[float] = ()
    parts: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int = 0
    facts: dict = field(default_factory=dict)
    error: str = ""

    @property
    def median(self) -> float:
        return median(self.seconds)


Rounds = dict[str, Measured]  # by contender


@dataclass(frozen=True)
class Results:
    """Attributes:
    command: that gave them.
    date: the day, ISO 8601.
    rounds: in which contenders took turns.
    minutes: that all of it took.
    machine: from `machine.describe`.
    rows: by name, what each contender did.
    """

    command: str
    date: str
    rounds: int
    minutes: float
    machine: dict
    rows: dict[str, Rounds]

    def measured(self, row: str, contender: str) -> Measured | None:
        """None where there is no time of it."""
        found = self.rows.get(row, {}).get(contender)
        return found if found and found.seconds and not found.error else None


def dumps(results: Results) -> str:
    return json.dumps(asdict(results), indent=1) + "\n"


def load(path: Path) -> Results:
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = {
        row: {name: Measured(**measured) for name, measured in contenders.items()}
        for row, contenders in content.pop("rows").items()
    }
    return Results(**content, rows=rows)
