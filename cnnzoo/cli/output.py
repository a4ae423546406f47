"""Output of the command line: tables, JSON, progress, and Keras's quiet import."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table

from cnnzoo.system.text import printable

if TYPE_CHECKING:
    from cnnzoo.data.arrays import Source

WIDE = 200  # columns: values are never cut, a narrow terminal wraps lines


def start(threads: int | None) -> None:
    """Imports Keras and sets the number of threads, as `configure` does."""
    _import_quietly()
    from cnnzoo.system.runtime import configure

    configure(threads)


def _import_quietly() -> None:
    """Imports Keras without TensorFlow's start-up messages on stderr.

    C++ code writes them before the log level applies. A failed import shows all of them.
    """
    stderr = os.dup(2)
    with TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def verbosity() -> int:
    """Keras's progress bar on a terminal, one line per epoch in a file."""
    return 1 if sys.stdout.isatty() else 2


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


def print_pairs(pairs: Mapping[str, object]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in pairs.items():
        table.add_row(printable(name), printable(value))
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(table)


def print_json(content: object) -> None:
    print(json.dumps(content, indent=2))


def print_left_out(*sources: Source) -> None:
    """Prints to stderr which files of folders are not used, and other problems."""
    lines = (line for source in sources for line in source.report_lines())
    for line in dict.fromkeys(lines):  # splits of one folder share its report
        say(line, file=sys.stderr)
