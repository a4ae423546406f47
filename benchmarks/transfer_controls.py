"""What simpler ways make of the same images: neighbours, pixels, random weights."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from cnnzoo.built import described
from cnnzoo.data.arrays import Images
from cnnzoo.transfer import Assessment, probes
from cnnzoo.transfer.codes import codes, images_of, pixels
from cnnzoo.transfer.twin import random_twin

NEAREST, PIXELS, TWIN = "nearest neighbours", "pixels alone", "random weights, frozen"
WAYS = (NEAREST, PIXELS, TWIN)
CALIBRATED = 64  # images, on which the twin's statistics are measured
BATCH = 64


def control(
    way: str,
    model: keras.Model,
    found: Assessment,
    learned: Images,
    judging: Images,
    seed: int,
) -> float:
    """The accuracy of one of `WAYS`, 0 to 1."""
    mode, labels = described(model).outside, np.asarray(learned.labels)
    if way == PIXELS:
        answers = ridge(pixels(learned.images), labels, pixels(judging.images))
    else:
        network, cut = model, found.table[-1].cut.name
        if way == TWIN:
            some = learned.take(np.arange(CALIBRATED))
            batch = np.concatenate([*images_of(model, some, mode)])
            network, cut = random_twin(model, batch, seed), found.cut
        known, asked = (
            codes(network, [cut], images, mode, BATCH)[cut]
            for images in (learned, judging)
        )
        answer = ridge if way == TWIN else neighbours
        answers = answer(known, labels, asked)
    return float(np.mean(answers == np.asarray(judging.labels)))


def neighbours(learned: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """The answers, for (m, d) codes, of the nearest of (n, d) others by the cosine."""
    near = KNeighborsClassifier(probes.NEIGHBOURS, metric="cosine")
    return near.fit(learned, labels).predict(judged)


def ridge(learned: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """The answers, for (m, d) codes, of a ridge regression on (n, d) others."""
    mean, scale = probes.centre_and_scale(learned)
    problem = probes.Problem((learned - mean) / scale, labels)
    penalty = problem.leave_one_out().penalty
    weights, offsets = problem.solved(int(labels.max()) + 1, penalty)
    return ((judged - mean) / scale @ weights + offsets).argmax(1)
