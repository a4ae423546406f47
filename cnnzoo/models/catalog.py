"""The catalog: every family's rows by name. To add a family, add its module here."""

from cnnzoo.models import (
    alexnet,
    cifar_resnet,
    googlenet_bn,
    inception_resnet,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    mlp,
    nin,
    resnet,
    resnet_v2,
    simple_cnn,
    small_resnet,
    vgg,
    xception,
    zfnet,
)
from cnnzoo.spec import Spec

FAMILIES = (
    lenet,
    mlp,
    simple_cnn,
    alexnet,
    zfnet,
    nin,
    vgg,
    inception_v1,
    googlenet_bn,
    inception_v2,
    inception_v3,
    inception_v4,
    inception_resnet,
    xception,
    resnet,
    resnet_v2,
    cifar_resnet,
    small_resnet,
)

SPECS: dict[str, Spec] = {spec.name: spec for family in FAMILIES for spec in family.SPECS}
