"""The results of a run, and their JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Measurement:
    """The results of one contender for one row.

    Attributes:
        seconds: Seconds of each round.
        parts: Seconds of each round by part, for work with parts.
        peak_bytes: Peak memory of the process.
        facts: Precision, threads, versions, number of parameters.
        error: Reason of a failure; empty if there was none.
    """

    seconds: Sequence[float] = ()
    parts: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int = 0
    facts: dict = field(default_factory=dict)
    error: str = ""

    @property
    def median(self) -> float:
        return median(self.seconds)


Rounds = dict[str, Measurement]  # by contender


@dataclass(frozen=True)
class Results:
    """The results of a run.

    Attributes:
        command: Command of the run.
        date: Date of the run, ISO 8601.
        rounds: Number of rounds.
        minutes: Duration of the run.
        machine: Result of `machine.describe`.
        rows: Results of each contender, by name of the row.
    """

    command: str
    date: str
    rounds: int
    minutes: float
    machine: dict
    rows: dict[str, Rounds]

    def find(self, row: str, contender: str) -> Measurement | None:
        """The results of a contender; None if it has no times."""
        result = self.rows.get(row, {}).get(contender)
        return result if result and result.seconds and not result.error else None


def dumps(results: Results) -> str:
    return json.dumps(asdict(results), indent=1) + "\n"


def load(path: Path) -> Results:
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = {
        row: {name: Measurement(**values) for name, values in contenders.items()}
        for row, contenders in content.pop("rows").items()
    }
    return Results(**content, rows=rows)
