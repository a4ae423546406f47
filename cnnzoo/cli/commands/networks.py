"""--model of the verbs for trained networks: a file, a folder, or a name with weights."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.errors import UsageError
from cnnzoo.models.index import ALIASES, every_model, model_info

if TYPE_CHECKING:
    import keras

OWN = ("weights", "size", "fit")  # what a file has of its own


def own_options(args: Namespace) -> str:
    """The given options that are for the name of a network, such as "--weights"."""
    return " and ".join(f"--{name}" for name in OWN if getattr(args, name))


def open_network(model: str, args: Namespace, *, include_top: bool = True) -> keras.Model:
    """Opens a trained network.

    Args:
        model: Path of a .keras file or of the folder of a training, or the name of a
            network, with weights from the options or, with none there, from the package.
        args: Options of the command.
        include_top: Whether a network by its name gets its classifier.

    Raises:
        UsageError: A name has no weights, or a file is given weights, a size or a fit.
        FileNotFoundError: There is no such file.
    """
    from cnnzoo.layers.axes import to_keras_format
    from cnnzoo.saving import load
    from cnnzoo.weights.sources import bundled
    from cnnzoo.zoo import build

    path, given = Path(model), own_options(args)
    known = model in every_model() or model in ALIASES
    if path.exists() or path.suffix or not (known or given):
        if given:
            raise UsageError(
                f"{model} has its own weights, image size and fit; leave out {given}, or "
                "give the name of a network"
            )
        return load(path)
    info = model_info(model)
    weights = args.weights or next(iter(bundled.tags(info.name)), None)
    if weights is None:
        raise UsageError(
            f"--weights is missing for {model}: pass a file, imagenet, or a tag that the "
            "package has; or pass --model with a folder of train"
        )
    size = args.size and to_keras_format((*args.size, info.input_shape[-1]))
    return build(
        info.name,
        include_top=include_top,
        input_shape=size,
        weights=weights,
        geometry=args.fit,
    )
