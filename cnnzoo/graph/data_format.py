"""Channels first or last: what a model was built with, and its shapes."""

import keras

from cnnzoo.graph.keras_internals import operations
from cnnzoo.graph.layer_kinds import CONVOLUTIONS, POOLS, WHOLE_IMAGE

# The layers that know where the channels are. ZeroPadding2D is not to be trusted: the
# shortcuts of the ResNets for CIFAR-10 pad channels with it, in the other format.
ORIENTED = (*CONVOLUTIONS, *POOLS, *WHOLE_IMAGE)


def data_format(model: keras.Model) -> str:
    """The model's format, "channels_first" or "channels_last".

    Its layers tell, since Keras's setting can change after a model was built, and files
    keep the layers' format. A model without such layers has Keras's setting.
    """
    formats = (op.data_format for op in operations(model) if isinstance(op, ORIENTED))
    return next(formats, keras.config.image_data_format())


def channels_first(model: keras.Model) -> bool:
    """Whether the model takes images (b, c, h, w)."""
    return data_format(model) == "channels_first"


def to_channels_last(model: keras.Model, shape: tuple) -> tuple:
    """An image's shape in the model's format as height, width and channels."""
    return (*shape[1:], shape[0]) if channels_first(model) else tuple(shape)
