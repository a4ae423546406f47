"""load_weights() and save_weights(): all of a model's tensors, or none."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args
from zipfile import ZipFile

import keras
import numpy as np

from cnnzoo.errors import UsageError, WeightFileError, check_known
from cnnzoo.metadata import catalog_name_of, find_metadata, metadata_of
from cnnzoo.system import files
from cnnzoo.system.files import replacing, write_bytes
from cnnzoo.weights import provenance
from cnnzoo.weights.formats import opening, pytorch, safetensors_file
from cnnzoo.weights.formats.keras_archive import WEIGHTS_MEMBER
from cnnzoo.weights.matching import Pair, match_tensors
from cnnzoo.weights.report import LoadReport
from cnnzoo.weights.sources import bundled, keras_applications
from cnnzoo.weights.tensors import ArraySource, WeightSource, check_finite, of_model

Weights = str | Path | keras.Model | Mapping[str, Any]  # or PyTorch's Module
Dtype = Literal["float32", "float16"]

HDF5_ENDING = ".weights.h5"


def load_weights(
    model: keras.Model, source: Weights, *, new_head: bool | None = False
) -> LoadReport:
    """Loads weights into a model: all of its tensors, or none.

    Layers are matched by name, by the names of other libraries (keras.applications,
    torchvision, timm, the ONNX model zoo), or else by order and shape, if these leave no
    choice. Kinds of layers, shapes and types are checked too. Kernels are transposed
    where needed, and the first one is summed or spread for another number of channels.

    Args:
        model: Model that `build` made.
        source: Model of the same network, of Keras or PyTorch; a state dict; the path of
            a file of Keras (`.keras`, `.weights.h5`, older `.h5`), PyTorch (`.pth`, `.pt`
            and so on) or ONNX, or of a `.safetensors` file; a tag of weights in the
            package, such as "mnist"; or "imagenet", for which keras.applications
            downloads its file.
        new_head: Whether the model keeps its own classifier, and other layers of its
            head where they do not fit; None to keep only what does not fit.

    ImageNet's weights also bring its class names, and the geometry of their evaluation,
    unless the model has its own. The temperature of the model becomes 1.0.

    Raises:
        UsageError: The source is not valid for this network.
        FileNotFoundError: The file does not exist.
        WeightFileError: The source is damaged or does not fit; the model is unchanged.
        DownloadError: keras.applications cannot download its file.
    """
    return load_any(model, source, new_head=new_head)


def load_any(model: keras.Model, source: Weights, **options: Any) -> LoadReport:
    """`load_weights`, with the options of `load_source`."""
    if isinstance(source, keras.Model):
        return load_source(model, of_model(source), **options)
    if isinstance(source, Mapping) or pytorch.is_module(source):
        return load_source(model, pytorch.of_memory(source), **options)
    if not isinstance(source, str | Path):
        raise UsageError(
            "weights come from a model, a state dict or the path of a file; got a "
            f"{type(source).__name__}, so pass one of these"
        )
    if source == keras_applications.IMAGENET:
        new_head = options.get("new_head", False) is not False
        theirs = of_model(keras_applications.pretrained(model, new_head=new_head))
        name = f"keras.applications' {source} weights"
        return load_source(model, replace(theirs, name=name), **options)
    network, tag = catalog_name_of(model) or "", str(source)
    path = bundled.path(network, tag)
    file = Path(path or source)
    sha256 = files.sha256(file) if file.is_file() else None  # of what is opened next
    with opening.open_weights(file) as opened:
        report = load_source(model, opened, **options)
    if path and not report.new:
        names = bundled.metadata(network, tag)["class_names"]
        model.cnnzoo = provenance.with_class_names(metadata_of(model), names)
    return replace(report, sha256=sha256)


def load_source(
    model: keras.Model,
    source: WeightSource | ArraySource,
    *,
    new_head: bool | None = False,
    keep_preprocessing: bool = False,
) -> LoadReport:
    """Loads the tensors of a source into a model, as `load_weights` does.

    Args:
        keep_preprocessing: Whether the model's preprocessing, which its builder chose,
            stays whatever the weights need.
    """
    _check_network(model, source)
    pairs, skipped, new, source = match_tensors(model, source, new_head=new_head)
    notes = [*source.notes]
    notes += [f"names of {source.family}"] if source.family else []
    notes += [f"names without {source.prefix!r}"] if source.prefix else []
    trained = source.family and not provenance.is_imagenet(source)
    notes += [f"pixels as {source.family} prepares them"] if trained else []
    metadata = known = find_metadata(model)
    if known:
        metadata = provenance.with_imagenet(known, source, new)
        if not keep_preprocessing:
            metadata = provenance.with_preprocessing(metadata, source, model.name)
        if metadata.preprocessing != known.preprocessing:
            mode = source.preprocessing or known.spec.preprocessing
            notes.append(f"pixels are to be prepared as {mode!r}")
    values = [_read(pair, source.name) for pair in pairs]
    for pair, value in zip(pairs, values, strict=True):
        pair.variable.assign(value)
    if metadata:
        model.cnnzoo = replace(metadata, weights=source.name, temperature=1.0)
    return LoadReport(
        model=model.name,
        source=source.name,
        loaded=tuple((pair.name, pair.tensor.name) for pair in pairs),
        cast=tuple(
            (pair.name, pair.tensor.dtype)
            for pair in pairs
            if pair.tensor.dtype != pair.variable.dtype
        ),
        skipped=tuple(tensor.name for tensor in skipped),
        transformed=tuple(
            (pair.name, pair.tensor.change) for pair in pairs if pair.tensor.change
        ),
        new=tuple(new),
        notes=tuple(notes),
    )


def save_weights(
    model: keras.Model,
    path: str | Path,
    *,
    dtype: Dtype = "float32",
) -> Path:
    """Saves the weights of a model to a file, atomically.

    Args:
        path: Path that ends in `.weights.h5`, which Keras also loads into a model of the
            same graph, or in `.safetensors`, which has a checksum per tensor.
        dtype: Type of the values in a `.safetensors` file.

    Raises:
        UsageError: The path has another extension, or the type does not fit it.
        SaveError: A weight is NaN or infinite, or the file cannot be written; an
            existing file is unchanged.
    """
    path = Path(path)
    check_finite(model)
    check_known("type of weights", dtype, get_args(Dtype))
    if path.suffix == safetensors_file.ENDING:
        return write_bytes(path, safetensors_file.to_bytes(of_model(model), dtype))
    if not path.name.endswith(HDF5_ENDING):
        raise UsageError(
            f"a file of weights ends in {HDF5_ENDING} or {safetensors_file.ENDING}; got "
            f"{path}, so name it {path.with_suffix(HDF5_ENDING).name}"
        )
    if dtype != "float32":
        raise UsageError(
            f"a file that ends in {HDF5_ENDING} holds float32; got dtype={dtype!r}, so "
            f"let its name end in {safetensors_file.ENDING} for float16"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(_hdf5_bytes(model, path.parent))
    return path


def _hdf5_bytes(model: keras.Model, place: Path) -> bytes:
    """The file that `model.save_weights` writes, made in memory, by way of a folder.

    If HDF5 cannot write a whole file, it ends the process when it closes the next one.
    For an archive, Keras makes the file in memory, and errors are Python exceptions.
    """
    with TemporaryDirectory(prefix=files.TEMPORARY_PREFIX, dir=place) as folder:
        archive = Path(folder) / "model.keras"
        model.save(archive)
        with ZipFile(archive) as members:
            return members.read(WEIGHTS_MEMBER)


def _check_network(model: keras.Model, source: WeightSource | ArraySource) -> None:
    """Checks networks by name, since different ones may have equal names and shapes."""
    expected, found = catalog_name_of(model), getattr(source, "network", None)
    if None not in (expected, found) and expected != found:
        raise WeightFileError(
            f"{source.name} holds the weights of {found}, and {model.name} is "
            f"{expected}, whose graph computes other numbers with them; build {found} "
            "instead"
        )


def _read(pair: Pair, source: str) -> np.ndarray:
    """The values of a tensor, in the type of the model's variable."""
    dtype = pair.variable.dtype
    with np.errstate(over="ignore"):  # values that are too large become infinite
        values = pair.tensor.read()
        values = values.astype("float32" if dtype == "bfloat16" else dtype, copy=False)
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise WeightFileError(
            f"{source} has {bad:,} values in {pair.tensor.name} that are not finite "
            "numbers, so the model is unchanged; get it again or train again"
        )
    return values
