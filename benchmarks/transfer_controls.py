"""Simpler methods on the same images: pixels, and features of random weights."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnnzoo.data.arrays import Images
from cnnzoo.metadata import metadata_of
from cnnzoo.transfer import Assessment
from cnnzoo.transfer.embeddings import embed, pixels
from cnnzoo.transfer.random_baseline import build_random_baseline

PIXELS, RANDOM = "pixels alone", "random weights, frozen"
WAYS = (PIXELS, RANDOM)
BATCH = 64
PENALTIES = 10.0 ** np.arange(8)  # choices for ridge regressions


def control(
    way: str,
    model: keras.Model,
    found: Assessment,
    learned: Images,
    judging: Images,
    seed: int,
) -> np.ndarray:
    """Whether one of `WAYS` classifies each image correctly, (n,)."""
    mode, labels = metadata_of(model).outside, np.asarray(learned.labels)
    if way == PIXELS:
        known, asked = pixels(learned.images), pixels(judging.images)
    else:
        network, cut = build_random_baseline(model, learned, mode, seed), found.cut
        known, asked = (
            embed(network, [cut], images, mode, BATCH)[cut]
            for images in (learned, judging)
        )
    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
    answers = ridge.fit(known, labels).predict(asked)
    return answers == np.asarray(judging.labels)
