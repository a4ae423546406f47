"""Contenders of a row take turns, each in a process of its own.

The speed of a shared machine changes over time. It changes equally for contenders that
alternate, in an order that is reversed each round, so the ratio of their medians is more
reliable than that of two runs one after the other.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.contest import Contender, Row
from benchmarks.results import Measurement, Rounds
from benchmarks.task import Work

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",  # CPUs only
}


class Child:
    """The process of one contender, and its results.

    After a failure it gets no more requests, and `error` has the reason.
    """

    def __init__(self, contender: Contender, log: Path):
        self.contender = contender
        self.error = ""
        self.facts: dict = {}
        self.rounds: list[dict] = []
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.contender"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT, **contender.env},
            )

    def prepare(self, work: Work) -> None:
        response = self.request({"prepare": self.contender.prepare, "work": asdict(work)})
        self.facts = response.get("facts", {})

    def run(self) -> None:
        self.rounds.append(self.request({"do": "run"}))

    def finish(self, steps: int) -> Measurement:
        """The results, in seconds per step."""
        peak = self.request({"do": "end"}).get("peak_bytes", 0)
        if self.error:
            return Measurement(error=self.error, facts=self.facts)
        return Measurement(
            seconds=[round(round_["seconds"] / steps, 7) for round_ in self.rounds],
            parts=by_part([round_["parts"] for round_ in self.rounds]),
            peak_bytes=peak,
            facts=self.facts,
        )

    def request(self, content: dict) -> dict:
        """The response to a request; empty if this or an earlier request failed."""
        if self.error:
            return {}
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(json.dumps(content), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.error = f"its process ended with code {self.process.wait()}"
            return {}
        response = json.loads(line)
        self.error = response.get("error", "")
        return {} if self.error else response

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def start_processes(contenders: Sequence[Contender], logs: Path) -> Iterator[list[Child]]:
    """Starts a process per contender, and ends all of them on exit."""
    logs.mkdir(parents=True, exist_ok=True)
    children: list[Child] = []
    try:
        for contender in contenders:
            children.append(Child(contender, logs / f"{contender.name}.log"))
        yield children
    finally:
        for child in children:
            child.end()


def measure(
    row: Row, work: Work, rounds: int, logs: Path, report: Callable[[str], object]
) -> Rounds:
    """Prepares the row's contenders one after the other, then runs them in turns.

    Args:
        row: Row to measure.
        work: Work of the row, or a smaller one for a quick test.
        rounds: Number of rounds.
        logs: Folder for the output of libraries.
        report: Function that prints a line about each contender.
    """
    with start_processes(row.contenders, logs / row.name) as children:
        for child in children:
            child.prepare(work)
            report(f"  {child.contender.name}: {child.error or 'ready'}")
        for i in range(rounds):
            for child in children if i % 2 == 0 else reversed(children):
                child.run()
        return {child.contender.name: child.finish(work.steps) for child in children}


def by_part(rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    """Seconds of each part, round by round."""
    names = rounds[0] if rounds else ()
    return {name: [parts[name] for parts in rounds] for name in names}
