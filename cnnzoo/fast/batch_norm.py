"""BatchNormalization by TensorFlow's fused kernel, which Keras does not use."""

from keras import layers

from cnnzoo.fast.context import avx512, on_cpu

KERNEL_TYPES = ("float16", "bfloat16", "float32")


def fits(layer: layers.BatchNormalization) -> bool:
    """Whether the kernel, which needs channels last and has no options, can be used."""
    spec = layer.input_spec
    last = spec is not None and spec.ndim == 4 and layer.axis in (-1, 3)
    return last and not layer.synchronized and not getattr(layer, "renorm", False)


def call(self, inputs, training=None, mask=None):
    """Keras's BatchNormalization.call for (b, h, w, c).

    The kernel takes float16, bfloat16 and float32 images, and float32 statistics as in
    Keras. Other types and masks are left to Keras's implementation, as is inference if
    the kernel for it is slow.

    Args:
        inputs: Images in the layer's compute dtype.
        training: As in Keras; statistics change only if the layer is also trainable.
        mask: As in Keras.
    """
    if (
        mask is not None
        or self.moving_mean.dtype != "float32"
        or inputs.dtype != self.compute_dtype
        or inputs.dtype not in KERNEL_TYPES
        or (_kernel_is_slow(inputs) and not (training and self.trainable))
    ):
        return type(self).call(self, inputs, training=training, mask=mask)
    import tensorflow as tf

    ones = tf.ones_like(self.moving_mean)
    scale = tf.convert_to_tensor(self.gamma) if self.scale else ones
    offset = tf.convert_to_tensor(self.beta) if self.center else 0 * ones
    if not (training and self.trainable):
        mean, variance = map(
            tf.convert_to_tensor, (self.moving_mean, self.moving_variance)
        )
        return _kernel(inputs, scale, offset, mean, variance, self.epsilon)[0]
    normalise = _exact if inputs.dtype == "float32" and on_cpu() else _at_once
    outputs, mean, variance = normalise(inputs, scale, offset, self.epsilon)
    for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
        moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
    return outputs


def _exact(x, scale, offset, epsilon: float) -> tuple:
    """Images normalized by their own mean and variance, and these two.

    Values are summed per image, then over the images. The kernel and Keras add a hundred
    thousand values to a single sum, whose rounding error shifts all outputs in one
    direction.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def normalise(x, scale, offset):
        mean = _mean(x)
        variance = _mean(tf.math.squared_difference(x, mean))
        outputs = _by_statistics(x, scale, offset, mean, variance, epsilon)

        def gradient(upstream, *_):  # no gradient through the statistics
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=x,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,  # inverse square root on a GPU
                reserve_space_3=tf.zeros_like(mean),
                epsilon=epsilon,
                is_training=True,
            )[:3]

        return (outputs, mean, variance), gradient

    return normalise(x, scale, offset)


def _mean(x):
    """The mean over the pixels of all images, (b, h, w, c) to (c,)."""
    import tensorflow as tf

    shape = tf.shape(x)
    images = tf.reshape(x, (shape[0], shape[1] * shape[2], x.shape[-1]))
    count = tf.cast(shape[0] * shape[1] * shape[2], x.dtype)
    return tf.reduce_sum(tf.reduce_sum(images, 1), 0) / count


def _at_once(x, scale, offset, epsilon: float) -> tuple:
    """The same by the kernel alone: faster, and exact enough for half precision."""
    import tensorflow as tf

    outputs, mean, variance = _kernel(x, scale, offset, [], [], epsilon)
    # The kernel divides by n - 1 and Keras by n; the statistic must be Keras's.
    pixels = tf.reduce_prod(tf.shape(x, out_type=tf.int64)[:-1])
    count = tf.cast(pixels, variance.dtype)
    return outputs, mean, variance * ((count - 1) / count)


def _kernel_is_slow(x) -> bool:
    """Whether the kernel for given statistics is that of oneDNN for AVX2.

    It takes ten times as long as that for AVX-512, and longer than Keras's operations.
    """
    return x.dtype == "float32" and on_cpu() and not avx512()


def _by_statistics(x, scale, offset, mean, variance, epsilon: float):
    """Images normalized by the given statistics."""
    import tensorflow as tf

    if _kernel_is_slow(x):
        return (x - mean) * (scale * tf.math.rsqrt(variance + epsilon)) + offset
    return _kernel(x, scale, offset, mean, variance, epsilon)[0]


def _kernel(x, scale, offset, mean, variance, epsilon: float) -> list:
    """The images normalized by the given statistics, or without any by their own."""
    import tensorflow as tf

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=isinstance(mean, list),
    )[:3]
