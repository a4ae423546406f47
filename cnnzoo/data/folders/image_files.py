"""Image files as a source of images, which are not kept in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnzoo.data.arrays import Rows, Source, labels_hash
from cnnzoo.data.decode import decode_all
from cnnzoo.data.folders.inspection import checksum, inspect_files
from cnnzoo.data.splits import groups_of
from cnnzoo.errors import DatasetError, ImageDecodeError
from cnnzoo.spec import Geometry


@dataclass(frozen=True, eq=False)
class ImageFiles(Source):
    """Image files, decoded on all cores when they are loaded.

    Attributes:
        names: Paths of the images relative to `root`, with "/" as the separator.
        root: Folder that the names are relative to.
        labels: Integers, (n,), each an index into `class_names`; None if unlabelled.
        class_names: Names of the classes, in the order of the labels.
        checksums: First 16 bytes of each file's SHA-256; None if no file was read.
        geometry: How images are brought to a size; None to stretch them.
    """

    ROWS = ("names",)
    names: tuple[str, ...]
    root: Path = Path()
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    checksums: tuple[bytes, ...] | None = None
    geometry: Geometry | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of the images, not cached since a million take many megabytes."""
        return tuple(self.root / name for name in self.names)

    def load(self, rows: Rows, size: tuple[int, int], channels: int) -> np.ndarray:
        paths = [self.root / self.names[row] for row in np.arange(len(self))[rows]]
        return decode_all(paths, size, channels, self.geometry)

    def names_of(self, rows: np.ndarray) -> list[str]:
        return [self.names[row] for row in rows]

    def groups(self, group_by: str | None = None) -> np.ndarray | None:
        return groups_of(self.names, self.checksums, group_by)

    def fingerprint(self) -> str:
        hashed = labels_hash(self)
        for name, content in zip(self.names, self.content_keys(), strict=True):
            hashed.update(os.fsencode(f"{name}\0{content}\0"))
        return hashed.hexdigest()

    def content_keys(self) -> list[str]:
        own = self.geometry and self.geometry.value_range
        end = f"-{own[0]}-{own[1]}" if own else ""
        if self.checksums is not None:
            return [one.hex() + end for one in self.checksums]
        paths, keys = [str(path) for path in self.paths], []
        for path, found in zip(paths, inspect_files(paths, checksums=True), strict=True):
            if isinstance(found, str):
                raise ImageDecodeError(
                    f"cannot read {path}: {found}; repair or remove it"
                )
            keys.append(found.checksum.hex() + end)
        return keys

    def check_unchanged(self, rows: np.ndarray, keys: Sequence[str]) -> None:
        for row, key in zip(rows, keys, strict=True):
            path = self.root / self.names[row]
            if not path.exists() or not key.startswith(checksum(path).hex()):
                raise DatasetError(
                    f"{path} has changed since it was scanned, and features belong to a "
                    "file's content; scan the folder again"
                )
