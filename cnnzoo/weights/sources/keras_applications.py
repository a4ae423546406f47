"""keras.applications: its names for our layers, and its ImageNet weights."""

import os
from collections.abc import Mapping
from pathlib import Path

import keras

from cnnzoo.errors import DownloadError, UsageError
from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.layer_names import head
from cnnzoo.metadata import metadata_of
from cnnzoo.spec import resolve
from cnnzoo.weights.formats.opening import IMAGENET, check_source
from cnnzoo.weights.sources.renaming import NameMap

FAMILY = "keras.applications"
CLASSES = 1000
FLATTENED = 7 * 7 * 512  # inputs of VGG's dense layers

PREDICTIONS = ("predictions", "predictions")
VGG = (
    (r"stage(\d)_conv(\d)", r"block\1_conv\2"),
    (r"head_dense(\d)", r"fc\1"),
    PREDICTIONS,
)
STAGES = tuple(  # of ResNets
    (ours.format(stage), theirs.format(stage + 1))
    for stage in range(1, 5)
    for ours, theirs in (
        (r"stage{}_block(\d+)_conv(\d)", r"conv{}_block\1_\2_conv"),
        (r"stage{}_block(\d+)_conv(\d)_bn", r"conv{}_block\1_\2_bn"),
        (r"stage{}_block(\d+)_shortcut", r"conv{}_block\1_0_conv"),
        (r"stage{}_block(\d+)_shortcut_bn", r"conv{}_block\1_0_bn"),
        (r"stage{}_block(\d+)_preact_bn", r"conv{}_block\1_preact_bn"),
    )
)
RESNET = (
    ("stem_conv", "conv1_conv"),
    ("stem_conv_bn", "conv1_bn"),
    *STAGES,
    ("stage4_bn", "post_bn"),  # of version 2
    PREDICTIONS,
)
XCEPTION = (  # their blocks are numbered across stages: 2, 3, 4 to 12, 13, 14
    (r"stem_(conv\d(?:_bn)?)", r"block1_\1"),
    *(
        (rf"stage{stage}_block{i}_(sepconv\d(?:_bn)?)", rf"block{block}_\1")
        for block, (stage, i) in enumerate(
            ((1, 1), (2, 1), *((3, i) for i in range(1, 10)), (4, 1)), start=2
        )
    ),
    (r"stage4_(sepconv\d(?:_bn)?)", r"block14_\1"),
    PREDICTIONS,
)
INCEPTION_RESNET = (
    (r"stage1_block(\d+)_linear", r"block35_\1_conv"),
    (r"stage2_block(\d+)_linear", r"block17_\1_conv"),
    (r"stage3_block(\d+)_linear", r"block8_\1_conv"),
    (r"stage3_conv(_bn)?", r"conv_7b\1"),
    PREDICTIONS,
)


def _fork(block: str, *counts: int) -> tuple[str, ...]:
    """Names of the convolutions of a block's branches, with `counts` per branch."""
    return tuple(
        f"{block}_branch{branch}_conv{i}"
        for branch, count in enumerate(counts, start=1)
        for i in range(1, count + 1)
    )


def _forks(stage: int, blocks: int, *counts: int, end: str = "") -> tuple[str, ...]:
    """The same for all blocks of a stage; the layer `end` comes last in each."""
    names = (f"stage{stage}_block{i}" for i in range(1, blocks + 1))
    return tuple(
        layer
        for name in names
        for layer in (*_fork(name, *counts), *([f"{name}_{end}"] if end else []))
    )


STEM = tuple(f"stem_conv{i}" for i in range(1, 6))
INCEPTION_V3 = (
    *STEM,
    *_forks(1, 3, 1, 2, 3, end="proj"),
    *_fork("stage2_reduction", 1, 3),
    *_forks(2, 4, 1, 3, 5, end="proj"),
    *_fork("stage3_reduction", 2, 4),
    *(
        f"stage3_block{i}_{part}"
        for i in (1, 2)
        for part in (
            *("branch1_conv1", "branch2_conv1", "branch2_row", "branch2_column"),
            *("branch3_conv1", "branch3_conv2", "branch3_row", "branch3_column"),
            "proj",
        )
    ),
)
INCEPTION_RESNET_FORKS = (
    *STEM,
    *_fork("stem_mixed", 1, 2, 3),
    "stem_mixed_proj",
    *_forks(1, 10, 1, 2, 3),
    *_fork("stage2_reduction", 1, 3),
    *_forks(2, 20, 1, 3),
    *_fork("stage3_reduction", 2, 2, 3),
    *_forks(3, 10, 1, 3),
)
XCEPTION_SHORTCUTS = tuple(f"stage{stage}_block1_shortcut" for stage in (1, 2, 3, 4))

NAME_MAPS = {
    "vgg16": NameMap("VGG16", VGG),
    "vgg19": NameMap("VGG19", VGG),
    "inception_v3": NameMap("InceptionV3", (PREDICTIONS,), INCEPTION_V3),
    "inception_resnet_v2": NameMap(
        "InceptionResNetV2", INCEPTION_RESNET, INCEPTION_RESNET_FORKS
    ),
    "xception": NameMap("Xception", XCEPTION, XCEPTION_SHORTCUTS),
    **{f"resnet{n}": NameMap(f"ResNet{n}", RESNET) for n in (50, 101, 152)},
    **{f"resnet{n}_v2": NameMap(f"ResNet{n}V2", RESNET) for n in (50, 101, 152)},
}


def tags(network: str) -> tuple[str, ...]:
    """Tags that `weights=` takes for a network."""
    return (IMAGENET,) if network in NAME_MAPS else ()


def name_map_of(model: keras.Model) -> NameMap | None:
    """The name map of the network of a model; None if there is none."""
    metadata = getattr(model, "cnnzoo", None)
    return NAME_MAPS.get(metadata.spec.name) if metadata else None


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
    check_source(name, IMAGENET)
    names = NAME_MAPS[name]
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
    own = [layer.name for layer in model.layers if layer.weights]
    strangers = [name for name in own if not names.has(name)]
    if strangers:
        return (
            f"without numbers for {', '.join(strangers[:3])}; leave the options out that "
            "add these layers"
        )
    return None
