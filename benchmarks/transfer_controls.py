"""What simpler ways make of the same images: neighbours, pixels, random weights."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cnnzoo.data.arrays import Images
from cnnzoo.metadata import metadata_of
from cnnzoo.transfer import Assessment, probes
from cnnzoo.transfer.embeddings import codes, pixels
from cnnzoo.transfer.random_baseline import calibrated_twin

NEAREST, PIXELS, TWIN = "nearest neighbours", "pixels alone", "random weights, frozen"
WAYS = (NEAREST, PIXELS, TWIN)
BATCH = 64
PENALTIES = 10.0 ** np.arange(8)  # of ridge regressions, to choose from


def control(
    way: str,
    model: keras.Model,
    found: Assessment,
    learned: Images,
    judging: Images,
    seed: int,
) -> np.ndarray:
    """Which of the images one of `WAYS` takes rightly, (n,)."""
    mode, labels = metadata_of(model).outside, np.asarray(learned.labels)
    if way == PIXELS:
        known, asked = pixels(learned.images), pixels(judging.images)
    else:
        network, cut = model, found.table[-1].cut.name
        if way == TWIN:
            network, cut = calibrated_twin(model, learned, mode, seed), found.cut
        known, asked = (
            codes(network, [cut], images, mode, BATCH)[cut]
            for images in (learned, judging)
        )
    answers = _classifier(way).fit(known, labels).predict(asked)
    return answers == np.asarray(judging.labels)


def _classifier(way: str) -> Pipeline | KNeighborsClassifier:
    if way == NEAREST:
        return KNeighborsClassifier(probes.NEIGHBOURS, metric="cosine")
    return make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
