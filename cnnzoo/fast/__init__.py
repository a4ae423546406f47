"""Faster implementations of stock layers with the same outputs.

A layer keeps its class, so that saved files contain stock layers only: the instance gets
a `call` that replaces that of the class. This is done on TensorFlow; other backends use
Keras's implementation.
"""

from types import MethodType

import keras
from keras import layers

from cnnzoo.fast import batch_norm, convolution, lrn, optimizer, prelu
from cnnzoo.layers import LocalResponseNormalization

WAYS = {  # with the name of the method that each replaces
    layers.BatchNormalization: batch_norm.call,
    layers.Conv2D: convolution.convolution_op,
    layers.PReLU: prelu.call,
    LocalResponseNormalization: lrn.call,
}
# Functions that check a layer's options; the other layers are faster with any options.
FITS = {
    layers.BatchNormalization: batch_norm.fits,
    layers.Conv2D: convolution.fits,
}


def accelerate(model: keras.Model) -> keras.Model:
    """Makes the layers of any Keras model faster, in place; returns the model.

    Outputs, gradients and moving statistics stay the same within float rounding, a
    frozen layer's state stays bit-equal, and saved files do not change. Layers without a
    faster implementation, or with a replaced `call`, do not change. The same holds for
    the optimizer of `compile`.

    Args:
        model: Keras model.
    """
    if keras.backend.backend() != "tensorflow":
        return model
    for layer in model._flatten_layers():
        way, fits = WAYS.get(type(layer)), FITS.get(type(layer))
        if way and way.__name__ not in vars(layer) and (not fits or fits(layer)):
            setattr(layer, way.__name__, MethodType(way, layer))
    if "compile" not in vars(model):
        model.compile = MethodType(_compile, model)
    if model.compiled and model.optimizer:
        optimizer.accelerate(model.optimizer)
    return model


def _compile(self, *args, **kwargs) -> None:
    """Keras's Model.compile, with a faster optimizer."""
    type(self).compile(self, *args, **kwargs)
    optimizer.accelerate(self.optimizer)
