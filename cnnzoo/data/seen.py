"""Which pictures a network learnt from, to say so when it is asked about one of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cnnzoo.data.survey import checksum
from cnnzoo.files import write_text

FILE = "learned.txt"  # in the folder of a training: a checksum a line


def write(folder: Path, checksums: Iterable[bytes]) -> Path:
    """Keeps the checksums of the images that are learnt.

    Raises:
        SaveError: it cannot be written.
    """
    lines = sorted({checksum.hex() for checksum in checksums})
    return write_text(folder / FILE, "".join(f"{line}\n" for line in lines))


def seen(folder: Path, paths: Iterable[str | Path]) -> list[bool]:
    """Whether each file has the content of an image that was learnt.

    Args:
        folder: of the training; where it kept nothing, nothing was seen.
    """
    paths = list(paths)
    if not (folder / FILE).is_file():
        return [False] * len(paths)
    known = set((folder / FILE).read_text(encoding="ascii").split())
    return [checksum(path).hex() in known for path in paths]
