"""A frozen VGG16: features computed once, beside a forward pass in every epoch.

    CNNZOO_DATA=folder python -m benchmarks.transfer_speed

Takes about twenty minutes on two cores, most of them for the naive method. Writes
`docs/transfer-results.md`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import keras
import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

import cnnzoo
from benchmarks.folders import photographs
from benchmarks.machine import describe
from benchmarks.transfer_page import store
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.pipeline import load_images
from cnnzoo.data.preprocess import preprocess_input

SIDES = (224, 64)  # pixels; the goals are set for the first
TRAIN_IMAGES, VALIDATION_IMAGES, EPOCHS, BATCH = 240, 60, 30, 32


@dataclass(frozen=True)
class Work:
    """The networks and images of every method.

    Attributes:
        model: cnnzoo's VGG16 with random weights.
        stock: Stock Keras trunk with the same weights, which ends in average pooling.
        train: Training images.
        validation: Validation images.
    """

    model: keras.Model
    stock: keras.Model
    train: Images
    validation: Images

    def pixels(self, images: Images) -> np.ndarray:
        return preprocess_input(images.images, "caffe")


def load_work(side: int) -> Work:
    """The networks and the photographs, some of which are also added mirrored."""
    with tempfile.TemporaryDirectory() as folder:
        photos = scan(photographs(Path(folder)), depth="headers")
        images = load_images(photos, (side, side, 3))
    originals, validation = images.split(VALIDATION_IMAGES, seed=0)
    rows = np.arange(TRAIN_IMAGES)
    train = originals.take(rows % len(originals))
    repeated = rows >= len(originals)
    train.images[repeated] = train.images[repeated, :, ::-1]
    keras.utils.set_random_seed(0)
    stock = keras.applications.VGG16(
        weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3)
    )
    model = cnnzoo.build(
        "vgg16",
        include_top=False,
        pooling="avg",
        input_shape=(side, side, 3),
        preprocessing="caffe",
    )
    model.set_weights(stock.get_weights())
    return Work(model, stock, train, validation)


def naive(work: Work) -> float:
    """The method of Keras's guide to transfer learning: a frozen trunk in every epoch."""
    work.stock.trainable = False
    inputs = keras.Input(work.stock.input_shape[1:])
    outputs = keras.layers.Dense(2, "softmax")(work.stock(inputs, training=False))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        work.pixels(work.train),
        work.train.labels,
        validation_data=(work.pixels(work.validation), work.validation.labels),
        epochs=EPOCHS,
        batch_size=BATCH,
        verbose=2,
    )
    return float(history.history["val_accuracy"][-1])


def ours(work: Work) -> float:
    """Case 1: a classifier is trained on cached features."""
    plan = transfer.plan(1)
    return float(transfer.fit(work.model, work.train, work.validation, plan).accuracy)


def regression(work: Work) -> float:
    """Keras's features, and scikit-learn's logistic regression on them."""
    x_train, x_validation = forward(work)
    mean, deviation = x_train.mean(0), x_train.std(0) + 1e-12
    classifier = LogisticRegression(max_iter=2000)
    classifier.fit((x_train - mean) / deviation, work.train.labels)
    x_validation = (x_validation - mean) / deviation
    return float(classifier.score(x_validation, work.validation.labels))


def forward(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Features of all images, from one forward pass of stock Keras."""
    train, validation = (
        work.stock.predict(work.pixels(images), batch_size=BATCH, verbose=0)
        for images in (work.train, work.validation)
    )
    return train, validation


def assess(work: Work) -> None:
    transfer.assess(work.model, work.train)


def time_method(name: str, method: Callable[[Work], object], work: Work) -> dict:
    start = time.perf_counter()
    accuracy = method(work)
    record: dict = {"name": name, "seconds": time.perf_counter() - start}
    if isinstance(accuracy, float):
        images = len(work.validation)
        correct = round(accuracy * images)
        interval = binomtest(correct, images).proportion_ci(method="wilson")
        low, high = float(interval.low), float(interval.high)
        record |= {"accuracy": accuracy, "low": low, "high": high}
    print(record, flush=True)
    return record


def measure(side: int) -> dict:
    """Runs every method once; returns the record for the page."""
    work = load_work(side)
    forward(work)  # so that no method includes the compilation of the trunk
    once = time_method("one forward pass of stock Keras", forward, work)
    fit = time_method("`cnnzoo.transfer.fit`", ours, work)
    sklearn = time_method("Keras's features, scikit-learn's regression", regression, work)
    assessment = time_method("`cnnzoo.transfer.assess`", assess, work)
    slow = time_method("naive: `model.fit` of stock Keras", naive, work)
    train_pass = once["seconds"] * TRAIN_IMAGES / (TRAIN_IMAGES + VALIDATION_IMAGES)
    return {
        "side": side,
        "methods": [slow, fit, sklearn, once, assessment],
        "naive_to_fit": slow["seconds"] / fit["seconds"],
        "fit_to_forward": fit["seconds"] / once["seconds"],
        "assess_to_forward": assessment["seconds"] / train_pass,
        "assess_goal": 3 * train_pass + 5,
    }


def main() -> None:
    store(
        "speed",
        {
            "date": date.today().isoformat(),
            "machine": describe(),
            "train_images": TRAIN_IMAGES,
            "validation_images": VALIDATION_IMAGES,
            "epochs": EPOCHS,
            "sides": [measure(side) for side in SIDES],
        },
    )


if __name__ == "__main__":
    main()
