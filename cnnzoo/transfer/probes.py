"""Closed-form probes: how well embeddings separate classes, by leave-one-out.

They are solved exactly, without a learning rate, a seed or epochs. A classifier that is
then trained by steps can start from a probe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binomtest

PENALTIES = np.logspace(-3, 6, 19)


@dataclass(frozen=True)
class Ridge:
    """The leave-one-out result of a ridge regression on one-against-the-rest targets.

    Attributes:
        predictions: (n,) class of each image, from a fit to all other images.
        accuracy: Share of correct predictions, 0 to 1.
        penalty: Penalty with the best accuracy; the largest of several.
        scores: (n, classes) outputs of these fits, usually -1 to 1.
    """

    predictions: np.ndarray
    accuracy: float
    penalty: float
    scores: np.ndarray


def standardize(embeddings: np.ndarray) -> np.ndarray:
    """(n, d) embeddings with mean 0 and deviation 1 per column, divided by the root of d.

    This makes one grid of penalties suit embeddings of any width.
    """
    mean, scale = mean_and_scale(embeddings)
    return (embeddings - mean) / scale


def mean_and_scale(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and scale of each column, as `standardize` uses them, (d,) float64."""
    deviation = embeddings.std(0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(embeddings.shape[1])
    return embeddings.mean(0, dtype=np.float64), scale


class RidgeProblem:
    """Embeddings and their classes, decomposed once for all penalties."""

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, classes: int):
        """Decomposes the matrix.

        Args:
            embeddings: (n, d), standardized.
            labels: (n,) class numbers from 0 on.
            classes: Number of classes.
        """
        self._labels, self._mean = labels, embeddings.mean(0)
        self._centred = centred = embeddings - self._mean
        if centred.shape[1] > len(centred):  # the Gram matrix of the rows is smaller
            energies, self._left = np.linalg.eigh(centred @ centred.T)
            self._energies = energies.clip(0)
        else:
            self._left, values, _ = np.linalg.svd(centred, full_matrices=False)
            self._energies = values**2
        # 1 for the image's class and -1 for the others
        self._targets = np.where(np.eye(classes)[labels] > 0, 1.0, -1.0)
        self._offset = self._targets.mean(0)
        self._projected = self._left.T @ (self._targets - self._offset)

    def leave_one_out(self, penalties: Iterable[float] = PENALTIES) -> Ridge:
        """Exact leave-one-out predictions of ridge regression, for the best penalty.

        With the hat matrix's diagonal h, the residual without the image itself is
        r / (1 - h).

        Args:
            penalties: Penalties to choose from.
        """
        best: Ridge | None = None
        for penalty in penalties:
            shrunk = self._energies / (self._energies + penalty)
            leverage = 1 / len(self._labels) + (self._left**2 * shrunk).sum(1)
            fitted = self._offset + self._left @ (shrunk[:, None] * self._projected)
            residuals = (self._targets - fitted) / (1 - leverage)[:, None]
            scores = self._targets - residuals
            predictions = scores.argmax(1)
            accuracy = float(np.mean(predictions == self._labels))
            if best is None or accuracy >= best.accuracy:
                best = Ridge(predictions, accuracy, float(penalty), scores)
        assert best is not None
        return best

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (d, classes) and offsets (classes,) of the ridge regression itself."""
        dual = self._left @ (self._projected / (self._energies + penalty)[:, None])
        weights = self._centred.T @ dual
        return weights, self._offset - self._mean @ weights


def leave_one_out(embeddings: np.ndarray, labels: np.ndarray) -> Ridge:
    """The leave-one-out ridge probe of (n, d) embeddings, which are standardized here."""
    problem = RidgeProblem(standardize(embeddings), labels, labels.max() + 1)
    return problem.leave_one_out()


def ridge_init(
    layer: keras.layers.Dense, embeddings: np.ndarray, labels: np.ndarray
) -> float:
    """Sets a classifier's weights to the closed-form ridge regression.

    The regression's outputs are about -1 to 1. The logits are these outputs times the
    factor that maximizes the likelihood of the left-out images.

    Args:
        layer: Dense layer of the classifier, with one unit per class.
        embeddings: (n, d) inputs of the layer.
        labels: (n,) class numbers.

    Returns:
        The exact leave-one-out accuracy.
    """
    mean, scale = mean_and_scale(embeddings)
    problem = RidgeProblem((embeddings - mean) / scale, labels, layer.units)
    ridge = problem.leave_one_out()
    weights, offsets = problem.solve(ridge.penalty)
    factor = _likeliest_factor(ridge.scores, labels)
    kernel = factor * weights / scale[:, None]
    layer.set_weights([kernel, factor * offsets - mean @ kernel])
    return ridge.accuracy


def _likeliest_factor(scores: np.ndarray, labels: np.ndarray) -> float:
    """The factor from scores to logits of the highest likelihood, 1 to 100."""

    def loss(exponent: float) -> float:
        logits = log_softmax(10**exponent * scores, 1)
        return -float(logits[np.arange(len(labels)), labels].mean())

    return float(10 ** minimize_scalar(loss, bounds=(0, 2), method="bounded").x)


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact p-value of two classifiers being equally accurate.

    Args:
        one: (n,) whether each image was classified correctly.
        other: The same for the other classifier.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for their number: S. Holm, Scand. J. Statist. 6, 1979."""
    order = np.argsort(p_values)
    ranked = np.arange(len(p_values), 0, -1) * np.array(p_values)[order]
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(ranked))
    return corrected.tolist()
