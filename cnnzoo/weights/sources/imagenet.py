"""ImageNet: its 1,000 classes, and how the pictures were cut for published accuracies.

`imagenet_classes.txt` has a line per class, in the order of the outputs: the WordNet id,
by which ImageNet names its folders, and a name. The ids are from timm (Apache-2.0), the
names from torchvision (BSD-3-Clause), where no two classes share one.

The geometries are those of

- keras.applications: the author of its table of accuracies, in
  https://github.com/keras-team/keras-applications/issues/88 and, for 299 pixels, in
  `examples/imagenet_preprocessing.py` of https://github.com/taehoonlee/tensornets
- torchvision: `transforms()` of each entry of its `Weights`, of the first version
- timm: `crop_pct` and `interpolation` of its pretrained configurations; where a network
  has several, that of the plainest recipe
- Caffe, and the ONNX model zoo's copies: images stretched to 256 x 256, as
  `convert_imageset` of Caffe's ImageNet example does, and cropped
- TF-slim: `central_fraction=0.875` of `inception_preprocessing.py`, then stretched
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType

from cnnzoo.spec import Fit, Geometry, Interpolation

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")

# Library, pattern of its networks (the first that fits is used), and in pixels the sides
# of the centre and of the whole picture.
GEOMETRIES: tuple[tuple[str, str, int, int, Fit, Interpolation], ...] = (
    ("keras.applications", "*ception*", 299, 341, "crop", "bicubic"),
    ("keras.applications", "*", 224, 256, "crop", "bicubic"),
    ("torchvision", "inception_v3*", 299, 342, "crop", "bilinear"),
    ("torchvision", "*", 224, 256, "crop", "bilinear"),
    ("timm", "inception_v*", 299, 341, "crop", "bicubic"),
    ("timm", "*ception*", 299, 333, "crop", "bicubic"),
    ("timm", "resnet50_v2*", 224, 235, "crop", "bicubic"),
    ("timm", "resnet*_v2", 224, 248, "crop", "bicubic"),
    ("timm", "*", 224, 256, "crop", "bilinear"),
    ("Cadene's BN-Inception", "*", 224, 256, "crop", "bilinear"),
    ("the ONNX model zoo", "*net", 227, 256, "stretch", "bilinear"),
    ("the ONNX model zoo", "*", 224, 256, "stretch", "bilinear"),
    ("TF-slim", "*", 7, 8, "stretch", "bilinear"),
)


@cache
def names_by_id() -> Mapping[str, str]:
    """The names of the classes by their WordNet ids, in the order of the outputs."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return MappingProxyType(dict(line.split(" ", 1) for line in lines))


def class_names() -> tuple[str, ...]:
    """The names of the classes, in the order of the outputs."""
    return tuple(names_by_id().values())


def names_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The names for WordNet ids; classes that are not all such ids stay as they are."""
    if not set(classes) <= names_by_id().keys():
        return tuple(classes)
    return tuple(names_by_id()[name] for name in classes)


def geometry(family: str, network: str) -> Geometry | None:
    """How pictures are cut for a network's weights of a library; None if unknown."""
    for library, pattern, side, whole, fit, interpolation in GEOMETRIES:
        if library == family and fnmatchcase(network, pattern):
            return Geometry(fit, side / whole, interpolation)
    return None
