"""The axes of images in Keras's setting, `keras.config.image_data_format()`.

It stands alone since blocks, heads and `zoo` need it; the format that a model was built
with, which the setting need not tell, is the matter of `graph/data_format.py`.
"""

import keras


def channel_axis() -> int:
    """The axis of channels in Keras's setting: 1 or -1."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def spatial_axes() -> tuple[int, int]:
    """The axes of height and width in Keras's setting."""
    return (2, 3) if channel_axis() == 1 else (1, 2)


def to_keras_format(shape: tuple) -> tuple:
    """A shape (h, w, c) in Keras's setting: (c, h, w) where channels come first."""
    return (shape[-1], *shape[:-1]) if channel_axis() == 1 else tuple(shape)
