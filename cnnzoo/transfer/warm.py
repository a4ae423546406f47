"""A classifier that begins as the closed-form ridge regression."""

from __future__ import annotations

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from cnnzoo.transfer import probes

MOST = 4000  # images that the regression is solved for; more are for the steps to come


def ridge_init(layer: keras.layers.Dense, codes: np.ndarray, labels: np.ndarray) -> float:
    """Sets a classifier's weights; returns the exact leave-one-out accuracy.

    The regression answers about -1 to 1, and a softmax wants logits: they are the
    answers times what makes the left-out images likeliest.

    Args:
        layer: the dense layer of the classifier, with a unit a class.
        codes: (n, d) what it sees.
        labels: (n,) integers, below its units.
    """
    mean, scale = probes.mean_and_scale(codes)
    ready = (codes - mean) / scale
    problem = probes.RidgeProblem(ready, labels)
    ridge = problem.leave_one_out()
    weights, offsets = problem.solve(layer.units, ridge.penalty)
    factor = _sharpness(ridge.scores, labels)
    kernel = factor * weights / scale[:, None]
    layer.set_weights([kernel, factor * offsets - mean @ kernel])
    return ridge.accuracy


def _sharpness(scores: np.ndarray, labels: np.ndarray) -> float:
    """The factor by which scores become the likeliest logits, 1 to 100."""

    def loss(exponent: float) -> float:
        logits = log_softmax(10**exponent * scores, 1)
        return -float(logits[np.arange(len(labels)), labels].mean())

    return float(10 ** minimize_scalar(loss, bounds=(0, 2), method="bounded").x)
