"""The one layer that Keras lacks: local response normalisation."""

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
        size: Number of channels in the window, odd, at least 1.
        alpha: Weight of the energy, divided by `size`; 1e-4 in Caffe's networks.
        beta: Exponent, 0.75 in the papers.
        k: Constant added to the energy; 1 in Caffe's networks, 2 in the paper.
        axis: Axis of the channels; -1, or 1 for channels first.

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
        @ops.custom_gradient  # a third faster than what backends derive
        def normalised(x):
            def gradient(*args, upstream=None):  # by place or by name: backends differ
                return self.gradient(x, args[0] if upstream is None else upstream)

            return self.normalised(x), gradient

        return ops.cast(normalised(inputs), self.compute_dtype)

    def normalised(self, x):
        """The layer's formula, in float32 at least."""
        values = self._wide(x)
        return values * self._power(self._energy(values))

    def gradient(self, x, upstream):
        """The gradient with respect to the input `x`, from that of the output."""
        values, back = self._wide(x), self._wide(upstream)
        energy = self._energy(values)
        power = self._power(energy)
        neighbours = self._window(back * values * power / energy)
        factor = 2 * self.beta * self.alpha / self.size
        return ops.cast(back * power - factor * values * neighbours, x.dtype)

    @staticmethod
    def _wide(x):
        """Squares of float16 values overflow from 256 on."""
        return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))

    def _energy(self, values):
        return self.k + self.alpha / self.size * self._window(ops.square(values))

    def _power(self, energy):
        """`energy ** -beta`; by roots where the paper's beta allows it, as the general
        power is slow."""
        if self.beta == 0.75:
            root = ops.rsqrt(energy)
            return root * ops.sqrt(root)
        return ops.power(energy, -self.beta)

    def _window(self, values):
        """The sum of each value and its neighbours across channels."""
        rank, axis = len(values.shape), self.axis % len(values.shape)
        channels, reach = values.shape[axis], self.size // 2
        margins = [(reach, reach) if i == axis else (0, 0) for i in range(rank)]
        padded = ops.pad(values, margins)

        def shifted(offset: int):
            index = [slice(None)] * rank
            index[axis] = slice(offset, offset + channels)
            return padded[tuple(index)]

        return sum((shifted(i) for i in range(1, self.size)), start=shifted(0))

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
