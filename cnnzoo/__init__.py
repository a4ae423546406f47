"""cnnzoo: the classic convolutional networks in Keras 3.

Importing costs nothing: a name brings its module, and Keras with it, when it is used.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "VGG11",
    "VGG11BN",
    "VGG13",
    "VGG13BN",
    "VGG16",
    "VGG16BN",
    "VGG19",
    "VGG19BN",
    "CnnzooError",
    "DatasetError",
    "Evaluation",
    "GoogLeNet",
    "ImageDecodeError",
    "InceptionV1",
    "LeNet5",
    "LeNetGAP",
    "ModelInfo",
    "Paper",
    "Preprocess",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "SaveError",
    "ShapesCNN",
    "SimpleCNN",
    "SmallResNet",
    "SmallVGG",
    "Spec",
    "TrainingError",
    "UnsafeFileError",
    "UsageError",
    "VerySmallVGG",
    "WeightFileError",
    "accelerate",
    "build",
    "decode",
    "decode_predictions",
    "evaluate",
    "list_models",
    "load",
    "load_mnist",
    "model_info",
    "predict",
    "preprocess_input",
    "save",
    "scan",
]

if TYPE_CHECKING:
    from cnnzoo.builders import (
        MLP,
        VGG11,
        VGG11BN,
        VGG13,
        VGG13BN,
        VGG16,
        VGG16BN,
        VGG19,
        VGG19BN,
        GoogLeNet,
        InceptionV1,
        LeNet5,
        LeNetGAP,
        ResNet18,
        ResNet34,
        ResNet50,
        ResNet101,
        ResNet152,
        ShapesCNN,
        SimpleCNN,
        SmallResNet,
        SmallVGG,
        VerySmallVGG,
    )
    from cnnzoo.data.decode import decode
    from cnnzoo.data.images import scan
    from cnnzoo.data.mnist import load_mnist
    from cnnzoo.data.preprocess import preprocess_input
    from cnnzoo.errors import (
        CnnzooError,
        DatasetError,
        ImageDecodeError,
        SaveError,
        TrainingError,
        UnsafeFileError,
        UsageError,
        WeightFileError,
    )
    from cnnzoo.fast import accelerate
    from cnnzoo.inference import Evaluation, decode_predictions, evaluate, predict
    from cnnzoo.models.index import ModelInfo, list_models, model_info
    from cnnzoo.saving import load, save
    from cnnzoo.spec import Paper, Preprocess, Spec
    from cnnzoo.zoo import build
else:
    # Where each name lives; the names of networks live in `builders`.
    _HOMES = {
        "accelerate": "fast",
        "build": "zoo",
        "CnnzooError": "errors",
        "DatasetError": "errors",
        "decode": "data.decode",
        "decode_predictions": "inference",
        "evaluate": "inference",
        "Evaluation": "inference",
        "ImageDecodeError": "errors",
        "SaveError": "errors",
        "TrainingError": "errors",
        "UnsafeFileError": "errors",
        "list_models": "models.index",
        "load": "saving",
        "load_mnist": "data.mnist",
        "model_info": "models.index",
        "ModelInfo": "models.index",
        "Paper": "spec",
        "predict": "inference",
        "Preprocess": "spec",
        "preprocess_input": "data.preprocess",
        "save": "saving",
        "scan": "data.images",
        "Spec": "spec",
        "UsageError": "errors",
        "WeightFileError": "errors",
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = import_module(f"{__name__}.{_HOMES.get(name, 'builders')}")
        value = globals()[name] = getattr(home, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
