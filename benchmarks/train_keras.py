"""Training in Keras: cnnzoo's network, and the same network of stock layers."""

import time
from contextlib import ExitStack
from dataclasses import replace

import keras
import numpy as np

from benchmarks.task import Parts, Task, Work, versions
from cnnzoo.system.runtime import cores


def ours(work: Work) -> Task:
    """Training with the settings of `Run.fit`: threads, and the precision "auto"."""
    import cnnzoo
    from cnnzoo.train import mixed_precision

    cnnzoo.configure()
    precision = mixed_precision.resolve("auto")
    model = cnnzoo.build(work.network, input_shape=work.shape, classes=work.classes)
    compile_model(model)
    context = ExitStack()  # stays open as long as the task
    context.enter_context(mixed_precision.running(model, precision))
    return replace(training(model, work, precision), during=context)


def stock(work: Work) -> Task:
    from benchmarks.peers_keras import NETWORKS

    model = NETWORKS[work.network](work.shape, work.classes)
    compile_model(model)
    return training(model, work, "float32")


def compile_model(model: keras.Model) -> None:
    model.compile(
        keras.optimizers.Adam(),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def training(model: keras.Model, work: Work, precision: str) -> Task:
    """`fit` as in Keras's examples, on arrays, from the first step to the last.

    The time after the last step is not included, since it is random for every user of
    tf.data: the thread that tunes the pipeline sleeps for up to a minute and may miss the
    signal to end, and `fit` returns only when it wakes.
    """
    rng = np.random.default_rng(0)
    count = work.steps * work.batch
    images = rng.standard_normal((count, *work.shape), "float32")
    labels = rng.integers(0, work.classes, count)

    times: list[float] = []
    timer = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: times.append(time.perf_counter()),
        on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()),
    )

    def run() -> Parts:
        times.clear()
        model.fit(
            images,
            labels,
            batch_size=work.batch,
            verbose=0,
            shuffle=False,
            callbacks=[timer],
        )
        return {"steps": times[-1] - times[0]}

    facts = {
        "precision": precision,
        "threads": threads(),
        "parameters": model.count_params(),
        "versions": versions("keras", keras.backend.backend(), "cnnzoo"),
    }
    return Task(run, facts)


def threads() -> int:
    """TensorFlow's threads per operation; the other backends use all cores."""
    if keras.backend.backend() != "tensorflow":
        return cores()
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or cores()
