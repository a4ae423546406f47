"""Single operations in TensorFlow: LRN, and the matrix product as an upper bound."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.task import Task, Work, versions
from benchmarks.train_keras import threads


def our_lrn(work: Work) -> Task:
    import cnnzoo
    from cnnzoo.layers.blocks import local_response_norm

    images = keras.Input(work.shape)
    model = keras.Model(images, local_response_norm(images, name="lrn"))
    return forward_backward(cnnzoo.accelerate(model), work)


def tf_lrn(work: Work) -> Task:
    from benchmarks.peers_keras import lrn

    images = keras.Input(work.shape)
    return forward_backward(keras.Model(images, lrn(images)), work)


def forward_backward(model: keras.Model, work: Work) -> Task:
    """A forward and a backward pass in float32."""
    rng = np.random.default_rng(0)
    shape = (work.batch, *work.shape)
    images, output_gradients = (
        tf.constant(rng.standard_normal(shape, "float32")) for _ in range(2)
    )

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images, training=True)
        return tf.convert_to_tensor(tape.gradient(outputs, images, [output_gradients]))

    return repeated(step, work.steps, "float32")


def float32_product(work: Work) -> Task:
    return product(work, "float32")


def bfloat16_product(work: Work) -> Task:
    return product(work, "bfloat16")


def product(work: Work, dtype: str) -> Task:
    rows, columns, _ = work.shape
    rng = np.random.default_rng(0)
    left = tf.cast(rng.standard_normal((rows, columns), "float32"), dtype)
    right = tf.cast(rng.standard_normal((columns, rows), "float32"), dtype)

    @tf.function
    def step() -> tf.Tensor:
        return tf.matmul(left, right)

    return repeated(step, work.steps, dtype)


def repeated(step: Callable[[], tf.Tensor], times: int, precision: str) -> Task:
    def run() -> None:
        for _ in range(times):
            step()[0, 0].numpy()

    facts = {
        "precision": precision,
        "threads": threads(),
        "versions": versions("tensorflow", "keras", "cnnzoo"),
    }
    return Task(run, facts)
