"""HDF5 weight files: Keras 3's `.weights.h5` and the older `.h5`.

Tensors are listed without reading an array. Links and arrays that lead out of the file
are refused, as are arrays that declare more values than they store. Attributes are read
only if they are text, since HDF5 itself crashes on some whose type is damaged.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BytesIO
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import unpack_from
from types import MappingProxyType

import h5py
import numpy as np

from cnnzoo.errors import UnsafeFileError, WeightFileError
from cnnzoo.system import files
from cnnzoo.weights.tensors import Key, Tensor, Tensors, damaged

HEAP = b"GCOL\1\0\0\0"
LARGEST_TEXT = 16 << 20  # bytes of one attribute; a thousand names take some ten thousand
SHOWN = 80  # letters of a file's names that messages show
CHUNK = 1 << 20  # bytes that a chunk may take beyond its array
WEIGHT = re.compile(  # at the end of the names in older files
    r"(?:.*?[/_])?(depthwise_kernel|pointwise_kernel|kernel|bias|gamma|beta|moving_mean"
    r"|moving_variance|alpha)(?:_\d+)?(?::\d+)?"
)
LAYERS = "layers"  # the group of a model's layers
STATE = {"vars", "seed_generator"}  # groups of a layer: weights, or a seed of Dropout
STATE_OF_TRAINING = re.compile(r"_?(optimizer|loss_tracker|(compile_)?metrics)")
Names = Mapping[str, str]


@contextmanager
def open_tensors(
    content: Path | bytes, where: str, names: Names = MappingProxyType({})
) -> Iterator[Tensors]:
    """Opens the tensors of a file, which stays open for reading.

    Args:
        content: Path of the file, or its bytes.
        where: Name of the file in messages.
        names: Names of layers by their groups, for files that do not have them.

    Raises:
        WeightFileError: The file is damaged, or not a weight file of Keras.
        UnsafeFileError: The file refers to data outside itself.
    """
    if isinstance(content, bytes):
        check_heaps(content, where)
    else:
        with content.open("rb") as raw:
            check_heaps(mmap(raw.fileno(), 0, access=ACCESS_READ), where)
    with _refusing_damage(where):
        file = h5py.File(BytesIO(content) if isinstance(content, bytes) else content, "r")
    with file:
        with _refusing_damage(where):
            tensors = _tensors(file, where, names)
        yield tensors


def _tensors(file: h5py.File, where: str, names: Names) -> Tensors:
    root = _group(file, "model_weights", where) if "model_weights" in file else file
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        return _once_each(_old_layers(root, where), where)
    tensors = _once_each(_new_layers(file, where, names), where)
    if tensors or LAYERS in file:
        return tensors
    raise WeightFileError(
        f"{where} is an HDF5 file but holds no weights that Keras saved; expected the "
        "group 'layers' or the attribute 'layer_names', so give another file"
    )


def check_heaps(content: bytes | mmap, where: str) -> None:
    """Refuses heaps of texts in which HDF5 would loop for ever.

    A heap has a signature, a size, and objects with index and length, padded to 8 bytes;
    free space has index 0, and a length that includes its header (HDF5 format, III.E).

    Raises:
        WeightFileError: An object has no end, or ends after its heap.
    """
    start = content.find(HEAP)
    while start >= 0:
        place = start + 16
        end = start + int.from_bytes(content[start + 8 : place], "little")
        while place + 16 <= min(end, len(content)):
            index, length = unpack_from("<H6xQ", content, place)
            place += 16 + -(-length // 8) * 8 if index else length or end
        if place > end or end > len(content):
            raise damaged(where, "holds a heap of texts without an end")
        start = content.find(HEAP, start + 1)


def _refusing_damage(where: str) -> AbstractContextManager[None]:
    return files.refusing_damage(damaged(where, "is not a readable HDF5 file"))


def _once_each(tensors: Iterator[tuple[Key, Tensor]], where: str) -> Tensors:
    found: dict[Key, Tensor] = {}
    for key, tensor in tensors:
        if key in found:
            raise UnsafeFileError(
                f"{where} holds two layers named {key.layer[:SHOWN]!r}; expected each "
                "once, so do not use it and get it again from where it was made"
            )
        found[key] = tensor
    return found


def _new_layers(
    group: h5py.Group,
    where: str,
    names: Names,
    path: str = "",
    seen: set[int] | None = None,
) -> Iterator[tuple[Key, Tensor]]:
    """Keras 3's layout, `layers/conv2d_4/vars/0`, also of models as layers.

    The name of a layer is an attribute since Keras 3.6; for older files, `names` has it.

    Args:
        seen: Addresses of the groups that were read, each of which may occur once.
    """
    seen = {h5py.h5o.get_info(group.id).addr} if seen is None else seen
    for key in group:
        if key in STATE or (not path and STATE_OF_TRAINING.fullmatch(key)):
            continue
        layer = _member(group, key, where, key)
        if isinstance(layer, h5py.Dataset):
            continue
        address = h5py.h5o.get_info(layer.id).addr
        if address in seen:
            raise _elsewhere(where, key)
        seen.add(address)
        here = f"{path}/{key}".lstrip("/")
        yield from _new_layers(layer, where, names, here, seen)
        if "vars" not in layer:
            continue
        weights = _group(layer, "vars", where)
        name = names.get(here, key if path == LAYERS else here)
        if "name" in weights.attrs:
            (name,) = _text(weights, "name", where)
        kind = re.sub(r"_\d+$", "", key) if path.endswith(LAYERS) else None
        for place in weights:
            label = f"{name[:SHOWN]}/{place[:SHOWN]}"
            yield Key(name, place), _tensor(weights, place, label, kind, None, where)


def _old_layers(root: h5py.Group, where: str) -> Iterator[tuple[Key, Tensor]]:
    """The older layout: names of layers, and in each the paths of its arrays.

    A model as a layer has the arrays of all its layers, named by the folders around them.
    """
    for outer in _names(root, "layer_names", where):
        layer = _group(root, outer, where)
        paths = _names(layer, "weight_names", where)
        inside = {path.rpartition("/")[0] for path in paths}
        places: Counter[str] = Counter()
        for path in paths:
            group = layer
            *folders, last = path.split("/")
            name = folders[-1] if len(inside) > 1 and folders else outer
            place, places[name] = places[name], places[name] + 1
            for folder in folders:
                group = _group(group, folder, where)
            matched = WEIGHT.fullmatch(path)
            weight = matched[1] if matched else None
            label = f"{name[:SHOWN]}/{weight or last[:SHOWN]}"
            tensor = _tensor(group, last, label, None, weight, where)
            yield Key(name, str(place)), tensor


def _names(group: h5py.Group, name: str, where: str) -> list[str]:
    """A list of names, which is split for large models: name0, name1, ..."""
    if name in group.attrs:
        return _text(group, name, where)
    names, i = [], 0
    while f"{name}{i}" in group.attrs:
        names += _text(group, f"{name}{i}", where)
        i += 1
    return names


def _text(group: h5py.Group, name: str, where: str) -> list[str]:
    attribute = h5py.h5a.open(group.id, name.encode())
    if attribute.get_space().get_simple_extent_npoints() == 0:
        return []
    is_text = isinstance(attribute.get_type(), h5py.h5t.TypeStringID)
    if not is_text or attribute.get_storage_size() > LARGEST_TEXT:
        raise damaged(where, f"has an attribute {name!r} that is not text")
    values = np.ravel(group.attrs[name])
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _member(
    parent: h5py.Group, key: str, where: str, name: str
) -> h5py.Group | h5py.Dataset:
    link = parent.get(key, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise _elsewhere(where, name)
    return parent[key]


def _group(parent: h5py.Group, key: str, where: str) -> h5py.Group:
    group = _member(parent, key, where, key)
    if not isinstance(group, h5py.Group):
        raise damaged(where, f"has an array where layers stand, {key[:SHOWN]!r}")
    return group


def _tensor(
    parent: h5py.Group,
    key: str,
    name: str,
    kind: str | None,
    weight: str | None,
    where: str,
) -> Tensor:
    data = _member(parent, key, where, name)
    if not isinstance(data, h5py.Dataset):
        raise damaged(where, f"has no array {name!r} but a group")
    if data.external or data.is_virtual:
        raise _elsewhere(where, name)
    _check_storage(data, name, where)
    half = data.dtype.kind == "V" and data.dtype.itemsize == 2
    half = half and "dtype" in data.attrs and _text(data, "dtype", where) == ["bfloat16"]
    dtype = "bfloat16" if half else str(data.dtype)
    read = partial(_read, data, half, where)
    return Tensor(name, data.shape, dtype, read, kind, weight)


def _check_storage(data: h5py.Dataset, name: str, where: str) -> None:
    """Refuses arrays that are not fully stored, which HDF5 would fill with zeros."""
    if data.chunks is None:
        whole = data.id.get_storage_size() == data.nbytes
    else:
        chunks = [-(-n // m) for n, m in zip(data.shape, data.chunks, strict=True)]
        size = prod(data.chunks) * data.dtype.itemsize
        whole = data.id.get_num_chunks() == prod(chunks) and size <= data.nbytes + CHUNK
    if not whole:
        raise damaged(where, f"stores fewer bytes of {name} than its shape needs")


def _read(data: h5py.Dataset, bfloat16: bool, where: str) -> np.ndarray:
    with _refusing_damage(where):
        values = data[()]
    if not bfloat16:
        return values
    upper_halves = values.view(np.uint16).astype(np.uint32)
    return (upper_halves << 16).view(np.float32)


def _elsewhere(where: str, name: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{where} refers to data outside itself for {name[:SHOWN]!r}; expected "
        "numbers in the file, so do not use it"
    )
