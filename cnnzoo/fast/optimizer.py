"""Optimizers on TensorFlow: one pass over each variable where Keras takes ten."""

from types import MethodType

import keras
from keras.optimizers import SGD, Adam, AdamW


def accelerate(optimizer: keras.Optimizer) -> None:
    """Makes a stock optimizer use TensorFlow's kernel for its step, if there is one.

    For an optimizer that scales the loss for float16, this is done for the inner one.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if type(optimizer) in (Adam, AdamW) and not optimizer.amsgrad:
        optimizer.update_step = MethodType(_adam, optimizer)
    elif type(optimizer) is SGD and optimizer.momentum:
        optimizer.update_step = MethodType(_momentum, optimizer)


def _adam(self, gradient, variable, learning_rate):
    """Keras's Adam.update_step."""
    if not _plain(gradient, variable):
        return type(self).update_step(self, gradient, variable, learning_rate)
    import tensorflow as tf

    index = self._get_variable_index(variable)
    step = tf.cast(self.iterations + 1, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=self._momentums[index].value.handle,
        v=self._velocities[index].value.handle,
        beta1_power=tf.pow(self.beta_1, step),
        beta2_power=tf.pow(self.beta_2, step),
        lr=tf.cast(learning_rate, tf.float32),
        beta1=self.beta_1,
        beta2=self.beta_2,
        epsilon=self.epsilon,
        grad=gradient,
    )


def _momentum(self, gradient, variable, learning_rate):
    """Keras's SGD.update_step with momentum."""
    if not _plain(gradient, variable):
        return type(self).update_step(self, gradient, variable, learning_rate)
    import tensorflow as tf

    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=self.momentums[self._get_variable_index(variable)].value.handle,
        lr=tf.cast(learning_rate, tf.float32),
        grad=gradient,
        momentum=self.momentum,
        use_nesterov=self.nesterov,
    )


def _plain(gradient, variable) -> bool:
    """Whether the kernel supports the types, and the variable is on one machine."""
    import tensorflow as tf

    return (
        isinstance(gradient, tf.Tensor)
        and gradient.dtype == variable.dtype == tf.float32
        and not tf.distribute.has_strategy()
    )
