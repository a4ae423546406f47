"""Opening of weight files, whose format is detected from their first bytes.

Nothing in a file selects code, classes or paths: only weights are taken from it, by the
names of layers. Headers are checked before data is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.models.index import list_models
from cnnzoo.weights.formats import (
    hdf5,
    keras_archive,
    onnx_file,
    pytorch,
    safetensors_file,
)
from cnnzoo.weights.sources import bundled
from cnnzoo.weights.tensors import ArraySource, WeightSource

IMAGENET = "imagenet"  # the tag of the weights of keras.applications
ENDINGS = (
    *(".keras", ".h5", ".hdf5", safetensors_file.ENDING, onnx_file.ENDING),
    *pytorch.ENDINGS,
)
HDF5 = b"\x89HDF\r\n\x1a\n"  # first bytes
PICKLE = b"\x80"
OTHERS = {  # first bytes of what is often taken for a file of weights
    b"version https://git-lfs": "a pointer of Git LFS, so run git lfs pull",
    b"<": "a web page, so download the file itself",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1f\x8b": "packed with gzip, so unpack it",
    b"\x93NUMPY": "a single array of NumPy",
}


def check_source(network: str, weights: object) -> None:
    """Checks, before a network is built, that `build(weights=)` can take `weights`.

    Raises:
        UsageError: They are neither a tag of the network nor the path of weights.
        FileNotFoundError: The file does not exist.
        WeightFileError: It is not an ordinary file.
    """
    has_imagenet = network in list_models(weights=IMAGENET)
    tags = (*([IMAGENET] if has_imagenet else ()), *bundled.tags(network))
    in_memory = isinstance(weights, Mapping) or pytorch.is_module(weights)
    if in_memory or hasattr(weights, "get_weights") or weights in tags:
        return
    if weights == IMAGENET:
        raise UsageError(
            f"{network} has no weights {IMAGENET!r}; the networks that have are "
            f"{', '.join(list_models(weights=IMAGENET))}"
        )
    if not isinstance(weights, str | Path) or Path(weights).suffix not in ENDINGS:
        raise UsageError(
            f"{network} has no weights {str(weights)[:200]!r}; expected "
            f"{', '.join(['None', *map(repr, tags)])} or "
            f"the path of a file that ends in {' or '.join(ENDINGS)}, or a model"
        )
    keras_archive.check_file(weights)


def check_path(path: str | Path) -> Path:
    """The path, of which `open_weights` raises the same errors before it opens a file."""
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UsageError(
            f"a file of weights ends in {' or '.join(ENDINGS)}; got {str(path)[:200]!r}, "
            "so save it as one of these, a SavedModel by save_weights of Keras"
        )
    keras_archive.check_file(path)
    return path


@contextmanager
def open_weights(path: str | Path) -> Iterator[WeightSource | ArraySource]:
    """Opens a weight file, which stays open for reading.

    Args:
        path: Path with an extension of weight files; the format may be another one.

    Raises:
        FileNotFoundError: The file does not exist.
        UsageError: The path has another extension, or its reader is not installed.
        WeightFileError: The file is damaged, or not a weight file.
        UnsafeFileError: The file contains something that weight files never contain.
    """
    path = check_path(path)
    with path.open("rb") as file:
        start = file.read(64)
    is_torch = path.suffix in pytorch.ENDINGS
    if start.startswith(HDF5):
        with hdf5.open_tensors(path, str(path)) as tensors:
            yield WeightSource(str(path), tensors)
    elif is_torch and start.startswith((keras_archive.ZIP, PICKLE)):
        yield pytorch.open_source(path)
    elif start.startswith(keras_archive.ZIP):
        with (
            keras_archive.open_archive(path) as archive,
            keras_archive.open_source(archive) as source,
        ):
            yield source
    elif found := [what for first, what in OTHERS.items() if start.startswith(first)]:
        raise WeightFileError(f"{path} holds no weights; it is {found[0]}")
    elif path.suffix == safetensors_file.ENDING or start[8:9] == b"{":
        with safetensors_file.open_source(path) as source:
            yield source
    elif path.suffix == onnx_file.ENDING:
        yield onnx_file.read_source(path)
    else:
        raise WeightFileError(
            f"{path} is not a weight file: it has {path.stat().st_size:,} bytes and "
            f"starts with {start[:8]!r}; get it again"
        )
