"""save() and load(): ordinary `.keras` files that also contain the class names.

Beside Keras's own members, a file has a member `cnnzoo.json` that Keras ignores: the name
and options of the network, the class names, the preprocessing, the geometry and the
temperature. `load` rebuilds the network from the catalog and takes only weights from the
file. Of a model that is not in the catalog, such as an adopted one, it takes the graph
too, after a check that every class in it is a stock layer of Keras that only computes; no
other config is run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import keras

from cnnzoo.errors import UnsafeFileError, UsageError, WeightFileError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.layers.axes import to_keras_format
from cnnzoo.metadata import metadata_of
from cnnzoo.models import catalog
from cnnzoo.spec import Geometry, Preprocess
from cnnzoo.system.files import replacing
from cnnzoo.weights.formats import keras_archive
from cnnzoo.weights.loading import load_source
from cnnzoo.weights.tensors import check_finite
from cnnzoo.zoo import build
from cnnzoo.zoo.adoption import describe
from cnnzoo.zoo.options import GRAPH_OPTIONS


def save(model: keras.Model, path: str | Path) -> Path:
    """Saves a model from `build` or `adopt` to a `.keras` file, atomically.

    The file tells how the model is compiled, without the numbers of the optimizer, which
    a `train.Checkpoint` keeps.
    `keras.saving.load_model` reads it too; networks with local response normalisation
    need `import cnnzoo.layers` for that.

    Raises:
        UsageError: The path does not end in `.keras`, or the model is not cnnzoo's.
        SaveError: A weight is NaN or infinite, or the file cannot be written; an
            existing file is unchanged.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise UsageError(
            f"a model file ends in .keras; got {path}, so name it "
            f"{path.with_suffix('.keras').name}"
        )
    content = json.dumps(_file_metadata(model), indent=1)
    check_finite(model)
    with replacing(path) as temporary, _without_optimizer(model):
        model.save(temporary)
        with ZipFile(temporary, "a") as archive:
            archive.writestr(keras_archive.METADATA_MEMBER, content)
    return path


@contextmanager
def _without_optimizer(model: keras.Model) -> Iterator[None]:
    """Keeps the optimizer's numbers, up to two per weight, out of Keras's file."""
    own = vars(model)  # Keras would track what is set as an attribute
    optimizer = own.get("optimizer")
    if optimizer is not None:
        own["optimizer"] = None
    try:
        yield
    finally:
        if optimizer is not None:
            own["optimizer"] = optimizer


def load(path: str | Path) -> keras.Model:
    """Loads a model that `save` wrote; it is rebuilt from the catalog and not compiled.

    A model that is not in the catalog, such as an adopted one, is rebuilt from the graph
    in the file if it consists of stock layers of Keras that only compute: no `Lambda`, no
    class of your own. Build any other in your code, pass it to `adopt`, and load the file
    by `load_weights`.

    Args:
        path: Path of the file, or of the folder of a training.

    Raises:
        FileNotFoundError: The file does not exist, or the folder has no model.
        WeightFileError: The file is damaged, does not come from `save`, or describes
            other classes than stock layers.
        UnsafeFileError: The file contains something that `save` never writes.
    """
    path = keras_archive.model_file(Path(path))
    with keras_archive.open_archive(path) as archive:
        metadata = keras_archive.read_metadata(archive)
        model = _rebuild(archive, metadata, path)
        with keras_archive.open_source(archive) as source:
            load_source(model, source)
    frozen, names = metadata.get("frozen", []), [layer.name for layer in model.layers]
    if not isinstance(frozen, list) or not all(name in names for name in frozen):
        raise WeightFileError(
            f"{path} has the frozen layers {str(frozen)[:80]}; expected a list of layers "
            f"of {model.name}, so it was damaged or altered: get it again"
        )
    for layer in model.layers:
        layer.trainable = layer.name not in frozen
    try:
        temperature = metadata.get("temperature", 1.0)  # older versions had none
        model.cnnzoo = replace(metadata_of(model), temperature=temperature)
    except UsageError as error:
        raise WeightFileError(f"{path} was altered, so get it again: {error}") from error
    return model


def _file_metadata(model: keras.Model) -> dict:
    """Content of `cnnzoo.json`; without a name if JSON cannot hold the options."""
    metadata = metadata_of(model)
    name, options = metadata.catalog_name, dict[str, Any](metadata.options)
    # Stored as height, width and channels, so that it fits both data formats.
    options["input_shape"] = to_channels_last(model, options["input_shape"])
    try:
        json.dumps(options)
    except TypeError:  # a function, such as an activation
        options = {"include_preprocessing": options["include_preprocessing"]}
        name = None
    return {
        "format": keras_archive.FORMAT,
        "name": name,
        "options": options,
        "preprocessing": asdict(metadata.preprocessing),
        "geometry": metadata.geometry and asdict(metadata.geometry),
        "class_names": metadata.class_names,
        "temperature": metadata.temperature,
        "frozen": [layer.name for layer in model.layers if not layer.trainable],
    }


def _rebuild(archive: ZipFile, metadata: dict, path: str | Path) -> keras.Model:
    """Builds the network that a file describes, if the file has enough bytes for it."""
    name, options = _described(metadata, path)
    config = None if name else keras_archive.read_graph(archive)
    size = keras_archive.member_size(archive, keras_archive.WEIGHTS_MEMBER)

    def make() -> keras.Model:
        mode = Preprocess(**_tuples(metadata["preprocessing"]))
        known, names = metadata.get("geometry"), metadata["class_names"]
        geometry = known and Geometry(**_tuples(known))
        if name:
            if options["include_top"] and not options.get("cut"):
                options["pooling"] = None  # older versions ignored it
            more = {"preprocessing": mode, "geometry": geometry, "class_names": names}
            return build(name, **options, **more)
        model = keras.Model.from_config(deepcopy(config))
        inside = options["include_preprocessing"]
        return describe(model, names, Preprocess() if inside else mode, geometry)

    try:
        with init_empty_weights():
            needed = 4 * make().count_params()
        if needed > size:
            raise WeightFileError(
                f"{path} holds {size:,} bytes of weights, and the network it describes "
                f"needs {needed:,}; it was damaged or altered, so get it again"
            )
        return make()
    except WeightFileError:
        raise
    except Exception as error:  # an altered graph can fail anywhere in Keras
        raise WeightFileError(
            f"{path} describes a network that this version does not build "
            f"({str(error)[:500]}); save it again with this version"
        ) from error


def _described(metadata: dict, path: str | Path) -> tuple[str | None, dict]:
    """The catalog name, if any, and the graph options in a file; others are refused."""
    name, options = metadata.get("name"), metadata.get("options")
    spec = catalog.SPECS.get(name) if isinstance(name, str) else None
    if (spec is None and name is not None) or not isinstance(options, dict):
        raise WeightFileError(
            f"{path} describes the network {str(name)[:80]!r}, which this version does "
            "not have; update cnnzoo"
        )
    if spec is None:
        return None, options
    for option in options:
        if option not in GRAPH_OPTIONS and option not in spec.own_options:
            raise UnsafeFileError(
                f"{path} asks for the option {str(option)[:80]!r}, which no model file "
                "has; do not use it"
            )
    options = _tuples(options)
    if isinstance(options.get("input_shape"), tuple):
        options["input_shape"] = to_keras_format(options["input_shape"])
    return spec.name, options


def _tuples(options: dict) -> dict:
    """Options with lists as tuples, which JSON does not have."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
