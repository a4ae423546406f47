"""Closed-form probes, compared with explicit refits by scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from cnnzoo.transfer.features import probes
from cnnzoo.transfer.features.probes import FOLDS, PENALTIES, REPEATS, RidgeProblem


def problem(count: int = 41, width: int = 12, classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    embeddings = rng.normal(size=(count, width)) + np.eye(classes, width)[labels]
    mean, scale = probes.mean_and_scale(embeddings)
    return (embeddings - mean) / scale, labels


@pytest.mark.parametrize("width", [5, 60], ids=["narrow", "wider than images"])
def test_scores_are_those_of_refits(width: int):
    """Each fold's, and the penalty chosen by leaving out its training images in turn."""
    embeddings, labels = problem(width=width)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    found = RidgeProblem(embeddings, labels, 3).cross_validate(seed=4)
    folds = probes.split(labels, np.random.default_rng(4))
    assert sorted(np.concatenate([out for _, out in folds])) == list(range(41))
    counts = np.array([np.bincount(labels[out], minlength=3) for _, out in folds])
    assert len(folds) == FOLDS
    assert (np.ptp(counts, 0) <= 1).all()
    for rest, out in folds:
        fit = RidgeCV(PENALTIES).fit(embeddings[rest], targets[rest])
        expected = fit.predict(embeddings[out])
        np.testing.assert_allclose(found.scores[0, out], expected, atol=1e-9)
    assert len(found.accuracies) == REPEATS
    assert found.accuracy == pytest.approx(found.accuracies.mean())
    assert np.ptp(found.scores, 0).max() > 0.01  # each repeat has folds of its own


@pytest.mark.parametrize("width", [5, 60])
def test_the_solution_is_the_ridge_regression(width: int):
    embeddings, labels = problem(width=width)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    solved = RidgeProblem(embeddings, labels, 3)
    fit = RidgeCV(PENALTIES).fit(embeddings, targets)
    assert solved.penalty() == fit.alpha_
    weights, offsets = solved.solve(fit.alpha_)
    expected = fit.predict(embeddings)
    np.testing.assert_allclose(embeddings @ weights + offsets, expected, atol=1e-10)


def test_cuts_side_by_side_have_the_same_weight():
    """Whatever their widths: a column of the narrow cut counts for many of the wide."""
    values = np.random.default_rng(0).normal(3, 2, (50, 5))
    _, scale = probes.mean_and_scale(values, [1, 4])
    energies = (values / scale).var(0)
    assert energies[0] == pytest.approx(energies[1:].sum())
    assert energies.sum() == pytest.approx(1)


def test_constant_embeddings_and_a_class_of_two():
    embeddings, labels = problem()
    embeddings[:, 3], labels = 7, np.where(np.arange(41) < 2, 3, labels)
    found = probes.probe(embeddings, labels)
    assert np.isfinite(found.scores).all()
    assert found.accuracy > 0.3
