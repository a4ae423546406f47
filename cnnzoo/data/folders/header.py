"""What the first and the last bytes of an image file tell, without its pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cnnzoo.data.decode import decode, opened

TAIL = 1 << 12  # bytes at the end of a file, where its end mark stands as a rule
# What stands at the end of a file and nowhere else in it.
END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class Header:
    """What an image file is.

    Attributes:
        format: Pillow's name, such as "JPEG"; the content tells it.
        width: pixels, as they are stored.
        height: likewise.
        animated: whether there are more frames than the first, which is the one read.
    """

    format: str
    width: int
    height: int
    animated: bool


def inspect(path: str | Path, *, pixels: bool = False) -> Header:
    """Looks at an image file as far as it takes to know whether it can be read.

    A file whose end looks cut off is decoded as a whole: other programs add bytes of
    their own behind the end.

    Args:
        pixels: decodes every file as a whole, which finds damage in between, too.

    Raises:
        ImageDecodeError: it is missing, no image, too large, or cut off.
    """
    with opened(path) as image:
        header = Header(
            format=image.format or "",
            width=image.width,
            height=image.height,
            animated=_animated(image),
        )
        looks_whole = _looks_whole(path, header.format)
    if pixels or not looks_whole:
        decode(path, (1, 1), 1)
    return header


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame is damaged, and nobody reads it
        return True


def _looks_whole(path: str | Path, format: str) -> bool:
    """Whether the end is there; False also for a format that does not tell."""
    with open(path, "rb") as stream:
        start = stream.read(8)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - TAIL))
        end = stream.read()
    if format == "WEBP":
        return size >= 8 + int.from_bytes(start[4:], "little")
    if format == "BMP":
        return size >= int.from_bytes(start[2:6], "little") > 0
    if format == "GIF":
        return end.endswith(b";")
    return format in END_MARKS and END_MARKS[format] in end
