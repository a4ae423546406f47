"""CSV files of pixels, one image per line, and CSV files of predicted labels.

Three forms are read: without a header and with the label first; with a header that names
a label column; and with a header but no label column, for unlabelled images.
"""

import csv
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from cnnzoo.data.arrays import Images
from cnnzoo.errors import DatasetError, UsageError, cannot_read
from cnnzoo.system.files import write_text

MAX_CLASSES = 100_000  # as many names are made, whatever the labels are
LABEL_COLUMNS = frozenset({"label", "class", "target"})
ID_COLUMNS = frozenset({"id", "imageid", "image_id"})

_INTEGER = re.compile(r"\s*\+?[0-9]{1,18}\s*", re.ASCII)
_ENCODING = "utf-8-sig"  # UTF-8, with or without a byte order mark


@dataclass(frozen=True)
class _Layout:
    """Columns of a file, by position from 0.

    `skipped` is the number of lines before the first row; `shape` is (h, w, c); `texts`
    is whether labels are names of classes.
    """

    columns: int
    label: int | None
    row_id: int | None
    skipped: int
    shape: tuple[int, int, int]
    texts: bool = False


def read_csv(path: str | Path, *, complete: bool = True) -> Images:
    """Reads images and, if the file has them, labels.

    A header is a first line that names a label or id column, or contains no integer.
    Label columns are label, class and target, id columns are id, imageid and image_id,
    in upper or lower case. All other columns are pixels in order: h*w of a square grey
    image, or h*w*3 of a square RGB image with the channels of a pixel side by side.

    Args:
        path: Path of a UTF-8 file with commas; it may have a BOM, CRLF and quotes.

    Returns:
        Images (n, h, w, 1) or (n, h, w, 3). `class_names` are "0" to the largest label,
        or the labels sorted as text if the first is no number; unlabelled images have
        none, and the id column, if there is one, as `ids`.

    Raises:
        DatasetError: The file is missing or empty, its columns are not a square image, a
            value is not an integer of 0 to 255, or a label between 0 and the largest has
            no row; the message names the line, counted from 1.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise cannot_read(path, "a CSV file", "no regular file", "check the path")
    try:
        layout = _read_layout(path)
        table = _read_body(path, layout)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        expected = "a CSV file in UTF-8"
        raise cannot_read(path, expected, str(error), "save it as one") from error
    parts = [table[name] for name in table.dtype.names or () if name.startswith("p")]
    images = np.concatenate(parts, axis=1).reshape(-1, *layout.shape)
    if layout.label is None:
        ids = None if layout.row_id is None else tuple(map(str, table["id"]))
        return Images(images, None, (), ids)
    if layout.texts:
        texts = [label.strip() for label in table["label"]]
        found, labels = np.unique(texts, return_inverse=True)
        return Images(images, labels.astype(np.int64), tuple(found.tolist()))
    return Images(images, table["label"], _class_names(path, table["label"], complete))


def write_submission(
    path: str | Path,
    labels: Sequence[int | str] | np.ndarray,
    ids: Sequence[str] | None = None,
    columns: tuple[str, str] = ("ImageId", "Label"),
) -> Path:
    """Writes predicted labels as a CSV file of two columns, atomically.

    Args:
        path: Path of the file, which is replaced if it exists.
        labels: Class numbers or names.
        ids: Name of each row; None for numbers from 1.
        columns: Header of the two columns.

    Returns:
        The path.

    Raises:
        UsageError: The ids and the labels differ in length.
        SaveError: The file cannot be written.
    """
    names = range(1, len(labels) + 1) if ids is None else ids
    if len(names) != len(labels):
        raise UsageError(
            f"cannot write {path}: expected one id for each of {len(labels)} labels, "
            f"found {len(names)} ids, so pass as many"
        )
    text = io.StringIO()
    rows = [columns, *zip(names, labels, strict=True)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return write_text(path, text.getvalue())


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yields the line number, from 1, and the fields of every line that is not blank."""
    with path.open(encoding=_ENCODING, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            if row:
                yield reader.line_num, row


def _read_layout(path: Path) -> _Layout:
    """Determines the columns from the first line."""
    rows = csv_rows(path)
    line, first = next(rows, (0, []))
    names = [field.strip().lower() for field in first]
    named = any(name in LABEL_COLUMNS | ID_COLUMNS for name in names)
    header = named or not any(map(_INTEGER.fullmatch, first))
    _, row = next(rows, (0, [])) if header else (line, first)
    if not row:
        raise cannot_read(path, "one line per image", "none", "check the file")
    label = _position(path, line, names, LABEL_COLUMNS) if header else 0
    row_id = _position(path, line, names, ID_COLUMNS) if header else None
    pixels = len(first) - (label is not None) - (row_id is not None)
    return _Layout(
        columns=len(first),
        label=label,
        row_id=row_id,
        skipped=line if header else line - 1,
        shape=_shape(path, line, pixels),
        texts=label is not None and _is_text(row[label : label + 1]),
    )


def _is_text(field: list[str]) -> bool:
    try:
        return not np.isfinite(float(field[0])) if field else False
    except ValueError:
        return True


def _position(
    path: Path, line: int, names: list[str], wanted: frozenset[str]
) -> int | None:
    found = [position for position, name in enumerate(names) if name in wanted]
    if len(found) > 1:
        expected = f"at most one column named {', '.join(sorted(wanted))}"
        advice = "rename or remove one"
        raise cannot_read(f"{path}, line {line}", expected, str(len(found)), advice)
    return found[0] if found else None


def _shape(path: Path, line: int, pixels: int) -> tuple[int, int, int]:
    """Returns h, w and c of a square image with this number of values."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and side * side * channels == pixels:
            return side, side, channels
    expected = "a square number of pixel columns for grey images, three times one for RGB"
    advice = "check the columns, of which label and id columns must be named in a header"
    raise cannot_read(f"{path}, line {line}", expected, str(pixels), advice)


def _read_body(path: Path, layout: _Layout) -> np.ndarray:
    """Reads all rows into an array with the fields label, id, p0, p1, ..."""
    try:
        table = np.loadtxt(
            path,
            dtype=_dtype(layout),
            comments=None,
            delimiter=",",
            quotechar='"',
            skiprows=layout.skipped,
            encoding=_ENCODING,
            ndmin=1,
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise _fault(path, layout, str(error)) from error
    if layout.label is not None:
        labels = table["label"]
        bad = not all(map(str.strip, labels)) if layout.texts else labels.min() < 0
        if bad:
            raise _fault(path, layout, "a label below 0 or an empty one")
    return table


def _dtype(layout: _Layout) -> np.dtype:
    """One field for the label, one for the id, one for each run of pixel columns."""
    label = object if layout.texts else np.int64
    named = {layout.label: ("label", label), layout.row_id: ("id", object)}
    runs = groupby(range(layout.columns), named.get)
    return np.dtype(
        [
            field or (f"p{i}", np.uint8, (len(list(columns)),))
            for i, (field, columns) in enumerate(runs)
        ]
    )


def _fault(path: Path, layout: _Layout, reason: str) -> DatasetError:
    """Returns the error for the first invalid field."""
    for line, row in csv_rows(path):
        if line <= layout.skipped:
            continue
        where = f"{path}, line {line}"
        if len(row) != layout.columns:
            expected = f"{layout.columns} fields, as in the first line"
            return cannot_read(where, expected, str(len(row)), "correct the line")
        for column, field in enumerate(row):
            is_label = column == layout.label
            whole = _INTEGER.fullmatch(field) is not None
            if column == layout.row_id or (whole and (is_label or int(field) <= 255)):
                continue
            if is_label and layout.texts and field.strip():
                continue
            where = f"{where}, column {column + 1}"
            wanted = "a label from 0 up" if is_label else "a pixel of 0 to 255"
            expected = f"{wanted} as an integer"
            if is_label and layout.texts:
                expected = "the name of a class"
            return cannot_read(where, expected, f"{field[:50]!r}", "correct the value")
    expected = f"lines of {layout.columns} integers"
    return cannot_read(path, expected, reason[:300], "correct the file")


def _class_names(path: Path, labels: np.ndarray, complete: bool) -> tuple[str, ...]:
    """Returns "0" to the largest label, each of which must have a row if `complete`."""
    present = np.unique(labels)
    if present[-1] >= MAX_CLASSES:
        expected = f"labels below {MAX_CLASSES:,}"
        advice = "number the classes from 0 up"
        raise cannot_read(path, expected, f"{present[-1]}", advice)
    if complete and present[-1] != len(present) - 1:
        gap = int(np.argmax(present != np.arange(len(present))))
        expected = f"a row for every label of 0 to {present[-1]}"
        advice = "number the classes without a gap"
        raise cannot_read(path, expected, f"none for {gap}", advice)
    return tuple(map(str, range(present[-1] + 1)))
