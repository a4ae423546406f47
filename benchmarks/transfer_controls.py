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
from cnnzoo.transfer.evidence import best_of
from cnnzoo.transfer.features.embeddings import embed, pixels
from cnnzoo.transfer.random_baseline import build_random_baseline

PIXELS, RANDOM = "ridge on pixels", "ridge on random features"
METHODS = (PIXELS, RANDOM)
BATCH = 64
PENALTIES = 10.0 ** np.arange(8)  # choices for ridge regressions


def control(
    method: str,
    model: keras.Model,
    assessment: Assessment,
    train: Images,
    test: Images,
    seed: int,
) -> np.ndarray:
    """Whether one of `METHODS` classifies each test image correctly, (n,)."""
    mode = metadata_of(model).outside
    if method == PIXELS:
        x_train, x_test = pixels(train.images), pixels(test.images)
    else:
        network = build_random_baseline(model, train, mode, seed)
        best = best_of(assessment.cuts)
        x_train, x_test = (
            embed(network, [best.name], images, mode, BATCH)[best.name, best.pooling]
            for images in (train, test)
        )
    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
    ridge.fit(x_train, np.asarray(train.labels))
    return ridge.predict(x_test) == np.asarray(test.labels)
