"""Inception V4."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
