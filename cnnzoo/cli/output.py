"""How the command line speaks: tables, JSON, progress, and a quiet start."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from tempfile import TemporaryFile

from rich.console import Console
from rich.table import Table

TOLD = 10  # files that are left out, by name
WIDE = 200  # columns: a figure is never cut, a narrow terminal wraps the line


def start(threads: int | None) -> None:
    """Imports Keras and makes this process fast; `threads` as `configure` takes it."""
    _import_quietly()
    from cnnzoo.system.runtime import configure

    configure(threads)


def _import_quietly() -> None:
    """Imports Keras, and holds back what TensorFlow says on stderr while it starts.

    It writes from C++, before its own log level counts; a failed import shows all of it.
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
    """Keras's progress bar on a terminal, a line an epoch in a file."""
    return 1 if sys.stdout.isatty() else 2


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    Console(highlight=False, markup=False, width=WIDE).print(table)


def print_pairs(pairs: dict[str, object]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in pairs.items():
        table.add_row(name, str(value))
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, width=width).print(table)


def print_json(content: object) -> None:
    print(json.dumps(content, indent=2))


def tell_left_out(*sources) -> None:
    """Says on stderr which files of folders are not used, and what looks wrong there."""
    for line in left_out(*sources):
        print(line, file=sys.stderr)


def left_out(*sources) -> list[str]:
    """Which files of folders are not used, and what looks wrong there, a line each."""
    every = (getattr(source, "findings", None) for source in sources)
    lines = []
    for found in {id(one): one for one in every if one}.values():  # parts share theirs
        if found.ignored:
            counts = ", ".join(
                f"{ending or 'no ending'} {n}" for ending, n in found.ignored.items()
            )
            total = sum(found.ignored.values())
            lines.append(f"{total} files left out, whose endings are not read: {counts}")
        lines += [f"left out {name!r}: {why}" for name, why in found.skipped[:TOLD]]
        if len(found.skipped) > TOLD:
            lines.append(f"{len(found.skipped)} files left out in all; see cnnzoo check")
        if found.linked:
            lines.append(
                f"{len(found.linked)} links lead to what is in the folder already"
            )
        if found.animated:
            frames = "images have several frames; the first is read"
            lines.append(f"{len(found.animated)} {frames}")
        lines += [
            f"{name!r} is of a format that nearly no other has"
            for name in found.rare[:TOLD]
        ]
        lines += [
            f"read with a warning: {name!r}: {told}" for name, told in found.warned[:TOLD]
        ]
        lines += [f"warning: {warning}" for warning in found.warnings]
    return lines
