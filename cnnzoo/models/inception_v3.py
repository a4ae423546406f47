"""Inception V3."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
