"""Convolutions on TensorFlow: groups one by one, small images by matrix products."""

from keras import layers

from cnnzoo.fast import winograd
from cnnzoo.fast.context import learning, on_cpu

MOST_GROUPS = 8  # more would be too many small convolutions
FEW_PIXELS = 4  # maximum; at 4x4 a 1x1 convolution is as fast as the matrix product


def fits(layer: layers.Conv2D) -> bool:
    """Whether the layer has groups, or a kernel that matrix products can compute.

    On a GPU, Keras's convolutions are the fastest.
    """
    if (
        not on_cpu()
        or layer.data_format != "channels_last"
        or layer.dilation_rate != (1, 1)
    ):
        return False
    if layer.groups > 1:
        return layer.groups <= MOST_GROUPS
    if layer.strides != (1, 1):
        return False
    same = layer.padding == "same"
    return layer.kernel_size == (1, 1) or (layer.kernel_size == (3, 3) and same)


def convolution_op(self, inputs, kernel):
    """Keras's Conv2D.convolution_op for (b, h, w, c).

    Keras compiles grouped convolutions with XLA, which is slow on a CPU. Matrix products
    are used for small images in training only, so that the outputs of a trained network
    or a frozen layer stay bit-equal.
    """
    if self.groups > 1:
        return _grouped(self, inputs, kernel)
    _, height, width, channels = inputs.shape
    if (
        height is not None
        and width is not None
        and self.trainable
        and learning()
        and inputs.dtype == kernel.dtype == "float32"
    ):
        if self.kernel_size == (1, 1):
            if height * width <= FEW_PIXELS:
                return _product(inputs, kernel)
        elif winograd.worth_it(height, width, channels, self.filters):
            return winograd.convolve(inputs, kernel)
    return type(self).convolution_op(self, inputs, kernel)


def _product(inputs, kernel):
    """The 1x1 convolution as a matrix product, as are its gradients."""
    import tensorflow as tf

    _, height, width, channels = inputs.shape
    filters = kernel.shape[-1]
    pixels = tf.reshape(inputs, (-1, channels))
    outputs = pixels @ tf.reshape(kernel, (channels, filters))
    return tf.reshape(outputs, (-1, height, width, filters))


def _grouped(layer, inputs, kernel):
    import tensorflow as tf

    parts = [
        tf.nn.conv2d(images, filters, layer.strides, layer.padding.upper())
        for images, filters in zip(
            tf.split(inputs, layer.groups, axis=-1),
            tf.split(kernel, layer.groups, axis=-1),
            strict=True,
        )
    ]
    return tf.concat(parts, axis=-1)
