"""Opening of weight files, whose format is detected from their first bytes.

Nothing in a file selects code, classes or paths: only weights are taken from it, by the
names of layers. Headers are checked before data is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.weights.formats import hdf5, keras_archive, safetensors_file
from cnnzoo.weights.tensors import WeightSource

ENDINGS = (".keras", ".h5", ".hdf5", safetensors_file.ENDING)
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK"  # first bytes


@contextmanager
def open_weights(path: str | Path, limit: int) -> Iterator[WeightSource]:
    """Opens a weight file, which stays open for reading.

    Args:
        path: Path with an extension of weight files; the format may be another one.
        limit: Maximum size of an unpacked archive, in bytes.

    Raises:
        FileNotFoundError: The file does not exist.
        UsageError: The path has another extension.
        WeightFileError: The file is damaged, or not a weight file.
        UnsafeFileError: The file contains something that weight files never contain.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UsageError(
            f"a file of weights ends in {' or '.join(ENDINGS)}; got {str(path)[:200]!r}"
        )
    keras_archive.check_file(path)
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    if start == HDF5:
        with hdf5.open_tensors(path, str(path)) as tensors:
            yield WeightSource(str(path), tensors)
    elif start.startswith(ZIP) or path.suffix == ".keras":
        with (
            keras_archive.open_archive(path) as archive,
            keras_archive.open_source(archive, limit) as source,
        ):
            yield source
    elif path.suffix == safetensors_file.ENDING:  # whose first bytes are a length
        with safetensors_file.open_source(path) as source:
            yield source
    else:
        raise WeightFileError(
            f"{path} is not an HDF5 file: it has {path.stat().st_size:,} bytes and "
            f"starts with {start!r}; get it again"
        )
