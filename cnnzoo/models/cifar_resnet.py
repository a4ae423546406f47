"""the ResNets for CIFAR-10."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
