"""Checksums of training images, by which predictions mark images used in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders.inspection import checksum
from cnnzoo.system.files import write_text

FILE = "training_files.txt"  # in the folder of a run: one checksum per line


def write(folder: Path, source: Source) -> None:
    """Writes the checksums of the training images; without any, removes an old list.

    Raises:
        SaveError: The file cannot be written.
    """
    if source.checksums is not None:
        lines = sorted({checksum.hex() for checksum in source.checksums})
        write_text(folder / FILE, "".join(f"{line}\n" for line in lines))
    else:
        (folder / FILE).unlink(missing_ok=True)


def in_training_set(
    folders: Iterable[Path], paths: Sequence[str | Path]
) -> list[bool | None]:
    """Whether each file has the content of a training image.

    Args:
        folders: Folders of the runs.

    Returns:
        A value per file; all are None if one of the folders has no checksums.
    """
    lists = [folder / FILE for folder in folders]
    if not lists or not all(path.is_file() for path in lists):
        return [None] * len(paths)
    text = "".join(path.read_text(encoding="ascii", errors="replace") for path in lists)
    known = set(text.split())
    return [checksum(path).hex() in known for path in paths]
