"""The catalog: every family's rows by name. To add a family, add its module here."""

from cnnzoo.models import (
    inception_v1,
    lenet,
    mlp,
    resnet,
    simple_cnn,
    small_resnet,
    vgg,
)
from cnnzoo.spec import Spec

FAMILIES = (lenet, mlp, simple_cnn, vgg, inception_v1, resnet, small_resnet)

SPECS: dict[str, Spec] = {spec.name: spec for family in FAMILIES for spec in family.SPECS}
