"""Faster ways for stock layers to compute the same numbers.

A layer keeps its class, so that files hold stock layers only: the instance gets another
`call`, in front of the class's own. Today this is done on TensorFlow; other backends keep
the portable path.
"""

from types import MethodType

import keras
from keras import layers

from cnnzoo.fast import batch_norm, convolution, lrn, optimizer, prelu
from cnnzoo.layers import LocalResponseNormalization

WAYS = {  # by the name of the method that they replace
    layers.BatchNormalization: batch_norm.call,
    layers.Conv2D: convolution.convolution_op,
    layers.PReLU: prelu.call,
    LocalResponseNormalization: lrn.call,
}
# Whether a layer's options have a faster way; the others have one with any.
FITS = {
    layers.BatchNormalization: batch_norm.fits,
    layers.Conv2D: convolution.fits,
}


def accelerate(model: keras.Model) -> keras.Model:
    """Gives the layers of any Keras model their fast paths, in place; returns it.

    Outputs, gradients and moving statistics stay the same within float rounding, a
    frozen layer's state stays bit-equal, and what is saved does not change. A layer
    that has no faster way here, or has been given a `call` of its own, is left alone. So
    it is with the optimiser of `compile`.
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
    """Keras's Model.compile."""
    type(self).compile(self, *args, **kwargs)
    optimizer.accelerate(self.optimizer)
