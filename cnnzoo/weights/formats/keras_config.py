"""The config of a `.keras` file: a graph, which is built only if all of it is stock Keras.

A config names classes, and some of Keras's run code or read files (`Lambda`, `TFSMLayer`,
`TorchModuleWrapper`, `StringLookup`). So every class in it is compared with a list of
those that only compute, before Keras sees it.
"""

from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

from cnnzoo.errors import WeightFileError
from cnnzoo.system import files
from cnnzoo.weights.formats.keras_archive import CONFIG_MEMBER, read_config
from cnnzoo.weights.tensors import damaged

STOCK = {  # classes by module, as Keras writes them
    "keras": "DTypePolicy",
    "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
    "keras.initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity "
    "LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal "
    "VarianceScaling Zeros",
    "keras.layers": "Activation ActivityRegularization Add AlphaDropout Average "
    "AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D Conv2DTranspose "
    "Cropping2D Dense DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout "
    "GaussianNoise GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization Identity "
    "InputLayer LayerNormalization LeakyReLU MaxPooling2D Maximum Minimum Multiply "
    "Normalization PReLU Permute RandomBrightness RandomContrast RandomCrop RandomFlip "
    "RandomRotation RandomTranslation RandomZoom ReLU Rescaling Reshape Resizing "
    "SeparableConv2D Softmax SpatialDropout2D Subtract UnitNormalization UpSampling2D "
    "ZeroPadding2D",
    "keras.regularizers": "L1 L1L2 L2",
    "keras.src.models.functional": "Functional",
    "keras.src.ops.nn": "AveragePool Elu Gelu HardSigmoid HardSilu HardSwish LeakyRelu "
    "MaxPool Relu Relu6 Selu Sigmoid Silu Softmax",
    "keras.src.ops.numpy": "Absolute Add Clip Concatenate Divide Flip GetItem Max Maximum "
    "Mean Minimum Multiply Pad Power Reshape Sqrt Square Squeeze Subtract Transpose "
    "TrueDivide",
}
DATA = ("__ellipsis__", "__keras_tensor__", "__slice__")
LRN = "cnnzoo>LocalResponseNormalization"


def read_graph(archive: ZipFile) -> dict[str, Any]:
    """Reads the config of a functional model of stock layers, for `from_config`.

    What the model was compiled with is left out.

    Raises:
        WeightFileError: The config is missing, damaged, or names another class.
    """
    path = archive.filename
    bad = damaged(f"{CONFIG_MEMBER} of {path}", "describes no functional model")
    with files.refusing_damage(bad):
        config = files.parse_json(read_config(archive))["config"]
        foreign = next(_foreign_classes(config), None)
        if not isinstance(config, dict):
            raise TypeError(f"found a {type(config).__name__}")
    if foreign is not None:
        raise WeightFileError(
            f"{path} has the class {foreign[:200]}, and load builds only stock layers that "
            "compute; build the model in your code, pass it to cnnzoo.adopt, and load the "
            "file by cnnzoo.load_weights"
        )
    return config


def _foreign_classes(value: object) -> Iterator[str]:
    """Yields every class of a config that is not in the lists above."""
    if isinstance(value, list):
        for item in value:
            yield from _foreign_classes(item)
    elif isinstance(value, dict):
        if "class_name" in value and not _is_stock(value):
            yield f"{value['class_name']!r} of {value.get('module')!r}"
        for item in value.values():
            yield from _foreign_classes(item)


def _is_stock(value: dict[str, Any]) -> bool:
    name, registered = value["class_name"], value.get("registered_name")
    if registered == LRN:
        return True
    known = name in STOCK.get(str(value.get("module")), "").split() or name in DATA
    return known and registered in (None, name)
