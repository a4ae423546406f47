"""`.safetensors` files: tensors by name, each with a checksum.

A tensor of ours is named "layer/place/weight", such as "stage1_conv1/0/kernel". Other
programs read the files too; `network` and `sha256` are in their metadata. Files of others
are read as PyTorch's state dicts.
"""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import safe_open

from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.system import files
from cnnzoo.weights.tensors import ArraySource, Key, Tensor, WeightSource, damaged

ENDING = ".safetensors"
TYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


def to_bytes(source: WeightSource, dtype: str) -> bytes:
    """The content of a file with the tensors of a source.

    Args:
        dtype: Type of the values, "float16" or "float32".

    Raises:
        UsageError: A value is too large for the type.
    """
    arrays = {}
    for (layer, place), tensor in source.tensors.items():
        with np.errstate(over="ignore"):
            array = tensor.read().astype(dtype)
        if not np.isfinite(array).all():
            raise UsageError(
                f"{tensor.name} has numbers that {dtype} cannot hold; write float32"
            )
        arrays[f"{layer}/{place}/{tensor.weight}"] = np.asarray(array, order="C")
    sums = {name: files.sha256(array.tobytes()) for name, array in arrays.items()}
    metadata = {"network": source.network or "", "sha256": json.dumps(sums)}
    return safetensors.numpy.save(arrays, metadata)


@contextmanager
def open_source(path: Path) -> Iterator[WeightSource | ArraySource]:
    """Opens a file, which stays open for reading; tensors must match their checksums.

    Raises:
        WeightFileError: The file is damaged.
    """
    with _refusing_damage(path):
        file = safe_open(path, "numpy")
        _check_names(path)
        metadata = file.metadata() or {}
        sums = json.loads(metadata.get("sha256", "{}")) if "network" in metadata else {}
        names = list(file.keys())
        own = all(re.fullmatch(r"[^/]+/\d+/[^/]+", name) for name in names)
        arrays = {}
        for name in names:
            layer, _, weight = name.split("/") if own else (name, "", None)
            part = file.get_slice(name)
            arrays[name] = Tensor(
                name=f"{layer}/{weight}" if own else name,
                weight=weight,
                shape=tuple(part.get_shape()),
                dtype=TYPES.get(part.get_dtype(), str(part.get_dtype())),
                read=partial(_read, file, name, sums.get(name), path),
            )
    with file:
        if own:
            tensors = {Key(*name.split("/")[:2]): t for name, t in arrays.items()}
            yield WeightSource(str(path), tensors, metadata.get("network") or None)
        else:
            yield ArraySource(str(path), arrays)


def _check_names(path: Path) -> None:
    """Raises ValueError if a name stands twice, of which the library takes the last."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        pairs = json.loads(stream.read(size), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("two tensors of one name")


def _read(file: Any, name: str, expected: str | None, path: Path) -> np.ndarray:
    with _refusing_damage(path):
        array = file.get_tensor(name)
    if expected is not None and files.sha256(array.tobytes()) != expected:
        raise WeightFileError(
            f"{path} has another {name} than was written, so the model is unchanged; it "
            "was damaged, so get it again"
        )
    return array


def _refusing_damage(path: Path) -> AbstractContextManager[None]:
    return files.refusing_damage(damaged(path, f"is not a readable {ENDING} file"))
