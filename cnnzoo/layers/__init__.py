"""What networks are drawn with, and the one layer that Keras lacks."""

from cnnzoo.layers.lrn import LocalResponseNormalization

__all__ = ["LocalResponseNormalization"]
