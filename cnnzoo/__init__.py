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
    "AlexNet",
    "CaffeNet",
    "CheckpointError",
    "CnnzooError",
    "DatasetError",
    "DownloadError",
    "Ensemble",
    "Evaluation",
    "Feature",
    "Geometry",
    "GoogLeNet",
    "Identification",
    "ImageDecodeError",
    "InceptionResNetV1",
    "InceptionResNetV2",
    "InceptionV1",
    "InceptionV2",
    "InceptionV3",
    "InceptionV4",
    "LabelError",
    "LeNet5",
    "LeNetGAP",
    "LoadReport",
    "ModelInfo",
    "NiN",
    "Paper",
    "Preprocess",
    "ResNet18",
    "ResNet18V2",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet34V2",
    "ResNet44",
    "ResNet50",
    "ResNet50V2",
    "ResNet56",
    "ResNet101",
    "ResNet101V2",
    "ResNet110",
    "ResNet152",
    "ResNet152V2",
    "ResumeMismatchError",
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
    "Xception",
    "ZFNet",
    "ZFNet512",
    "accelerate",
    "adopt",
    "build",
    "configure",
    "decode",
    "decode_predictions",
    "evaluate",
    "features",
    "identify",
    "list_models",
    "load",
    "load_mnist",
    "load_weights",
    "model_info",
    "predict",
    "preprocess_input",
    "reset_classifier",
    "save",
    "save_weights",
    "scan",
    "train",
    "transfer",
]

if TYPE_CHECKING:
    from cnnzoo import train, transfer
    from cnnzoo.data.decode import decode
    from cnnzoo.data.folders.folder import scan
    from cnnzoo.data.mnist import load_mnist
    from cnnzoo.data.preprocess import preprocess_input
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.errors import (
        CheckpointError,
        CnnzooError,
        DatasetError,
        DownloadError,
        ImageDecodeError,
        LabelError,
        ResumeMismatchError,
        SaveError,
        TrainingError,
        UnsafeFileError,
        UsageError,
        WeightFileError,
    )
    from cnnzoo.evaluation import Evaluation
    from cnnzoo.fast import accelerate
    from cnnzoo.graph.stage_outputs import Feature, features
    from cnnzoo.inference import decode_predictions, evaluate, predict
    from cnnzoo.models.index import ModelInfo, list_models, model_info
    from cnnzoo.saving import load, save
    from cnnzoo.spec import Geometry, Paper, Preprocess, Spec
    from cnnzoo.system.runtime import configure
    from cnnzoo.weights.loading import load_weights, save_weights
    from cnnzoo.weights.report import LoadReport
    from cnnzoo.zoo import build
    from cnnzoo.zoo.adoption import adopt
    from cnnzoo.zoo.builders import (
        MLP,
        VGG11,
        VGG11BN,
        VGG13,
        VGG13BN,
        VGG16,
        VGG16BN,
        VGG19,
        VGG19BN,
        AlexNet,
        CaffeNet,
        GoogLeNet,
        InceptionResNetV1,
        InceptionResNetV2,
        InceptionV1,
        InceptionV2,
        InceptionV3,
        InceptionV4,
        LeNet5,
        LeNetGAP,
        NiN,
        ResNet18,
        ResNet18V2,
        ResNet20,
        ResNet32,
        ResNet34,
        ResNet34V2,
        ResNet44,
        ResNet50,
        ResNet50V2,
        ResNet56,
        ResNet101,
        ResNet101V2,
        ResNet110,
        ResNet152,
        ResNet152V2,
        ShapesCNN,
        SimpleCNN,
        SmallResNet,
        SmallVGG,
        VerySmallVGG,
        Xception,
        ZFNet,
        ZFNet512,
    )
    from cnnzoo.zoo.classifier import reset_classifier
    from cnnzoo.zoo.identification import Identification, identify
else:
    # Where each name lives, but for errors, and networks, which live in `zoo.builders`.
    _HOMES = {
        "data.decode": ("decode",),
        "data.folders.folder": ("scan",),
        "data.mnist": ("load_mnist",),
        "data.preprocess": ("preprocess_input",),
        "ensemble": ("Ensemble",),
        "fast": ("accelerate",),
        "graph.stage_outputs": ("Feature", "features"),
        "evaluation": ("Evaluation",),
        "inference": ("decode_predictions", "evaluate", "predict"),
        "models.index": ("ModelInfo", "list_models", "model_info"),
        "saving": ("load", "save"),
        "spec": ("Geometry", "Paper", "Preprocess", "Spec"),
        "system.runtime": ("configure",),
        "weights.loading": ("load_weights", "save_weights"),
        "weights.report": ("LoadReport",),
        "zoo": ("build",),
        "zoo.adoption": ("adopt",),
        "zoo.classifier": ("reset_classifier",),
        "zoo.identification": ("Identification", "identify"),
    }

    _WITHOUT_KERAS = {
        *("data.decode", "data.folders.folder", "data.mnist", "errors", "evaluation"),
        *("models.index", "spec", "system.runtime", "weights.report"),
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}{_nearest(name)}"
            )
        from importlib import import_module

        if name in ("train", "transfer"):  # which import Keras themselves
            return import_module(f"{__name__}.{name}")
        home = "errors" if name.endswith("Error") else "zoo.builders"
        home = next((home for home, names in _HOMES.items() if name in names), home)
        if home not in _WITHOUT_KERAS:
            import_module(f"{__name__}.system.runtime").import_keras()
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value

    def _nearest(name):
        from difflib import get_close_matches

        known = {other.lower(): other for other in __all__}
        near = get_close_matches(name.lower().replace("_", ""), known, 1, 0.75)
        return f"; did you mean {known[near[0]]!r}?" if near else ""

    def __dir__():
        return sorted({*globals(), *__all__})
