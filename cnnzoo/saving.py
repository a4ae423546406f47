"""save() and load(): an ordinary `.keras` file that also tells what its classes are.

The file is Keras's own, plus a member `cnnzoo.json` that Keras ignores: the network's
name and options, the class names, the preprocessing. `load` rebuilds the network from
the catalog and takes only numbers from the file.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import keras

from cnnzoo.errors import UnsafeFileError, UsageError, WeightFileError
from cnnzoo.graph.data_format import to_channels_last, to_keras_format
from cnnzoo.metadata import metadata_of
from cnnzoo.models import catalog
from cnnzoo.spec import Preprocess
from cnnzoo.system.files import replacing
from cnnzoo.weights.formats.opening import (
    CARD_MEMBER,
    WEIGHTS_MEMBER,
    member_size,
    open_archive,
    read_card,
)
from cnnzoo.zoo import build, sketch
from cnnzoo.zoo.options import GRAPH_OPTIONS

FORMAT = 1  # of cnnzoo.json


def save(model: keras.Model, path: str | Path) -> Path:
    """Writes a model that `build` made to a `.keras` file, atomically.

    `keras.saving.load_model` reads it too; networks with local response normalisation
    need `import cnnzoo.layers` for that.

    Raises:
        UsageError: the path does not end in `.keras`, or the model is not cnnzoo's.
        SaveError: the file cannot be written; what stood there before is untouched.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise UsageError(
            f"a model file ends in .keras; got {path}, so name it "
            f"{path.with_suffix('.keras').name}"
        )
    card = json.dumps(_card(model), indent=1)
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(CARD_MEMBER, card)
    return path


def load(path: str | Path) -> keras.Model:
    """The model that `save` wrote, rebuilt from the catalog, not compiled.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the file is damaged, does not come from `save`, or was made
            from a spec that is not in the catalog.
        UnsafeFileError: the file asks for something that no honest file asks for.
    """
    with open_archive(path) as archive:
        card = read_card(archive)
        stored = member_size(archive, WEIGHTS_MEMBER)
    name, options = _recipe(card, path)
    try:
        preprocessing = Preprocess(**_tuples(dict(card["preprocessing"])))
        needed = 4 * sketch(name, **options).count_params()
        if needed > stored:
            raise WeightFileError(
                f"{path} holds {stored:,} bytes of weights, and the network it describes "
                f"needs {needed:,}; it was damaged or altered, so get it again"
            )
        model = build(name, weights=path, preprocessing=preprocessing, **options)
    except WeightFileError:
        raise
    except (UsageError, TypeError, KeyError, ValueError) as error:
        raise WeightFileError(
            f"{path} describes a network that this version does not build "
            f"({str(error)[:500]}); save it again with this version"
        ) from error
    model.cnnzoo = replace(model.cnnzoo, class_names=_class_names(card, model, path))
    return model


def _card(model: keras.Model) -> dict:
    built = metadata_of(model)
    plain = all(_is_plain(value) for value in built.options.values())
    return {
        "format": FORMAT,
        "name": built.catalog_name if plain else None,
        "options": _to_channels_last(model, built.options) if plain else {},
        "preprocessing": asdict(built.preprocessing),
        "class_names": built.class_names,
    }


def _recipe(card: dict, path: str | Path) -> tuple[str, dict]:
    """The catalog name and the graph's options that a card holds, nothing else."""
    name, options = card.get("name"), card.get("options")
    if name is None:
        raise WeightFileError(
            f"{path} holds a network that is not in the catalog or was built with a "
            "function as activation; build it again and give this file as weights="
        )
    known = catalog.SPECS.get(name) if isinstance(name, str) else None
    if known is None or not isinstance(options, dict):
        raise WeightFileError(
            f"{path} describes the network {str(name)[:80]!r}, which this version does "
            "not have; update cnnzoo"
        )
    for option in options:
        if option not in GRAPH_OPTIONS and option not in known.own_options:
            raise UnsafeFileError(
                f"{path} asks for the option {str(option)[:80]!r}, which no model file "
                "has; do not use it"
            )
    return name, _in_keras_format(_tuples(options))


def _class_names(
    card: dict, model: keras.Model, path: str | Path
) -> tuple[str, ...] | None:
    names, classes = card.get("class_names"), metadata_of(model).options["classes"]
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != classes:
        count = len(names) if isinstance(names, list) else "no list of"
        raise WeightFileError(
            f"{path} has {count} class names for {classes} classes; it was altered, so "
            "get it again"
        )
    return tuple(map(str, names))


def _to_channels_last(model: keras.Model, options: Mapping) -> dict:
    """A file has the image's shape as height, width and channels, so it fits layouts."""
    return {**options, "input_shape": to_channels_last(model, options["input_shape"])}


def _in_keras_format(options: dict) -> dict:
    """The same in Keras's setting."""
    shape = options.get("input_shape")
    if not isinstance(shape, tuple):
        return options
    return {**options, "input_shape": to_keras_format(shape)}


def _is_plain(value: object) -> bool:
    """Whether JSON keeps the value."""
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _tuples(options: dict) -> dict:
    """JSON has no tuples; ours are all short and flat."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
