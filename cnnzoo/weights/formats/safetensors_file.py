"""`.safetensors` files: tensors by name, each with a checksum.

A tensor is called "layer/place/weight", such as "stage1_conv1/0/kernel". Other programs
read the files too; `network` and `sha256` stand in their metadata.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.weights.tensors import Key, Stored, Tensor

ENDING = ".safetensors"
TYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}


def packed(stored: Stored, network: str | None, dtype: str) -> bytes:
    """The content of a file with these tensors.

    Args:
        network: the catalog's name, which a reader can hold against its own; None for
            one that is not from there.
        dtype: "float16" or "float32".

    Raises:
        UsageError: a number is too large for the type.
    """
    arrays = {}
    for (layer, place), tensor in stored.items():
        with np.errstate(over="ignore"):
            array = tensor.read().astype(dtype)
        if not np.isfinite(array).all():
            raise UsageError(
                f"{tensor.name} has numbers that {dtype} cannot hold; write float32"
            )
        arrays[f"{layer}/{place}/{tensor.weight}"] = np.asarray(array, order="C")
    metadata = {
        "network": network or "",
        "sha256": json.dumps({name: _hash(array) for name, array in arrays.items()}),
    }
    return safetensors.numpy.save(arrays, metadata)


@contextmanager
def opened(path: Path) -> Iterator[Stored]:
    """The tensors of a file, which stays open to be read; a checksum is held to its own.

    Raises:
        WeightFileError: it is damaged, or its tensors are named otherwise.
    """
    with _refusing_damage(path), safe_open(path, "numpy") as file:
        sums = json.loads((file.metadata() or {}).get("sha256", "{}"))
        stored = {}
        for name in file.keys():  # noqa: SIM118, it is no mapping
            layer, place, weight = name.split("/")
            part = file.get_slice(name)
            stored[Key(layer, place)] = Tensor(
                name=f"{layer}/{weight}",
                kind=None,
                weight=weight,
                shape=tuple(part.get_shape()),
                dtype=TYPES.get(part.get_dtype(), str(part.get_dtype())),
                read=partial(_checked, file.get_tensor, name, sums.get(name), path),
            )
        yield stored


def network(path: Path) -> str | None:
    """The catalog's name of the network in a file, if it tells one."""
    with _refusing_damage(path), safe_open(path, "numpy") as file:
        return (file.metadata() or {}).get("network") or None


def _checked(
    read: Callable[[str], np.ndarray], name: str, expected: str | None, path: Path
) -> np.ndarray:
    array = read(name)
    if expected is not None and _hash(array) != expected:
        raise WeightFileError(
            f"{path} has another {name} than was written, so the model is unchanged; it "
            "was damaged, so get it again"
        )
    return array


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, WeightFileError):
            raise
        raise WeightFileError(
            f"{path} is no {ENDING} file that cnnzoo reads ({str(error)[:200]}); it was "
            "cut or made elsewhere, so get it again"
        ) from error
