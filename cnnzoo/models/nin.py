"""Network in Network."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
