"""load_weights() and save_weights(): all of a model's tensors, or none."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args
from zipfile import ZipFile

import keras
import numpy as np

from cnnzoo.errors import UsageError, WeightFileError, unknown
from cnnzoo.metadata import catalog_name_of, metadata_of
from cnnzoo.system.files import replacing, write_bytes
from cnnzoo.weights.formats import opening, safetensors_file
from cnnzoo.weights.matching import Pair, match
from cnnzoo.weights.report import LoadReport
from cnnzoo.weights.sources import bundled, keras_applications
from cnnzoo.weights.tensors import Stored, of_model

Weights = str | Path | keras.Model
Dtype = Literal["float32", "float16"]

OPTIMISER = 4 * 8  # bytes a weight: with an optimiser, up to three more float64
HEADERS = 64 << 20  # bytes allowed for HDF5's own structures
WRITTEN = ".weights.h5"


def load_weights(model: keras.Model, source: Weights) -> LoadReport:
    """Puts weights into a model: every tensor of it, or none.

    Layers are matched by name, and by the rows of `sources.keras_applications` where
    the names are keras.applications'. Kinds of layers, shapes and types are checked
    too, and nothing may be left over but heads that the model was built without.

    Args:
        model: a model that `build` made.
        source: a model of the same network, cnnzoo's or keras.applications'; the path of
            a `.keras`, `.weights.h5` or older `.h5` file that one of these saved, or of
            a `.safetensors` file of cnnzoo's; a tag of weights that the package holds,
            such as "mnist"; or "imagenet", which lets keras.applications fetch its file.

    Raises:
        UsageError: the source cannot be one for this network.
        FileNotFoundError: there is no such file.
        WeightFileError: the source is damaged or does not fit; the model is unchanged.
        DownloadError: keras.applications could not fetch its file.
    """
    if isinstance(source, str | Path):
        return _load_named(model, source)
    if not isinstance(source, keras.Model):
        raise UsageError(
            f"weights come from a model or the path of a file; got a "
            f"{type(source).__name__}, so pass one of these"
        )
    where = f"the model {source.name!r}"
    _check_network(model, catalog_name_of(source), where)
    return _load(model, of_model(source), where)


def save_weights(
    model: keras.Model,
    path: str | Path,
    *,
    dtype: Dtype = "float32",
) -> Path:
    """Writes a model's weights to a file, atomically.

    Args:
        path: ends in `.weights.h5`, which Keras reads too, into a model of the same
            graph, or in `.safetensors`, which has a checksum a tensor.
        dtype: of the numbers in a `.safetensors` file.

    Raises:
        UsageError: the path ends otherwise, or the type does not go with it.
        SaveError: the file cannot be written; what stood there before is untouched.
    """
    path = Path(path)
    if dtype not in get_args(Dtype):
        raise unknown("type of weights", dtype, get_args(Dtype))
    if path.suffix == safetensors_file.ENDING:
        content = safetensors_file.packed(of_model(model), catalog_name_of(model), dtype)
        return write_bytes(path, content)
    if not path.name.endswith(WRITTEN):
        raise UsageError(
            f"a file of weights ends in {WRITTEN} or {safetensors_file.ENDING}; got "
            f"{path}, so name it {path.with_suffix(WRITTEN).name}"
        )
    if dtype != "float32":
        raise UsageError(
            f"a file that ends in {WRITTEN} holds float32; got dtype={dtype!r}, so name "
            f"it {path.name.removesuffix(WRITTEN)}{safetensors_file.ENDING} for float16"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(_hdf5(model))
    return path


def _hdf5(model: keras.Model) -> bytes:
    """What `model.save_weights` writes, made in memory.

    HDF5 that cannot write all of a file ends the process when it closes the next one.
    Inside an archive Keras makes it in memory, and the archive's errors are Python's.
    """
    with TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        model.save(archive)
        with ZipFile(archive) as members:
            return members.read(opening.WEIGHTS_MEMBER)


def check_source(network: str, weights: object) -> None:
    """Raises UsageError for what `build(weights=)` cannot take, whatever is in it."""
    if weights == keras_applications.IMAGENET:
        keras_applications.table(network)
    elif weights in bundled.tags(network):
        return
    elif not isinstance(weights, str | Path) or not opening.has_ending(weights):
        known = (*keras_applications.tags(network), *bundled.tags(network))
        tags = "".join(f", {tag!r}" for tag in known)
        raise UsageError(
            f"{network} has no weights {str(weights)[:200]!r}; expected None{tags} or "
            f"the path of a file that ends in {' or '.join(opening.ENDINGS)}"
        )


def _load_named(model: keras.Model, source: str | Path) -> LoadReport:
    """From a file, or from keras.applications by its tag."""
    if source == keras_applications.IMAGENET:
        twin = keras_applications.pretrained(model)
        return _load(model, of_model(twin), f"keras.applications' {source} weights")
    network = catalog_name_of(model) or ""
    path = bundled.path(network, str(source))
    report = _load_file(model, path or source)
    if path:
        _name_classes(model, bundled.card(network, str(source))["class_names"])
    return report


def _load_file(model: keras.Model, path: str | Path) -> LoadReport:
    limit = OPTIMISER * model.count_params() + HEADERS
    with opening.open_weights(path, limit) as stored:
        _check_network(model, opening.network(path), str(path))
        return _load(model, stored, str(path))


def _name_classes(model: keras.Model, names: Sequence[str]) -> None:
    """Tells a classifier that has no names for its classes what the weights call them."""
    built = metadata_of(model)
    if built.class_names is None and built.options["include_top"]:
        model.cnnzoo = replace(built, class_names=tuple(names))


def _check_network(model: keras.Model, found: str | None, source: str) -> None:
    """Two networks may have layers of the same names and shapes, and not be the same."""
    expected = catalog_name_of(model)
    if None not in (expected, found) and expected != found:
        raise WeightFileError(
            f"{source} holds the weights of {found}, and {model.name} is {expected}, "
            f"whose graph computes other numbers with them; build {found} instead"
        )


def _load(model: keras.Model, stored: Stored, source: str) -> LoadReport:
    pairs, skipped = match(model, stored, source)
    values = [_read(pair, source) for pair in pairs]
    for pair, value in zip(pairs, values, strict=True):
        pair.variable.assign(value)
    return LoadReport(
        model=model.name,
        source=source,
        loaded=tuple((pair.name, pair.tensor.name) for pair in pairs),
        cast=tuple(
            (pair.name, pair.tensor.dtype)
            for pair in pairs
            if pair.tensor.dtype != pair.variable.dtype
        ),
        skipped=tuple(tensor.name for tensor in skipped),
    )


def _read(pair: Pair, source: str) -> np.ndarray:
    """The tensor's numbers as the model wants them."""
    dtype = pair.variable.dtype
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        values = pair.tensor.read()
        values = values.astype("float32" if dtype == "bfloat16" else dtype, copy=False)
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise WeightFileError(
            f"{source} has {bad:,} values in {pair.tensor.name} that are no finite "
            "numbers, so the model is unchanged; get it again or train again"
        )
    return values
