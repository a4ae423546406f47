"""CSV files with the class of each image of a folder.

The two columns are file and class, with or without a header; a file's extension may be
omitted. The encoding is UTF-8; a byte order mark, quotes and CRLF are allowed.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnzoo.data.table import csv_rows
from cnnzoo.errors import LabelError

NAMED = 10  # files named in an error message
NO_LABELS = ("", "nan", "none", "null")  # in lower case


def classes_of(path: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """The images of each class, with classes sorted as text and images as in `names`.

    Args:
        path: Path of the CSV file.
        names: Paths of the images, relative to their folder.

    Raises:
        LabelError: The file cannot be read, a line has no class, or files and images do
            not match one to one.
    """
    bare = [os.path.splitext(name)[0] for name in names]
    counts = Counter(bare)
    known = {b: n for b, n in zip(bare, names, strict=True) if counts[b] == 1}
    known |= {name: name for name in names}
    labels: dict[str, str] = {}
    strange, twice = [], []
    for line, (file, label) in _rows(Path(path)):
        if line == 1 and file not in known and not os.path.splitext(file)[1]:
            continue  # a header, such as file,class
        if label.lower() in NO_LABELS:
            raise _fault(path, "a class for each file", f"none on line {line}, {file!r}")
        if file not in known:
            strange.append(file)
        elif known[file] in labels:
            twice.append(file)
        else:
            labels[known[file]] = label
    missing = [name for name in names if name not in labels]
    for files, what in (
        (strange, "that are not in the folder"),
        (twice, "that stand there twice"),
        (missing, "of the folder that it does not name"),
    ):
        if files:
            raise _fault(path, "each image once", f"{len(files)} files {what}", files)
    classes: dict[str, list[str]] = {name: [] for name in sorted(set(labels.values()))}
    for name in names:
        classes[labels[name]].append(name)
    return classes


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yields the line number, from 1, and the file and class of each line."""
    if not path.is_file():
        raise _fault(path, "a CSV file", "no regular file")
    try:
        for line, row in csv_rows(path):
            if len(row) != 2:
                found = f"{len(row)} on line {line}"
                raise _fault(path, "two columns, file and class", found)
            yield line, (row[0].strip(), row[1].strip())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _fault(path, "a CSV file in UTF-8", str(error)) from error


def _fault(
    path: str | Path, expected: str, found: str, files: Sequence[str] = ()
) -> LabelError:
    examples = f", such as {', '.join(map(repr, files[:NAMED]))}"[:500] if files else ""
    return LabelError(
        f"cannot label images by {path}: expected {expected}, found {found}{examples}; "
        "correct the file"
    )
