"""The catalog: every family's rows by name. To add a family, add its file's name here."""

from importlib import import_module

from cnnzoo.spec import Spec

FAMILIES = (
    "lenet",
    "mlp",
    "simple_cnn",
    "alexnet",
    "zfnet",
    "nin",
    "vgg",
    "inception_v1",
    "googlenet_bn",
    "inception_v2",
    "inception_v3",
    "inception_v4",
    "inception_resnet",
    "xception",
    "resnet",
    "resnet_v2",
    "cifar_resnet",
    "small_resnet",
)
SPECS: dict[str, Spec] = {
    spec.name: spec
    for family in FAMILIES
    for spec in import_module(f"cnnzoo.models.{family}").SPECS
}
