"""MNIST and data sets in its formats: the package, Keras's `.npz`, a folder of IDX files.

The package contains the whole test split and 6,000 of the 60,000 training digits, so that
first steps need no download (`tools/make_digits.py` makes both files).

An IDX file is big-endian: two zero bytes, a dtype code, the number of dimensions, each
dimension as four bytes, and the values. It may be compressed with gzip.
"""

import gzip
import math
import os
import struct
import zipfile
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

import numpy as np

from cnnzoo.data.arrays import Images
from cnnzoo.data.downloads import CLASS_NAMES, download_arrays
from cnnzoo.errors import DatasetError, cannot_read, check_known

Split = Literal["train", "test"]

MAX_BYTES = 2**30
"""Maximum size of the values in a file, in bytes: 1 GiB."""

_UINT8 = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_MAX_RATIO = 1032  # maximum compression ratio of deflate
_DIGITS = Path(__file__).parent / "digits"
_IDX_STEMS = {"train": "train", "test": "t10k"}
_IDX_RANKS = {"images-idx3": 3, "labels-idx1": 1}


def load_mnist(
    split: Split, path: str | Path | None = None, download: bool = False
) -> Images:
    """Loads the training or the test split of MNIST, or of a data set in its formats.

    Without a `path`, "test" is the whole test split from the package. "train" is
    `CNNZOO_DATA/mnist.npz` if that file exists, otherwise all 60,000 digits from Keras
    with `download`, otherwise the 6,000 in the package.

    Args:
        split: Split to load, "train" or "test".
        path: Path of an `.npz` file with the arrays x_train, y_train, x_test and y_test,
            of grey or RGB images, and class_names unless they are the digits; or of a
            folder with IDX files, compressed or not (MNIST, Fashion-MNIST).
        download: Whether Keras may download the training digits.

    Returns:
        Images (n, 28, 28, 1), or of another size or RGB, and labels of 0 to 9, in the
        order of the file.

    Raises:
        DatasetError: A file is missing, damaged, or not in one of these formats, or
            the download failed.
        UsageError: The split is neither "train" nor "test".
    """
    check_known("split", split, _IDX_STEMS)
    if path is not None:
        path = Path(path)
        return _read_folder(path, split) if path.is_dir() else _read_keras(path, split)
    if split == "train":
        local = Path(os.environ.get("CNNZOO_DATA", "")) / "mnist.npz"
        if "CNNZOO_DATA" in os.environ and local.is_file():
            return _read_keras(local, split)
        if download:
            return load_named("mnist", split, download=True)
    return load_embedded(split)


def load_named(name: str, split: Split, *, download: bool) -> Images:
    """Loads a split of a data set that Keras downloads, by its name.

    Arguments and errors are those of `download_arrays`.
    """
    arrays = download_arrays(name, split, download=download)
    return _checked(f"Keras's {name}", CLASS_NAMES[name], *arrays)


def load_embedded(split: Split) -> Images:
    """Loads the digits in the package: 6,000 training digits, or the whole test split."""
    return _read_npz(_DIGITS / f"{split}.npz", "images", "labels")


def is_mnist_folder(path: str | Path) -> bool:
    """Whether `path` is a folder with at least one of the four IDX files."""
    return any(
        _find(Path(path), stem, kind) is not None
        for stem in _IDX_STEMS.values()
        for kind in _IDX_RANKS
    )


def _find(folder: Path, stem: str, kind: str) -> Path | None:
    """Finds an IDX file under one of the four spellings of its name."""
    paths = (
        folder / f"{stem}-{spelling}-ubyte{ending}"
        for spelling in (kind, kind.replace("-", "."))
        for ending in ("", ".gz")
    )
    return next(filter(Path.is_file, paths), None)


def _read_folder(folder: Path, split: Split) -> Images:
    files = []
    for kind in _IDX_RANKS:
        file = _find(folder, _IDX_STEMS[split], kind)
        if file is None:
            expected = f"the file {_IDX_STEMS[split]}-{kind}-ubyte, with or without .gz"
            raise cannot_read(folder, expected, "none", "put it there")
        files.append(file)
    arrays = map(read_idx, files, _IDX_RANKS.values())
    return _checked(folder, CLASS_NAMES["mnist"], *arrays)


def _read_keras(path: Path, split: Split) -> Images:
    return _read_npz(path, f"x_{split}", f"y_{split}")


def _read_npz(path: Path, images_key: str, labels_key: str) -> Images:
    if not os.path.isfile(path):
        expected = "an .npz file or a folder of IDX files"
        raise cannot_read(path, expected, "neither", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes where at most {MAX_BYTES} are read")
        with np.load(path, allow_pickle=False) as arrays:
            images = np.asarray(arrays[images_key])
            labels = np.asarray(arrays[labels_key])
            known = arrays.get("class_names", CLASS_NAMES["mnist"])
    except KeyError as error:
        expected = f"the arrays {images_key} and {labels_key}, as in Keras's mnist.npz"
        raise _fault(path, expected, str(error)[:200]) from error
    # The zip, deflate, LZMA and npy readers raise different exceptions.
    except Exception as error:
        raise _fault(path, "a sound .npz file", str(error)[:200]) from error
    return _checked(path, tuple(map(str, known)), images, labels)


def _checked(
    where: str | Path, names: tuple[str, ...], images: np.ndarray, labels: np.ndarray
) -> Images:
    """Makes `Images` of arrays (n, h, w) or (n, h, w, 3), and (n,) or (n, 1)."""
    images = images[..., np.newaxis] if images.ndim == 3 else images
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    channels = images.shape[3] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or channels not in (1, 3) or 0 in images.shape:
        expected = "uint8 images (n, h, w) or (n, h, w, 3)"
        raise _fault(where, expected, f"{images.dtype} {images.shape}")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        expected = f"{len(images)} integer labels, one for each image"
        raise _fault(where, expected, f"{labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(names):
        found = f"labels of {labels.min()} to {labels.max()}"
        raise _fault(where, f"labels of 0 to {len(names) - 1}", found)
    return Images(images, labels.astype(np.int64), names)


def _fault(where: str | Path, expected: str, found: str) -> DatasetError:
    advice = "check that it is the right file, or fetch it again"
    return cannot_read(where, expected, found, advice)


def read_idx(path: str | Path, rank: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, plain or compressed with gzip.

    The header is checked against the size of the file before memory is allocated, and no
    more is decompressed than the header declares.

    Args:
        path: Path of the file; compression is detected by content, not by name.
        rank: Required number of dimensions.

    Returns:
        A uint8 array of `rank` dimensions.

    Raises:
        DatasetError: The file is missing, not an IDX file of bytes, or damaged.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise cannot_read(path, "an IDX file", "no regular file", "check the path")
    try:
        with path.open("rb") as stream:
            packed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        limit = path.stat().st_size * (_GZIP_MAX_RATIO if packed else 1)
        with gzip.open(path) if packed else path.open("rb") as stream:
            shape = _read_shape(path, stream, rank)
            return _read_values(path, stream, shape, min(limit, MAX_BYTES))
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(path, "readable bytes", str(error)) from error


def _read_shape(path: Path, stream: BufferedIOBase, rank: int) -> tuple[int, ...]:
    magic = stream.read(4)
    expected = bytes((0, 0, _UINT8, rank))
    if magic != expected:
        meaning = f"an IDX file of unsigned bytes in {rank} dimensions"
        raise _fault(path, f"0x{expected.hex()}, {meaning}", f"0x{magic.hex()}")
    header = stream.read(4 * rank)
    if len(header) < 4 * rank:
        raise _fault(path, f"{rank} dimensions of 4 bytes", f"{len(header)} bytes")
    shape = struct.unpack(f">{rank}I", header)
    if 0 in shape:
        raise _fault(path, "dimensions above 0", f"{shape}")
    return shape


def _read_values(
    path: Path, stream: BufferedIOBase, shape: tuple[int, ...], limit: int
) -> np.ndarray:
    declared = math.prod(shape)
    if declared > limit:
        expected = f"at most {limit} bytes of values, from the size of the file"
        raise _fault(path, expected, f"a header that declares {declared}, {shape}")
    values = stream.read(declared + 1)
    if len(values) != declared:
        found = "more" if len(values) > declared else f"{len(values)}"
        raise _fault(path, f"{declared} bytes of values, for {shape}", found)
    # A copy, since an array on the bytes themselves would be read-only.
    return np.frombuffer(values, np.uint8).reshape(shape).copy()
