"""The public names and their homes, for editors and for `cnnzoo/__init__.py`."""

from . import train as train, transfer as transfer
from .data.decode import decode as decode
from .data.folders.folder import scan as scan
from .data.mnist import load_mnist as load_mnist
from .data.preprocess import preprocess_input as preprocess_input
from .ensemble import Ensemble as Ensemble
from .errors import (
    CheckpointError as CheckpointError,
    CnnzooError as CnnzooError,
    DatasetError as DatasetError,
    DownloadError as DownloadError,
    ImageDecodeError as ImageDecodeError,
    LabelError as LabelError,
    ResumeMismatchError as ResumeMismatchError,
    SaveError as SaveError,
    TrainingError as TrainingError,
    UnsafeFileError as UnsafeFileError,
    UsageError as UsageError,
    WeightFileError as WeightFileError,
)
from .evaluation import (
    Evaluation as Evaluation,
    likely_label_errors as likely_label_errors,
)
from .fast import accelerate as accelerate
from .graph.stage_outputs import Feature as Feature, features as features
from .inference import (
    decode_predictions as decode_predictions,
    evaluate as evaluate,
    predict as predict,
)
from .models.index import (
    ModelInfo as ModelInfo,
    list_models as list_models,
    model_info as model_info,
)
from .saving import load as load, save as save
from .spec import (
    Geometry as Geometry,
    Paper as Paper,
    Preprocess as Preprocess,
    Spec as Spec,
)
from .system.runtime import configure as configure
from .weights.loading import load_weights as load_weights, save_weights as save_weights
from .weights.report import LoadReport as LoadReport
from .zoo import build as build
from .zoo.adoption import adopt as adopt
from .zoo.builders import (
    MLP as MLP,
    VGG11 as VGG11,
    VGG11BN as VGG11BN,
    VGG13 as VGG13,
    VGG13BN as VGG13BN,
    VGG16 as VGG16,
    VGG16BN as VGG16BN,
    VGG19 as VGG19,
    VGG19BN as VGG19BN,
    AlexNet as AlexNet,
    CaffeNet as CaffeNet,
    GoogLeNet as GoogLeNet,
    InceptionResNetV1 as InceptionResNetV1,
    InceptionResNetV2 as InceptionResNetV2,
    InceptionV1 as InceptionV1,
    InceptionV2 as InceptionV2,
    InceptionV3 as InceptionV3,
    InceptionV4 as InceptionV4,
    LeNet5 as LeNet5,
    LeNetGAP as LeNetGAP,
    NiN as NiN,
    ResNet18 as ResNet18,
    ResNet18V2 as ResNet18V2,
    ResNet20 as ResNet20,
    ResNet32 as ResNet32,
    ResNet34 as ResNet34,
    ResNet34V2 as ResNet34V2,
    ResNet44 as ResNet44,
    ResNet50 as ResNet50,
    ResNet50V2 as ResNet50V2,
    ResNet56 as ResNet56,
    ResNet101 as ResNet101,
    ResNet101V2 as ResNet101V2,
    ResNet110 as ResNet110,
    ResNet152 as ResNet152,
    ResNet152V2 as ResNet152V2,
    ShapesCNN as ShapesCNN,
    SimpleCNN as SimpleCNN,
    SmallResNet as SmallResNet,
    SmallVGG as SmallVGG,
    VerySmallVGG as VerySmallVGG,
    Xception as Xception,
    ZFNet as ZFNet,
    ZFNet512 as ZFNet512,
)
from .zoo.classifier import reset_classifier as reset_classifier
from .zoo.identification import Identification as Identification, identify as identify

__all__: list[str]
__version__: str
