"""Output of the command line: tables, JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from cnnzoo.system.runtime import configure, import_keras
from cnnzoo.system.text import printable

if TYPE_CHECKING:
    from cnnzoo.data.arrays import Source

WIDE = 200  # columns: values are never cut, a narrow terminal wraps lines


def start(threads: int | None) -> None:
    """Imports Keras and sets the number of threads, as `configure` does."""
    import_keras()
    configure(threads)


def say(text: object = "", *, end: str = "\n", file: TextIO | None = None) -> None:
    """Prints text to stdout or a file, with control characters as escapes."""
    print(printable(text), end=end, file=file, flush=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(printable, row))
    Console(highlight=False, markup=False, width=WIDE).print(table)


def print_records(
    records: Iterable[Any], columns: Mapping[str, Callable[[Any], object]]
) -> None:
    """Prints a table with a row per record; columns are functions of a record."""
    rows = [[value(record) for value in columns.values()] for record in records]
    print_table(list(columns), rows)


def print_pairs(pairs: Mapping[str, object]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in pairs.items():
        table.add_row(printable(name), printable(value))
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(table)


def print_progress(text: str, *, is_last: bool) -> None:
    """Prints progress to stderr, over what it printed before; in a file, the last."""
    if is_last or sys.stderr.isatty():
        say(text, end="\n" if is_last else "\r", file=sys.stderr)


def print_json(content: object) -> None:
    print(json.dumps(content, indent=2))


def print_left_out(*sources: Source) -> None:
    """Prints to stderr which files of folders are not used, and other problems."""
    lines = (line for source in sources for line in source.report_lines())
    for line in dict.fromkeys(lines):  # splits of one folder share its report
        say(line, file=sys.stderr)
