"""Pictures of any kind: paths by pattern, bytes, PIL images, arrays of several sizes."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from cnnzoo.data.arrays import KEY_BYTES, Rows, Source, labels_hash
from cnnzoo.data.decode import Picture, decode_all
from cnnzoo.data.folders.folder import find_files
from cnnzoo.data.folders.inspection import OnBad, unreadable
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.spec import Geometry
from cnnzoo.system import files

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


@dataclass(frozen=True, eq=False)
class Pictures(Source):
    """Pictures of any size, decoded when they are loaded.

    Attributes:
        pictures: Paths, contents of image files, PIL images, or pixels of 0 to 255,
            (h, w, c).
        labels: Integers, (n,), each an index into `class_names`; None if unlabelled.
        class_names: Names of the classes, in the order of the labels.
        geometry: How pictures are brought to a size; None to stretch them.
    """

    ROWS = ("pictures",)
    pictures: tuple[Picture | np.ndarray, ...]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    geometry: Geometry | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def load(self, rows: Rows, size: tuple[int, int], channels: int) -> np.ndarray:
        wanted = [self.pictures[row] for row in np.arange(len(self))[rows]]
        return decode_all(wanted, size, channels, self.geometry)

    def names_of(self, rows: np.ndarray) -> list[str]:
        found = ((row, self.pictures[row]) for row in rows)
        return [one if isinstance(one, str) else f"image {row}" for row, one in found]

    def fingerprint(self) -> str:
        hashed = labels_hash(self)
        hashed.update("".join(self.content_keys()).encode())
        return hashed.hexdigest()

    def content_keys(self) -> list[str]:
        contents = map(_content, self.pictures)
        return [hashlib.sha256(one).digest()[:KEY_BYTES].hex() for one in contents]


def image_paths(place: str | Path, on_bad: OnBad = "raise") -> list[str]:
    """The image files of a folder and its subfolders, or those that a pattern matches.

    Args:
        place: Path of a folder or of a file, or a pattern such as "photos/*.jpg", in
            which ** stands for any folders. A file need not exist. Links are followed.
        on_bad: "raise" for an error if a folder has entries that only look like images,
            such as links to nothing; otherwise they are listed too, for `readable`.

    Raises:
        UsageError: It is an address or an archive.
        DatasetError: The folder has no images or cannot be read, or no file matches the
            pattern.
        ImageDecodeError: The folder has files that only look like images.
    """
    path = os.path.expanduser(place)
    if os.path.isdir(path):
        found = find_files(Path(path), follow_links=True)
        if found.skipped and on_bad == "raise":
            raise unreadable(path, found.skipped)
        names = [*found.loose, *(name for name, _ in found.skipped)]
        names += [name for images in found.classes.values() for name in images]
        paths = [os.path.join(path, name) for name in sorted(names)]
    elif "://" in path or path.lower().endswith(ARCHIVES):
        raise UsageError(
            f"{path} is an address or an archive; expected image files, so download and "
            "unpack it first"
        )
    elif os.path.exists(path) or not glob.has_magic(path):
        return [path]
    else:
        paths = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))
    if not paths:
        raise DatasetError(
            f"found no images by {str(place)!r}: expected a folder with image files in "
            "it, or a pattern that matches some, such as 'photos/*.jpg'; check the path"
        )
    return paths


def _content(picture: Picture | np.ndarray) -> bytes:
    """Bytes that are equal for equal pictures."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return files.read_bytes(picture)
    pixels = np.asarray(picture)
    facts: tuple = pixels.shape, pixels.dtype.str
    if isinstance(picture, Image.Image):
        turned = picture.getexif().get(ExifTags.Base.Orientation)
        clear = picture.info.get("transparency")
        facts += picture.mode, picture.getpalette(None), clear, turned
    return repr(facts).encode() + pixels.tobytes()
