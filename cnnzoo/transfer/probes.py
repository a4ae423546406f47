"""Closed-form probes: how well codes tell classes apart, each image judged by the others.

Nothing is trained by steps, so there is no learning rate, no seed and no epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

LAMBDAS = np.logspace(-3, 6, 19)
NEIGHBOURS = 5


@dataclass(frozen=True)
class Ridge:
    """What a ridge regression on one-against-the-rest targets says of each image.

    Attributes:
        answers: (n,) classes, each from a fit to all other images.
        accuracy: the share that is right, 0 to 1.
        penalty: the one that gives the best accuracy; of equals, the
            largest.
        scores: (n, classes) what these fits say, -1 to 1 as a rule.
    """

    answers: np.ndarray
    accuracy: float
    penalty: float
    scores: np.ndarray


def standardised(codes: np.ndarray) -> np.ndarray:
    """(n, d) codes with mean 0 and deviation 1 a column, divided by the root of d.

    Then one grid of penalties serves codes of any width.
    """
    mean, scale = centre_and_scale(codes)
    return (codes - mean) / scale


def centre_and_scale(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `standardised` takes off each column, and divides it by, (d,) float64."""
    deviation = codes.std(0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(codes.shape[1])
    return codes.mean(0, dtype=np.float64), scale


class Problem:
    """Codes and their classes, decomposed once for all that is asked of them."""

    def __init__(self, codes: np.ndarray, labels: np.ndarray):
        """Args:
        codes: (n, d), standardised.
        labels: (n,) integers from 0 on.
        """
        self._labels, self._centre = labels, codes.mean(0)
        self._codes = codes - self._centre
        if codes.shape[1] > len(codes):  # the products of the rows are the smaller matrix
            energies, self._left = np.linalg.eigh(self._codes @ self._codes.T)
            self._energies = energies.clip(0)
        else:
            self._left, values, _ = np.linalg.svd(self._codes, full_matrices=False)
            self._energies = values**2

    def leave_one_out(self, penalties: Iterable[float] = LAMBDAS) -> Ridge:
        """Exact leave-one-out answers of ridge regression, for the best penalty.

        With the hat matrix's diagonal h, the residual without the image itself is
        r / (1 - h).

        Args:
            penalties: to choose from.
        """
        best: Ridge | None = None
        for penalty, without in self._left_out(penalties):
            answers = without.argmax(1)
            accuracy = float(np.mean(answers == self._labels))
            if best is None or accuracy >= best.accuracy:
                best = Ridge(answers, accuracy, penalty, without)
        assert best is not None
        return best

    def _left_out(self, penalties: Iterable[float]) -> Iterator[tuple[float, np.ndarray]]:
        """Yields each penalty with the scores of images that were left out."""
        targets = self._targets(self._labels.max() + 1)
        mean = targets.mean(0)
        projected = self._left.T @ (targets - mean)
        for penalty in penalties:
            shrunk = self._energies / (self._energies + penalty)
            leverage = 1 / len(targets) + (self._left**2 * shrunk).sum(1)
            fitted = mean + self._left @ (shrunk[:, None] * projected)
            yield float(penalty), targets - (targets - fitted) / (1 - leverage)[:, None]

    def solved(self, classes: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (d, classes) and offsets (classes,) of the ridge regression itself."""
        targets = self._targets(classes)
        mean = targets.mean(0)
        projected = self._left.T @ (targets - mean)
        dual = self._left @ (projected / (self._energies + penalty)[:, None])
        weights = self._codes.T @ dual
        return weights, mean - self._centre @ weights

    def fitted(self, penalty: float) -> float:
        """The accuracy on the very images that the ridge regression has learnt."""
        weights, offsets = self.solved(int(self._labels.max()) + 1, penalty)
        scores = (self._codes + self._centre) @ weights + offsets
        return float(np.mean(scores.argmax(1) == self._labels))

    def log_evidence(self) -> float:
        """LogME: how likely a linear model with unknown noise makes the classes.

        You et al. 2021, https://arxiv.org/abs/2102.11005, per image, for each class
        against the rest, then their mean; higher is better. Columns and targets are
        centred here, since a classifier has an offset. Of the two precisions only the
        ratio is searched for, the penalty of the ridge regression, as the best noise for
        it is known. Zeros among the eigenvalues count, which the authors' program leaves
        out where codes are wider than there are images; so the number of columns by
        itself changes nothing.
        """
        targets = np.eye(self._labels.max() + 1)[self._labels]
        targets -= targets.mean(0)
        energies, within = self._energies, (self._left.T @ targets) ** 2
        without = (targets**2).sum(0) - within.sum(0)
        count = len(targets) - 1  # of dimensions: the mean has one

        def lost(log_penalty: float, of: int) -> float:
            penalty = np.exp(log_penalty)
            misfit = without[of] + (within[:, of] * penalty / (penalty + energies)).sum()
            noise = np.log(2 * np.pi * misfit / count) + 1
            return (count * noise + np.log1p(energies / penalty).sum()) / 2

        bounds = tuple(np.log(LAMBDAS[[0, -1]]))
        found = [
            minimize_scalar(lost, bounds=bounds, args=(of,), method="bounded").fun
            for of in range(targets.shape[1])
        ]
        return -float(np.mean(found)) / count

    def _targets(self, classes: int) -> np.ndarray:
        """(n, classes), 1 for the own class and -1 for the others."""
        return np.where(np.eye(classes)[self._labels] > 0, 1.0, -1.0)


def leave_one_out(codes: np.ndarray, labels: np.ndarray) -> Ridge:
    """The ridge probe of (n, d) codes as a network gives them."""
    return Problem(standardised(codes), labels).leave_one_out()


def nearest(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) answers of the five nearest other images by the cosine; ties by nearness."""
    lengths = np.linalg.norm(codes, axis=1, keepdims=True)
    units = codes / np.where(lengths > 0, lengths, 1.0)
    near = units @ units.T
    np.fill_diagonal(near, -np.inf)
    order = np.argsort(-near, 1, kind="stable")[:, : min(NEIGHBOURS, len(labels) - 1)]
    votes = np.eye(labels.max() + 1)[labels[order]].sum(1)
    # The nearer of two classes with as many votes: a trifle for each by its first place.
    first = np.full(votes.shape, order.shape[1])
    for place in reversed(range(order.shape[1])):
        first[np.arange(len(labels)), labels[order[:, place]]] = place
    return (votes - first / (2 * NEIGHBOURS)).argmax(1)


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact p-value that two sets of right answers differ by chance alone.

    Args:
        one: (n,) whether each image was answered rightly.
        other: the same by another.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for their number: S. Holm, Scand. J. Statist. 6, 1979."""
    order = np.argsort(p_values)
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(1.0, largest)
    return corrected
