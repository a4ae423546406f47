"""A file to named arrays. Today: the `.keras` archive.

Nothing in a file chooses code, classes or paths: only numbers are taken from it, by the
names of layers. Headers are checked before data is read.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from cnnzoo.errors import UnsafeFileError, WeightFileError

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
HEADERS = 64 << 20  # bytes allowed for HDF5's own structures and an optimiser's state


@contextmanager
def open_archive(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` file after a look at its table of contents.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: it is not a readable archive, or damaged where it is read.
        UnsafeFileError: two of its members have one name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
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


def read_arrays(
    archive: zipfile.ZipFile, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The archive's weights by name, "layer/0", "layer/1", ..., as float32.

    Args:
        expected: the shape of every weight of the model. Names and shapes must be
            these, all of them and no others; they are checked before any data is read.

    Raises:
        WeightFileError: names, shapes or types differ; the message has the first ones.
        UnsafeFileError: the file is far larger than these weights, or refers to data
            elsewhere.
    """
    path = archive.filename
    # An optimiser keeps up to three more numbers a weight.
    limit = 4 * 8 * sum(int(np.prod(shape)) for shape in expected.values()) + HEADERS
    content = _read_member(archive, WEIGHTS_MEMBER, limit)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            found = dict(_datasets(file, path))
            _compare(found, expected, path)
            return {name: data[()].astype(np.float32) for name, data in found.items()}
    except (OSError, KeyError, RuntimeError, AttributeError) as error:
        raise WeightFileError(
            f"{path} has a member {WEIGHTS_MEMBER} that is no readable HDF5 file "
            f"({str(error)[:200]}); it was damaged, so get it again"
        ) from error


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
    if size > limit:
        raise UnsafeFileError(
            f"{archive.filename} has a member {name} of {size:,} bytes; expected at most "
            f"{limit:,} for this network, so do not use the file"
        )
    return archive.read(name)


def _datasets(file: h5py.File, path: str | None) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every array of every layer, named by the layer and its place in it."""
    for key in _group(file, "layers", path):
        layer = _group(file["layers"], key, path)
        if "vars" not in layer:
            continue
        variables = _group(layer, "vars", path)
        name = str(variables.attrs.get("name", key))
        for number in variables:
            if not isinstance(variables.get(number, getlink=True), h5py.HardLink):
                raise _elsewhere(path, f"{name}/{number}")
            data = variables[number]
            if data.external or data.is_virtual:
                raise _elsewhere(path, f"{name}/{number}")
            yield f"{name}/{number}", data


def _group(parent: h5py.Group, key: str, path: str | None) -> h5py.Group:
    link = parent.get(key, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise _elsewhere(path, key)
    return parent[key]


def _elsewhere(path: str | None, name: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path} refers to data outside itself for {name!r}; expected numbers in the "
        "file, so do not use it"
    )


def _compare(
    found: Mapping[str, h5py.Dataset],
    expected: Mapping[str, tuple[int, ...]],
    path: str | None,
) -> None:
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not in the model" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        data = found[name]
        if tuple(data.shape) != tuple(expected[name]):
            problems.append(f"{name} has shape {data.shape}, not {expected[name]}")
        elif data.dtype.kind != "f":
            problems.append(f"{name} has type {data.dtype}, not a float")
        elif data.chunks is None and data.id.get_storage_size() != data.nbytes:
            problems.append(f"{name} stores fewer bytes than its shape needs")
    if problems:
        raise WeightFileError(
            f"{path} does not fit the model, which is unchanged: "
            f"{'; '.join(sorted(problems)[:5])} ({len(problems)} differences); build the "
            "network that the file was saved from"
        )
