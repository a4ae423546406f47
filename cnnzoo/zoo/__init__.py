"""A `Spec` becomes a `keras.Model`."""

from cnnzoo.zoo.factory import FEATURES, build, find, sketch

__all__ = ["FEATURES", "build", "find", "sketch"]
