"""Only the layers that Keras lacks: local response normalisation."""

import keras
from keras import ops

from cnnzoo.errors import UsageError


@keras.saving.register_keras_serializable(package="cnnzoo")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by the energy of its neighbours across channels.

    `y = x / (k + alpha / size * sum of x² over the window) ** beta`, where the window is
    the `size` channels around the value's own, clipped at the first and last channel;
    the divisor stays `size` there. This is the form of Caffe, PyTorch and ONNX.
    Krizhevsky et al. (NIPS 2012, section 3.3) do not divide alpha by the size: their
    constants k = 2, alpha = 1e-4 are `k=2, alpha=5e-4` here. TensorFlow's
    `tf.nn.local_response_normalization` has `depth_radius = size // 2` and
    `alpha = ours / size`. Input and output: any shape with a channel axis, floats.

    Args:
        size: channels in the window, odd, at least 1.
        alpha: weight of the energy, divided by `size`; 1e-4 in Caffe's networks.
        beta: exponent, 0.75 in the papers.
        k: constant added to the energy; 1 in Caffe's networks, 2 in the paper.
        axis: the channel axis; -1, or 1 for channels first.

    Raises:
        UsageError: `size` is not an odd positive number.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        axis: int = -1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise UsageError(
                "LocalResponseNormalization needs a window with a middle: expected an "
                f"odd size of at least 1, got size={size}; use {max(size, 0) + 1} or "
                "another odd number"
            )
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.axis = axis

    def call(self, inputs):
        axis = self.axis % len(inputs.shape)
        channels = inputs.shape[axis]
        reach = self.size // 2
        margins = [
            (reach, reach) if i == axis else (0, 0) for i in range(len(inputs.shape))
        ]
        # Squares of float16 values overflow from 256 on.
        values = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        squares = ops.pad(ops.square(values), margins)

        def shifted(offset: int):
            index = [slice(None)] * len(inputs.shape)
            index[axis] = slice(offset, offset + channels)
            return squares[tuple(index)]

        energy = sum((shifted(i) for i in range(1, self.size)), start=shifted(0))
        scale = ops.power(self.k + self.alpha / self.size * energy, -self.beta)
        return ops.cast(values * scale, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "axis": self.axis,
        }
