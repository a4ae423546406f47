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
from cnnzoo.weights.sources.renaming import NameMap, rules, with_norms

FAMILY = "keras.applications"
CLASSES, CHANNELS = 1000, 3
FLATTENED = 7 * 7 * 512  # inputs of VGG's dense layers

VGG = rules(r"""
    stage(\d)_conv(\d)              block{1}_conv{2}
    head_dense(\d)                  fc{1}
    predictions                     predictions
""")
RESNET = (
    *with_norms(
        r"""
        stem_conv                       conv1
        stage(\d)_block(\d+)_conv(\d)   conv{1+1}_block{2}_{3}
        stage(\d)_block(\d+)_shortcut   conv{1+1}_block{2}_0
        """,
        conv="_conv",
        norm="_bn",
    ),
    *rules(r"""
        stage(\d)_block(\d+)_preact_bn  conv{1+1}_block{2}_preact_bn
        stage4_bn                       post_bn
        predictions                     predictions
    """),
)
XCEPTION = with_norms(  # their blocks are numbered across stages
    r"""
    stem_conv(\d)                   block1_conv{1}
    stage([12])_block1_sepconv(\d)  block{1+1}_sepconv{2}
    stage3_block(\d)_sepconv(\d)    block{1+3}_sepconv{2}
    stage4_block1_sepconv(\d)       block13_sepconv{1}
    stage4_sepconv(\d)              block14_sepconv{1}
    predictions                     predictions
    """,
    conv="",
    norm="_bn",
)
INCEPTION_RESNET = rules(r"""
    stage1_block(\d+)_linear        block35_{1}_conv
    stage2_block(\d+)_linear        block17_{1}_conv
    stage3_block(\d+)_linear        block8_{1}_conv
    stage3_conv                     conv_7b
    stage3_conv_bn                  conv_7b_bn
    predictions                     predictions
""")
INCEPTION = rules("predictions predictions")

NAME_MAPS = {
    "vgg16": NameMap("VGG16", VGG),
    "vgg19": NameMap("VGG19", VGG),
    "inception_v3": NameMap("InceptionV3", INCEPTION),
    "inception_resnet_v2": NameMap("InceptionResNetV2", INCEPTION_RESNET),
    "xception": NameMap("Xception", XCEPTION),
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


def name_map(network: str) -> NameMap:
    """The name map of a network.

    Raises:
        UsageError: keras.applications does not have the network.
    """
    check_source(network, IMAGENET)
    return NAME_MAPS[network]


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
    height, width, channels = to_channels_last(model, options["input_shape"])
    if options["include_top"] and options["classes"] != CLASSES and not new_head:
        return (
            f"for {CLASSES} classes; got classes={options['classes']}, so leave classes "
            "out, or use include_top=False or new_head=True"
        )
    if channels != CHANNELS:
        return f"for {CHANNELS} channels; got {channels}, so convert the images to RGB"
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
