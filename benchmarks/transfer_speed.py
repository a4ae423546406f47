"""A frozen VGG16: features computed once, beside a forward pass in every epoch.

    CNNZOO_DATA=folder python -m benchmarks.transfer_speed

It takes about twenty minutes on two cores, most of them for the naive method. The results
go into `docs/transfer-results.md`.
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
LEARNED, HELD_OUT, EPOCHS, BATCH = 240, 60, 30, 32


@dataclass(frozen=True)
class Work:
    """The networks and images of every method.

    Attributes:
        model: cnnzoo's VGG16 with random weights.
        stock: Stock Keras trunk with the same weights, which ends in average pooling.
        learned: Training images.
        held_out: Validation images.
    """

    model: keras.Model
    stock: keras.Model
    learned: Images
    held_out: Images

    def pixels(self, images: Images) -> np.ndarray:
        return preprocess_input(images.images, "caffe")


def work(side: int) -> Work:
    """The networks, and the photographs, some of them also mirrored to have enough."""
    with tempfile.TemporaryDirectory() as folder:
        photos = scan(photographs(Path(folder)), depth="headers")
        images = load_images(photos, (side, side, 3))
    learned, held_out = images.split(HELD_OUT, seed=0)
    rows = np.arange(LEARNED) % len(learned)
    learned = learned.take(rows)
    again = np.arange(LEARNED) >= len(np.unique(rows))
    learned.images[again] = learned.images[again, :, ::-1]
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
    return Work(model, stock, learned, held_out)


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
    held_out = (work.pixels(work.held_out), work.held_out.labels)
    told = model.fit(
        work.pixels(work.learned),
        work.learned.labels,
        validation_data=held_out,
        epochs=EPOCHS,
        batch_size=BATCH,
        verbose=2,
    )
    return told.history["val_accuracy"][-1]


def ours(work: Work) -> float:
    """Case 1: a head is trained on cached features."""
    plan = transfer.plan(1)
    return transfer.fit(work.model, work.learned, work.held_out, plan).accuracy


def regression(work: Work) -> float:
    """Keras's features, and scikit-learn's logistic regression on them."""
    seen, held_out = (
        work.stock.predict(work.pixels(images), batch_size=BATCH, verbose=0)
        for images in (work.learned, work.held_out)
    )
    mean, deviation = seen.mean(0), seen.std(0) + 1e-12
    fitted = LogisticRegression(max_iter=2000)
    fitted.fit((seen - mean) / deviation, work.learned.labels)
    return float(fitted.score((held_out - mean) / deviation, work.held_out.labels))


def forward(work: Work) -> None:
    """One forward pass of stock Keras over all images."""
    for images in (work.learned, work.held_out):
        work.stock.predict(work.pixels(images), batch_size=BATCH, verbose=0)


def assessed(work: Work) -> None:
    transfer.assess(work.model, work.learned)


def timed(name: str, way: Callable[[Work], float | None], work: Work) -> dict:
    begun = time.perf_counter()
    accuracy = way(work)
    told: dict = {"name": name, "seconds": time.perf_counter() - begun}
    if accuracy is not None:
        right = round(accuracy * len(work.held_out))
        sides = binomtest(right, len(work.held_out)).proportion_ci(method="wilson")
        told |= {"accuracy": accuracy, "low": float(sides.low), "high": float(sides.high)}
    print(told, flush=True)
    return told


def measured(side: int) -> dict:
    """Runs every method once; returns the record for the page."""
    given = work(side)
    forward(given)  # so that no method includes the compilation of the trunk
    once = timed("one forward pass of stock Keras", forward, given)
    fit = timed("`cnnzoo.transfer.fit`", ours, given)
    sklearn = timed("Keras's features, scikit-learn's regression", regression, given)
    assess = timed("`cnnzoo.transfer.assess`", assessed, given)
    slow = timed("naive: `model.fit` of stock Keras", naive, given)
    a_pass = once["seconds"] * LEARNED / (LEARNED + HELD_OUT)
    return {
        "side": side,
        "arms": [slow, fit, sklearn, once, assess],
        "naive_to_fit": slow["seconds"] / fit["seconds"],
        "fit_to_forward": fit["seconds"] / once["seconds"],
        "assess_to_forward": assess["seconds"] / a_pass,
        "assess_goal": 3 * a_pass + 5,
    }


def main() -> None:
    store(
        "speed",
        {
            "date": date.today().isoformat(),
            "machine": describe(),
            "learned": LEARNED,
            "held_out": HELD_OUT,
            "epochs": EPOCHS,
            "sides": [measured(side) for side in SIDES],
        },
    )


if __name__ == "__main__":
    main()
