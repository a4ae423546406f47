"""BatchNormalization on TensorFlow through its fused kernel, which Keras does not use."""

from keras import layers

KERNEL_TYPES = ("float16", "bfloat16", "float32")


def fits(layer: layers.BatchNormalization) -> bool:
    """Whether the kernel, which has channels last and no options, does the same."""
    spec = layer.input_spec
    last = spec is not None and spec.ndim == 4 and layer.axis in (-1, 3)
    return last and not layer.synchronized and not getattr(layer, "renorm", False)


def call(self, inputs, training=None, mask=None):
    """Keras's BatchNormalization.call for (b, h, w, c), as one kernel.

    The kernel has float16, bfloat16 and float32 images, and float32 statistics as Keras
    has; another type, or a mask, takes Keras's own path.

    Args:
        inputs: images in the layer's compute type.
        training: as in Keras; statistics move only if the layer is trainable too.
        mask: as in Keras.
    """
    if (
        mask is not None
        or self.moving_mean.dtype != "float32"
        or inputs.dtype != self.compute_dtype
        or inputs.dtype not in KERNEL_TYPES
    ):
        return type(self).call(self, inputs, training=training, mask=mask)
    import tensorflow as tf

    learns = bool(training and self.trainable)
    ones = tf.ones_like(self.moving_mean)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(self.gamma) if self.scale else ones,
        offset=tf.convert_to_tensor(self.beta) if self.center else 0 * ones,
        mean=tf.convert_to_tensor(self.moving_mean) if not learns else [],
        variance=tf.convert_to_tensor(self.moving_variance) if not learns else [],
        epsilon=self.epsilon,
        is_training=learns,
    )
    if learns:
        # The kernel divides by n - 1 and Keras by n; they must keep one statistic.
        pixels = tf.reduce_prod(tf.shape(inputs, out_type=tf.int64)[:-1])
        count = tf.cast(pixels, variance.dtype)
        variance *= (count - 1) / count
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
    return outputs
