"""Tables with the class of each image of a folder.

The columns file and class are found by the names of a header, or are the only two. They
are separated by commas, semicolons or tabs. A file is named by its path relative to the
folder or to the table, or by its name alone if that is unique, with or without the
extension. The encoding is UTF-8; a byte order mark, quotes and CRLF are allowed.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cnnzoo.data.table import csv_rows
from cnnzoo.errors import LabelError

NAMED = 10  # files named in an error message
SEPARATORS = (",", ";", "\t")
# Names of columns in lower case, of which the first that a header has is used.
FILES = (
    *("file", "filename", "file_name", "path", "filepath", "file_path", "image"),
    *("image_path", "image_name", "img", "name", "image_id", "id"),
)
CLASSES = ("label", "class", "class_name", "target", "category", "species", "breed")
NO_LABELS = ("", "nan", "none", "null")  # in lower case


def classes_of(
    path: str | Path, names: Sequence[str], root: Path, partial: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """The images of each class, and a note of each kind of files that are left out.

    Classes are sorted as text, images as in `names`.

    Args:
        path: Path of the table.
        names: Paths of the images, relative to their folder.
        root: Path of the folder.
        partial: Whether to leave out images without a line, and lines without an image.

    Raises:
        LabelError: The file cannot be read, a line has no class, a file is named twice,
            or files and images do not match one to one and `partial` is False.
    """
    known = _spellings(names)
    labels: dict[str, str] = {}
    strange, twice = [], []
    for line, (file, label) in _rows(Path(path)):
        file = _find(file, known, Path(path).parent, root)
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
    notes = []
    for files, what in (
        (twice, "that stand there twice"),
        (strange, "that are not in the folder"),
        (missing, "of the folder that it does not name"),
    ):
        if files and (files is twice or not partial):
            raise _fault(path, "each image once", f"{len(files)} files {what}", files)
        notes += [f"{len(files)} files {what} are left out, by {path}"] if files else []
    classes: dict[str, list[str]] = {name: [] for name in sorted(set(labels.values()))}
    for name in filter(labels.__contains__, names):
        classes[labels[name]].append(name)
    return classes, notes


def _spellings(names: Sequence[str]) -> dict[str, str]:
    """The image that a path or a name means, with or without its extension."""
    known: dict[str, str] = {}
    for shorten in (os.path.basename, str):
        for cut in (lambda name: os.path.splitext(name)[0], str):
            texts = [cut(shorten(name)) for name in names]
            counts = Counter(texts)
            pairs = zip(texts, names, strict=True)
            known |= {text: name for text, name in pairs if counts[text] == 1}
    return known


def _find(file: str, known: Mapping[str, str], table: Path, root: Path) -> str:
    """The spelling of a file that is known, or the file as it is."""
    if file in known:
        return file
    plain = os.path.normpath(file.replace("\\", "/"))
    beside = os.path.relpath(table / plain, root).replace(os.sep, "/")
    return next((text for text in (plain, beside) if text in known), file)


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yields the line number, from 1, and the file and class of each line."""
    if not path.is_file():
        raise _fault(path, "a CSV file", "no regular file")
    try:
        firsts = {mark: next(csv_rows(path, mark), (0, []))[1] for mark in SEPARATORS}
        separator = max(SEPARATORS, key=lambda mark: len(firsts[mark]))
        first = firsts[separator]
        columns = _columns(first)
        expected = f"{len(first)} columns, as in the first line"
        if columns is None:
            expected = "two columns, file and class, or a header that names them"
        for place, (line, row) in enumerate(csv_rows(path, separator)):
            if columns is None or len(row) != len(first):
                raise _fault(path, expected, f"{len(row)} on line {line}")
            if place == 0 and columns != (0, 1):
                continue  # a header
            yield line, (row[columns[0]].strip(), row[columns[1]].strip())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _fault(path, "a CSV file in UTF-8", str(error)) from error


def _columns(header: Sequence[str]) -> tuple[int, int] | None:
    """Positions of the file and of the class; None if they are not known."""
    names = [name.strip().lower() for name in header]
    file = next((names.index(name) for name in FILES if name in names), None)
    label = next((names.index(name) for name in CLASSES if name in names), None)
    if len(names) == 2:
        file = file if file is not None else 1 - label if label is not None else 0
        return file, 1 - file
    return None if file is None or label is None else (file, label)


def _fault(
    path: str | Path, expected: str, found: str, files: Sequence[str] = ()
) -> LabelError:
    examples = f", such as {', '.join(map(repr, files[:NAMED]))}"[:500] if files else ""
    advice = ", or pass partial (--partial) for a table of some images" if files else ""
    return LabelError(
        f"cannot label images by {path}: expected {expected}, found {found}{examples}; "
        f"correct the file{advice}"
    )
