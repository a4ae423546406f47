"""Xception."""

from cnnzoo.spec import Spec

SPECS: list[Spec] = []
