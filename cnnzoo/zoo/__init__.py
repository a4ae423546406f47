"""A `Spec` becomes a `keras.Model`."""

from cnnzoo.layer_names import FEATURES
from cnnzoo.zoo.factory import build, find, sketch

__all__ = ["FEATURES", "build", "find", "sketch"]
