"""Training in Keras: cnnzoo's network, and the stock one that users write."""

from contextlib import ExitStack
from dataclasses import replace

import keras
import numpy as np

from benchmarks.task import Task, Work, cores, versions


def ours(work: Work) -> Task:
    """With what cnnzoo's own `fit` sets: its threads, the precision of "auto"."""
    import cnnzoo
    from cnnzoo.train import precision

    cnnzoo.configure()
    chosen = precision.resolve("auto").name
    model = cnnzoo.build(work.network, input_shape=work.shape, classes=work.classes)
    compiled(model)
    for_good = ExitStack()
    for_good.enter_context(precision.running(model, chosen))
    return replace(training(model, work, chosen), during=for_good)


def stock(work: Work) -> Task:
    from benchmarks.peers_keras import NETWORKS

    model = NETWORKS[work.network](work.shape, work.classes)
    compiled(model)
    return training(model, work, "float32")


def compiled(model: keras.Model) -> None:
    model.compile(
        keras.optimizers.Adam(),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def training(model: keras.Model, work: Work, precision: str) -> Task:
    """`fit` as in Keras's own examples, on arrays in memory."""
    draw = np.random.default_rng(0)
    count = work.steps * work.batch
    images = draw.standard_normal((count, *work.shape), "float32")
    labels = draw.integers(0, work.classes, count)

    def run() -> None:
        model.fit(
            images, labels, batch_size=work.batch, epochs=1, verbose=0, shuffle=False
        )

    facts = {
        "precision": precision,
        "threads": threads(),
        "parameters": model.count_params(),
        "versions": versions("keras", keras.backend.backend(), "cnnzoo"),
    }
    return Task(run, facts)


def threads() -> int:
    """TensorFlow's threads for one operation; the other backends take all cores."""
    if keras.backend.backend() != "tensorflow":
        return cores()
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or cores()
