"""keras.applications: its names for our layers, and its ImageNet weights."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from cnnzoo import graph
from cnnzoo.errors import DownloadError, UsageError, WeightFileError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.layer_names import HEAD, head, is_trunk
from cnnzoo.metadata import find_metadata, metadata_of
from cnnzoo.spec import resolve
from cnnzoo.weights.formats.opening import IMAGENET, check_source
from cnnzoo.weights.sources.name_tables import NameTable, name_table

FAMILY = "keras.applications"
CLASSES = 1000
FLATTENED = 7 * 7 * 512  # inputs of VGG's dense layers

NUMBERED = {"": "conv2d", "_bn": "batch_normalization"}  # our ending: their kind
BUILDERS = {
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "inception_v3": "InceptionV3",
    "inception_resnet_v2": "InceptionResNetV2",
    "xception": "Xception",
    **{f"resnet{n}": f"ResNet{n}" for n in (50, 101, 152)},
    **{f"resnet{n}_v2": f"ResNet{n}V2" for n in (50, 101, 152)},
}


@dataclass(frozen=True)
class NameMap:
    """Names that keras.applications gives to the layers of one network.

    Convolutions without a name there are numbered as they were drawn, as "conv2d_17" is,
    and so are their normalisations.

    Attributes:
        builder: Name of the network's builder there.
        table: Names of the layers that have one.
    """

    builder: str
    table: NameTable

    def numbered(self, model: keras.Model) -> list[str]:
        """Our convolutions without a name there, in the order of their numbers."""
        return [
            op.name
            for op in graph.drawing_order(model)
            if isinstance(op, keras.layers.Conv2D)
            and not self.table.name(op.name)
            and is_trunk(op.name)
        ]

    def layers(self, model: keras.Model) -> set[str]:
        """Our layers with weights that keras.applications has, too."""
        numbered = {f"{name}{end}" for name in self.numbered(model) for end in NUMBERED}
        return numbered | {x.name for x in model.layers if self.table.name(x.name)}

    def names(
        self, model: keras.Model, theirs: Collection[str], source: str
    ) -> dict[str, str]:
        """Their name for each of our layers that has one, and for those of the head.

        Args:
            model: Our network.
            theirs: Names of the source's layers.
            source: Name of the source in messages.

        Raises:
            WeightFileError: The source has fewer numbered layers, or a gap.
        """
        names, numbered = {}, self.numbered(model)
        for ending, kind in NUMBERED.items() if numbered else ():
            numbers = _numbers(kind, theirs)
            first, count = min(numbers, default=0), len(numbered)
            # Layers of a head of one's own may follow.
            if sorted(numbers)[:count] != list(range(first, first + count)):
                raise WeightFileError(
                    f"{source} has {len(numbers)} layers named {kind}_N, and "
                    f"keras.applications.{self.builder} has {count}, "
                    "numbered without a gap; give a source of that network"
                )
            names |= {
                f"{ours}{ending}": numbers[first + i] for i, ours in enumerate(numbered)
            }
        layers = (*(layer.name for layer in model.layers), *HEAD)
        return names | {x: name for x in layers if (name := self.table.name(x))}


def _numbers(kind: str, names: Collection[str]) -> Mapping[int, str]:
    """The names "conv2d", "conv2d_1", ... by their number."""
    matches = (re.fullmatch(rf"{kind}(?:_(\d+))?", name) for name in names)
    return {int(match[1] or 0): match[0] for match in matches if match}


def tags(network: str) -> tuple[str, ...]:
    """Tags that `weights=` takes for a network."""
    return (IMAGENET,) if network in BUILDERS else ()


def name_map_of(model: keras.Model) -> NameMap | None:
    """The name map of the network of a model; None if there is none."""
    metadata = find_metadata(model)
    name = metadata.spec.name if metadata else ""
    return name_map(name) if name in BUILDERS else None


def name_map(network: str) -> NameMap:
    """The name map of a network.

    Raises:
        UsageError: keras.applications does not have the network.
    """
    check_source(network, IMAGENET)
    return NameMap(BUILDERS[network], name_table(FAMILY, network))


def pretrained(model: keras.Model, *, new_head: bool = False) -> keras.Model:
    """The model of keras.applications with ImageNet weights, which Keras downloads.

    Args:
        new_head: Whether the model may have other classes, whose classifier stays new.

    Raises:
        UsageError: The weights do not fit the model; nothing is downloaded.
        DownloadError: The file cannot be downloaded.
    """
    metadata = metadata_of(model)
    name, options = metadata.spec.name, metadata.options
    names = name_map(name)
    wrong = _misfit(model, names, new_head)
    if wrong:
        raise UsageError(f"{name}'s weights {IMAGENET!r} are {wrong}")
    builder = getattr(keras.applications, names.builder)
    try:
        return builder(weights=IMAGENET, include_top=options["include_top"])
    except Exception as error:  # Keras raises a bare Exception
        raise DownloadError(
            f"Keras could not fetch {name}'s weights {IMAGENET!r} "
            f"({str(error)[:400]}); try again with a connection, put the file of that "
            f"address into {_keras_cache()}, or give the path of a file as weights"
        ) from error


def _keras_cache() -> Path:
    """Folder where Keras caches the files that it downloads."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models"


def _misfit(model: keras.Model, names: NameMap, new_head: bool) -> str | None:
    """What the weights are for, if that is known not to be the model; else None."""
    metadata = metadata_of(model)
    options: Mapping = metadata.options
    height, width, _ = to_channels_last(model, options["input_shape"])
    if options["include_top"] and options["classes"] != CLASSES and not new_head:
        return (
            f"for {CLASSES} classes; got classes={options['classes']}, so leave classes "
            "out, or use include_top=False or new_head=True"
        )
    flat = [layer for layer in model.layers if layer.name == head("flatten")]
    if flat and flat[0].output.shape[1] != FLATTENED:
        size = "x".join(map(str, metadata.spec.input_shape[:2]))
        return (
            f"for images of {size} pixels; got {height}x{width}, so leave the size out, "
            "or build it without its top"
        )
    if metadata.preprocessing != resolve(metadata.spec.preprocessing):
        mode = metadata.spec.preprocessing
        return f"for pixels prepared as {mode!r}; leave preprocessing out"
    known = names.layers(model)
    strangers = [x.name for x in model.layers if x.weights and x.name not in known]
    if strangers:
        return (
            f"without numbers for {', '.join(strangers[:3])}; leave the options out that "
            "add these layers"
        )
    return None
