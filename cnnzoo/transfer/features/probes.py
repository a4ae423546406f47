"""Closed-form probes: how well a ridge regression on embeddings will classify.

They are solved exactly, without a learning rate or epochs. Their accuracy is that on
images of repeated stratified folds, which neither the regression nor its penalty has
seen. A classifier that is then trained by steps can start from a probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

PENALTIES = np.logspace(-3, 6, 10)
FOLDS = 5
REPEATS = 3


@dataclass(frozen=True, eq=False)
class Probe:
    """Predictions of ridge regressions for images that they were not fitted to.

    Attributes:
        scores: (repeats, n, classes) outputs of the regressions, usually -1 to 1.
        labels: (n,) class numbers.
        features: Number of columns of the embeddings.
    """

    scores: np.ndarray
    labels: np.ndarray
    features: int

    @property
    def correct(self) -> np.ndarray:
        """Whether each image is classified correctly, (repeats, n)."""
        return self.scores.argmax(2) == self.labels

    @property
    def accuracies(self) -> np.ndarray:
        """Accuracy of each repeat, (repeats,), 0 to 1."""
        return self.correct.mean(1)

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the repeats, 0 to 1."""
        return float(self.accuracies.mean())

    @property
    def error(self) -> float:
        """Standard error of the accuracy: that of the choice of images."""
        return float(np.sqrt(self.accuracy * (1 - self.accuracy) / len(self.labels)))

    @property
    def factor(self) -> float:
        """The factor from scores to logits that makes the labels likeliest, 1 to 100."""

        def loss(exponent: float) -> float:
            logits = log_softmax(10**exponent * self.scores, 2)
            return -float(logits[:, np.arange(len(self.labels)), self.labels].mean())

        return float(10 ** minimize_scalar(loss, bounds=(0, 2), method="bounded").x)

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each class, the mean of the repeats, (n, classes)."""
        return softmax(self.factor * self.scores, 2).mean(0)


def mean_and_scale(
    embeddings: np.ndarray, widths: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each column and the scale to divide it by, (d,) float64.

    The scale is the deviation times the root of d, so that one grid of penalties suits
    embeddings of any width.

    Args:
        embeddings: (n, d).
        widths: Numbers of columns of the cuts that stand side by side, each of which
            gets the same weight; empty for one cut.
    """
    counts = np.array(widths or embeddings.shape[1:])
    deviation = embeddings.std(0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)
    scale *= np.sqrt(np.repeat(counts, counts) * len(counts))
    return embeddings.mean(0, dtype=np.float64), scale


class RidgeProblem:
    """Embeddings and their classes, decomposed once for all penalties and all folds.

    The targets are 1 for the image's class and -1 for the others. Ridge regression is a
    linear smoother, so its residuals on left-out images follow from those of the fit to
    all images and from the matrix M that makes them, targets - fit = M targets: without
    the images B they are the solution x of M[B, B] x = (M targets)[B].
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray, classes: int):
        """Decomposes the matrix.

        Args:
            embeddings: (n, d), divided by the scales of `mean_and_scale`.
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
        self._targets = np.where(np.eye(classes)[labels] > 0, 1.0, -1.0)
        self._offset = self._targets.mean(0)
        self._projected = self._left.T @ (self._targets - self._offset)

    def penalty(self) -> float:
        """The penalty with the least squared error on images left out one by one."""
        errors = []
        for penalty in PENALTIES:
            shrunk = self._energies / (self._energies + penalty)
            own = 1 - 1 / len(self._left) - self._left**2 @ shrunk
            fitted = self._offset + self._left @ (shrunk[:, None] * self._projected)
            errors.append(np.square((self._targets - fitted).T / own).sum())
        return float(PENALTIES[np.argmin(errors)])

    def cross_validate(self, seed: int = 0) -> Probe:
        """Scores of every image in `REPEATS` times `FOLDS` stratified folds.

        Each fold has the penalty with the least squared error on its training images,
        left out one by one.

        Args:
            seed: Random seed of the folds.
        """
        rng = np.random.default_rng(seed)
        folds = [(i, *fold) for i in range(REPEATS) for fold in split(self._labels, rng)]
        best = np.full(len(folds), np.inf)
        scores = np.zeros((REPEATS, *self._targets.shape))
        for penalty in PENALTIES:
            maker = self._residual_maker(penalty)
            residuals = maker @ self._targets
            for i, (repeat, rest, out) in enumerate(folds):
                across = maker[np.ix_(out, rest)]
                sides = np.concatenate([residuals[out], across], 1)
                solved = np.linalg.solve(maker[np.ix_(out, out)], sides)
                left_out, spread = np.split(solved, [residuals.shape[1]], 1)
                # Without the fold, and without each of the other images in turn.
                own = maker.diagonal()[rest] - (across * spread).sum(0)
                others = residuals[rest] - across.T @ left_out
                # A single training image, which nothing predicts, has neither.
                error = np.square(others / own.clip(1e-12)[:, None]).mean()
                if error < best[i]:
                    best[i] = error
                    scores[repeat, out] = self._targets[out] - left_out
        return Probe(scores, self._labels, len(self._mean))

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (d, classes) and offsets (classes,) of the ridge regression itself."""
        dual = self._left @ (self._projected / (self._energies + penalty)[:, None])
        weights = self._centred.T @ dual
        return weights, self._offset - self._mean @ weights

    def _residual_maker(self, penalty: float) -> np.ndarray:
        """The matrix from targets to residuals of the fit to all images, (n, n)."""
        shrunk = self._left * (self._energies / (self._energies + penalty))
        return np.eye(len(shrunk)) - 1 / len(shrunk) - shrunk @ self._left.T


def split(
    labels: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The training rows and the left-out rows of each fold, stratified by class."""
    rows = rng.permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    parts = [np.sort(rows[fold::FOLDS]) for fold in range(FOLDS)]
    return [(np.setdiff1d(rows, part), part) for part in parts if len(part)]


def probe(
    embeddings: np.ndarray, labels: np.ndarray, widths: Sequence[int] = (), seed: int = 0
) -> Probe:
    """The cross-validated probe of (n, d) embeddings; `widths` as in `mean_and_scale`."""
    mean, scale = mean_and_scale(embeddings, widths)
    standardized = (embeddings - mean) / scale
    return RidgeProblem(standardized, labels, labels.max() + 1).cross_validate(seed)


def ridge_init(
    layer: keras.layers.Dense,
    embeddings: np.ndarray,
    labels: np.ndarray,
    widths: Sequence[int] = (),
    seed: int = 0,
) -> float:
    """Sets a classifier's weights to the closed-form ridge regression.

    The regression's outputs are about -1 to 1. The logits are these outputs times the
    factor that maximizes the likelihood of the left-out images.

    Args:
        layer: Dense layer of the classifier, with one unit per class.
        embeddings: (n, d) inputs of the layer.
        labels: (n,) class numbers.
        widths: As in `mean_and_scale`.
        seed: Random seed of the folds.

    Returns:
        The accuracy of the cross-validated probe.
    """
    mean, scale = mean_and_scale(embeddings, widths)
    problem = RidgeProblem((embeddings - mean) / scale, labels, layer.units)
    probed = problem.cross_validate(seed)
    weights, offsets = problem.solve(problem.penalty())
    factor = probed.factor
    kernel = factor * weights / scale[:, None]
    layer.set_weights([kernel, factor * offsets - mean @ kernel])
    return probed.accuracy
