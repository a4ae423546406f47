"""`make bench`: measures all rows, prints the goals, and writes `docs/speed.md`."""

import argparse
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

from benchmarks import machine, page, pictures
from benchmarks.alternate import ROOT, measure
from benchmarks.contest import Row
from benchmarks.results import Results, dumps, load
from benchmarks.rows import select_rows
from benchmarks.task import Work
from cnnzoo.system import files

STORED = ROOT / "benchmarks" / "results.json"
LATEST = ROOT / "build" / "bench" / "results.json"
PAGE = ROOT / "docs" / "speed.md"
PICTURES = ROOT / "docs" / "pictures"


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.page:
        write_page(load(STORED))
        return 0
    try:
        rows = select_rows(options.rows)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    results = run(rows, 2 if options.quick else options.rounds, options.quick)
    if options.update:
        results = merge(load(STORED), results)
    complete = options.update or not (options.rows or options.quick)
    out = options.out or (STORED if complete else LATEST)
    files.write_text(out, dumps(results))
    print(f"\n{page.goal_table(results)}\n\n{page.machine_lines(results)}\n\n{out}")
    if complete and out == STORED:
        write_page(results)
        print(PAGE)
    return 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    options.add_argument("rows", nargs="*", help="rows or groups of rows (default: all)")
    options.add_argument(
        "--rounds", type=int, default=5, help="rounds per row (default: 5)"
    )
    options.add_argument(
        "--quick",
        action="store_true",
        help="run each row with little work, as a test only",
    )
    options.add_argument(
        "--update",
        action="store_true",
        help="replace these rows in the stored results, which must be from this machine",
    )
    options.add_argument("--out", type=Path, help="the JSON file to write")
    options.add_argument(
        "--page",
        action="store_true",
        help="only write docs/speed.md again",
    )
    return options


def run(rows: list[Row], rounds: int, quick: bool) -> Results:
    """Measures the rows one after the other; prints and saves the results of each."""
    start = time.monotonic()
    results = Results(
        command="make bench",
        date=date.today().isoformat(),
        rounds=rounds,
        minutes=0.0,
        machine=machine.describe(),
        rows={},
    )
    for row in rows:
        print(f"{row.title}", flush=True)
        work = shrink(row.work) if quick else row.work
        results.rows[row.name] = measure(row, work, rounds, LATEST.parent, report)
        print(page.row_lines(row, results), flush=True)
        minutes = round((time.monotonic() - start) / 60, 1)
        results = replace(results, minutes=minutes)
        files.write_text(LATEST, dumps(results))
    return results


def merge(before: Results, now: Results) -> Results:
    """The results of both, in the order of the first; new rows replace old ones.

    Raises:
        SystemExit: The machines or the numbers of rounds differ.
    """
    for name in ("cpu", "cores", "python"):
        if before.machine[name] != now.machine[name]:
            raise SystemExit(
                f"the stored results are from another {name}; measure all rows"
            )
    if before.rounds != now.rounds:
        raise SystemExit(f"the stored rows have {before.rounds} rounds; use as many")
    return replace(
        before,
        date=now.date,
        minutes=before.minutes + now.minutes,
        rows={**before.rows, **now.rows},
    )


def shrink(work: Work) -> Work:
    """The same work with one step of two images, for a quick test."""
    return replace(work, batch=min(work.batch, 2), steps=1, warm_ups=1)


def report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_page(results: Results) -> None:
    files.write_text(PAGE, page.speed_page(results))
    pictures.write(results, PICTURES)


if __name__ == "__main__":
    sys.exit(main())
