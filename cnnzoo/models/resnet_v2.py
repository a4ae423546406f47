"""ResNet v2."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
