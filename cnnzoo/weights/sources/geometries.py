"""How pictures are cut for the published accuracies of ImageNet's weights.

The geometries are those of

- keras.applications: the author of its table of accuracies, in
  https://github.com/keras-team/keras-applications/issues/88 and, for 299 pixels, in
  `examples/imagenet_preprocessing.py` of https://github.com/taehoonlee/tensornets
- torchvision: `transforms()` of the first version of each network's weights
- timm: `crop_pct` and `interpolation` of its configurations; of several for one network,
  those of the plainest recipe
- Caffe, and the ONNX model zoo's copies: images stretched to 256 x 256, as
  `convert_imageset` of Caffe's ImageNet example does, and cropped
"""

from fnmatch import fnmatchcase

from cnnzoo.spec import Fit, Geometry, Interpolation

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
)


def geometry(family: str, network: str) -> Geometry | None:
    """How pictures are cut for a network's weights of a library; None if unknown."""
    for library, pattern, side, whole, fit, interpolation in GEOMETRIES:
        if library == family and fnmatchcase(network, pattern):
            return Geometry(fit, side / whole, interpolation)
    return None
