"""--model of the verbs: found and checked without Keras, and opened by a call.

It is the name of a network to train, or a trained one: a file, a folder, or a name with
weights.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.models.index import ALIASES, ModelInfo, every_model, model_info

if TYPE_CHECKING:
    import keras

OWN = ("weights", "size", "fit")  # what a file has of its own


def own_options(args: Namespace) -> str:
    """The given options that are for the name of a network, such as "--weights"."""
    return " and ".join(f"--{name}" for name in OWN if getattr(args, name))


def known_network(args: Namespace, name: str) -> ModelInfo:
    """The network of that name.

    Raises:
        UsageError: There is none, or it does not take images of the options' size.
    """
    info = model_info(name)
    if args.size and min(args.size) < info.min_size:
        raise UsageError(
            f"{name} needs images of at least {info.min_size}x{info.min_size} pixels, "
            f"got {'x'.join(map(str, args.size))}; pass a larger --size, or choose a "
            "network with a smaller minimum"
        )
    return info


def find_network(args: Namespace, model: str) -> Callable[..., keras.Model]:
    """Finds a trained network, and returns the function that opens it.

    Args:
        args: Options of the command.
        model: Path of a .keras file or of the folder of a training, or the name of a
            network, with weights from the options or, with none there, from the package.

    Raises:
        UsageError: A name has no weights, or a file is given weights, a size or a fit.
        FileNotFoundError: There is no such file.
        WeightFileError: The file is none that cnnzoo wrote.
    """
    path, given = Path(model), own_options(args)
    known = model in every_model() or model in ALIASES
    if path.exists() or path.suffix or not (known or given):
        if not path.exists() and not path.suffix:
            raise FileNotFoundError(
                f"there is no file or folder {model}, and no network of that name; check "
                "the name, or run `cnnzoo list` to see all networks"
            )
        if given:
            raise UsageError(
                f"{model} has its own weights, image size and fit; leave out {given}, or "
                "give the name of a network"
            )
        from cnnzoo.weights.formats import keras_archive

        file = keras_archive.model_file(path)
        with keras_archive.open_archive(file) as archive:
            metadata = keras_archive.read_metadata(archive)
        _read_as_in_training(args, metadata.get("geometry"))
        return partial(_load, file)
    from cnnzoo.weights.formats import opening

    info = known_network(args, model)
    bundled = [tag for tag in info.weights if tag != opening.IMAGENET]
    weights = args.weights or next(iter(bundled), None)
    if weights is None:
        raise UsageError(
            f"--weights is missing for {model}, which has none in the package: pass "
            f"{', '.join((*info.weights, 'the path of a file'))}, or name a folder that "
            "train wrote in its place"
        )
    opening.check_source(info.name, weights)
    return partial(_build, info, weights, args)


def _read_as_in_training(args: Namespace, geometry: object) -> None:
    """Lets images be read in the range of a network; of several, each has its own."""
    known = geometry.get("value_range") if isinstance(geometry, dict) else None
    several = isinstance(args.model, list) and len(args.model) > 1
    if isinstance(known, list) and not several:
        args.value_range = getattr(args, "value_range", None) or known


def _load(file: Path, **_: bool) -> keras.Model:
    from cnnzoo.saving import load

    return load(file)


def _build(
    info: ModelInfo, weights: str, args: Namespace, *, include_top: bool = True
) -> keras.Model:
    from cnnzoo.layers.axes import to_keras_format
    from cnnzoo.weights.loading import load_weights
    from cnnzoo.zoo import build
    from cnnzoo.zoo.identification import identify

    size = args.size and to_keras_format((*args.size, info.input_shape[-1]))
    make = partial(
        build,
        info.name,
        include_top=include_top,
        input_shape=size,
        weights=weights,
        geometry=args.fit,
    )
    try:
        return make()
    except WeightFileError:  # perhaps of other classes than the paper's
        found = identify(weights) if include_top and weights not in info.weights else None
        if found is None or info.name not in found.networks or found.classes in (None, 1):
            raise
        model = make(classes=found.classes, weights=None)
        load_weights(model, weights)
        return model
