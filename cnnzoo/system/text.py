"""Text for terminals and pages: made safe to show, in tables, with short numbers."""

import re
from collections.abc import Iterable, Sequence

# Control characters but tab and line feed, marks that reorder text, undecodable bytes.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""The text with unsafe characters as escapes, such as \x1b.

    Names of files and folders can contain them, and a terminal would obey them.
    """
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text, whose first column is aligned to the left."""
    lines = [header, *rows]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *map(str.rjust, values, others)])
        for name, *values in lines
    )


def abbreviate(count: int | None) -> str:
    """A number in three digits and a letter; "open" where it is unknown."""
    if count is None:
        return "open"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
