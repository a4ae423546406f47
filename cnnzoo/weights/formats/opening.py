"""A file to named tensors: `.keras`, `.weights.h5`, the older `.h5`, `.safetensors`.

Nothing in a file chooses code, classes or paths: only numbers are taken from it, by the
names of layers. Headers are checked before data is read.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

import h5py

from cnnzoo.errors import UnsafeFileError, UsageError, WeightFileError
from cnnzoo.weights.formats import hdf5, safetensors_file
from cnnzoo.weights.tensors import Stored

WEIGHTS_MEMBER = "model.weights.h5"
CARD_MEMBER = "cnnzoo.json"
LARGEST_CARD = 1 << 20  # bytes; a thousand class names take some ten thousand
# What zipfile raises on an archive whose bytes are not what they were.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
ENDINGS = (".keras", ".h5", ".hdf5", safetensors_file.ENDING)
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK"  # first bytes
MOST_PACKED = 10  # numbers that were trained shrink by a tenth or so


@contextmanager
def open_archive(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` file after a look at its table of contents.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: it is not a readable archive, or damaged where it is read.
        UnsafeFileError: two of its members have one name.
    """
    path = Path(path)
    _check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != len(set(names)):
                raise UnsafeFileError(
                    f"{path} holds two members of one name; expected each once, so do "
                    "not use it and get it again from where it was made"
                )
            yield archive
    except DAMAGE as error:
        raise WeightFileError(
            f"{path} exists but is no readable .keras archive ({error}); it was cut or "
            "damaged, so get it again or save the model again"
        ) from error


def read_card(archive: zipfile.ZipFile) -> dict:
    """What `cnnzoo.save` noted in the archive.

    Raises:
        WeightFileError: the note is missing or is not a JSON object.
    """
    path = archive.filename
    if CARD_MEMBER not in archive.namelist():
        raise WeightFileError(
            f"{path} has no member {CARD_MEMBER}, so cnnzoo.save did not write it; load "
            "it with keras.saving.load_model, or give it to build(..., weights=) of the "
            "same network"
        )
    content = _read_member(archive, CARD_MEMBER, LARGEST_CARD)
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WeightFileError(
            f"{path} has a member {CARD_MEMBER} that is not JSON ({error}); save the "
            "model again"
        ) from error
    if not isinstance(card, dict):
        raise WeightFileError(
            f"{path} has a member {CARD_MEMBER} that is not a JSON object but a "
            f"{type(card).__name__}; save the model again"
        )
    return card


@contextmanager
def open_weights(path: str | Path, limit: int) -> Iterator[Stored]:
    """The tensors of a weight file, which stays open to be read.

    What it is, its first bytes tell; a name that no weight file has is refused.

    Args:
        limit: the bytes that an archive may unpack to.

    Raises:
        FileNotFoundError: there is no such file.
        UsageError: the name ends in nothing known.
        WeightFileError: it is damaged, or no weight file.
        UnsafeFileError: it is a trap.
    """
    path = Path(path)
    if not has_ending(path):
        raise UsageError(
            f"a file of weights ends in {' or '.join(ENDINGS)}; got {str(path)[:200]!r}"
        )
    _check_file(path)
    if path.suffix == safetensors_file.ENDING:
        with safetensors_file.opened(path) as stored:
            yield stored
        return
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    if start == HDF5:
        with path.open("rb") as raw, mmap(raw.fileno(), 0, access=ACCESS_READ) as content:
            hdf5.check_heaps(content, str(path))
        with hdf5.refusing_damage(str(path)):
            file = h5py.File(path, "r")
        with file:
            yield hdf5.stored(file, str(path))
    elif path.suffix == ".keras" or start.startswith(ZIP):
        with open_archive(path) as archive:
            member = _read_member(archive, WEIGHTS_MEMBER, limit)
        where = f"{WEIGHTS_MEMBER} of {path}"
        hdf5.check_heaps(member, where)
        with hdf5.refusing_damage(where):
            file = h5py.File(io.BytesIO(member), "r")
        with file:
            yield hdf5.stored(file, where)
    else:
        raise WeightFileError(
            f"{path} is no HDF5 file: it has {path.stat().st_size:,} bytes and starts "
            f"with {start!r}; get it again"
        )


def network(path: str | Path) -> str | None:
    """The catalog's name of the network in a file of cnnzoo's that tells it, else None.

    Raises:
        WeightFileError: what `cnnzoo.save` noted is damaged.
    """
    if Path(path).suffix == safetensors_file.ENDING:
        return safetensors_file.network(Path(path))
    if not zipfile.is_zipfile(path):
        return None
    with open_archive(path) as archive:
        name = (
            read_card(archive).get("name") if CARD_MEMBER in archive.namelist() else None
        )
    return name if isinstance(name, str) else None


def has_ending(path: str | Path) -> bool:
    """Whether weight files are named like that."""
    return Path(path).suffix in ENDINGS


def member_size(archive: zipfile.ZipFile, name: str) -> int:
    """The bytes of one member.

    Raises:
        WeightFileError: there is no member of that name.
    """
    if name not in archive.namelist():
        raise WeightFileError(
            f"{archive.filename} has no member {name}; save the model again"
        )
    return archive.getinfo(name).file_size


def _read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    size = member_size(archive, name)
    packed = archive.getinfo(name).compress_size
    if size > limit and size > MOST_PACKED * packed:
        raise UnsafeFileError(
            f"{archive.filename} has a member {name} of {size:,} bytes; expected at most "
            f"{limit:,} for this network, so do not use the file"
        )
    return archive.read(name)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    if not path.is_file():  # reading a pipe would wait for ever
        what = "a folder" if path.is_dir() else "no ordinary file"
        raise WeightFileError(f"{path} is {what}; expected a file of weights")
