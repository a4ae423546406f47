"""Closed-form probes, compared with explicit refits."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import Ridge as Sklearn

from cnnzoo.transfer import probes


def problem(count: int = 40, width: int = 12, classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    embeddings = rng.normal(size=(count, width)) + np.eye(classes, width)[labels]
    return embeddings, labels


@pytest.mark.parametrize("width", [5, 60], ids=["narrow", "wider than images"])
def test_leave_one_out_is_exact(width: int):
    """Leaves out each image in turn, and refits on the others."""
    embeddings, labels = problem(width=width)
    embeddings = probes.standardize(embeddings)
    found = probes.RidgeProblem(embeddings, labels, 3).leave_one_out()
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    best = 0.0
    for penalty in probes.PENALTIES:
        predictions, scores = [], []
        for row in range(len(labels)):
            rest = np.arange(len(labels)) != row
            fit = Sklearn(alpha=penalty).fit(embeddings[rest], targets[rest])
            scores.append(fit.predict(embeddings[row : row + 1])[0])
            predictions.append(int(np.argmax(scores[-1])))
        accuracy = float(np.mean(np.array(predictions) == labels))
        if accuracy >= best:
            best, expected, best_penalty = accuracy, predictions, penalty
    assert found.accuracy == pytest.approx(best, abs=1e-10)
    assert found.penalty == best_penalty
    np.testing.assert_array_equal(found.predictions, expected)


@pytest.mark.parametrize("penalty", [0.7, probes.PENALTIES[0]])
def test_the_residuals_are_those_of_refits(penalty: float):
    embeddings, labels = problem(width=60)
    embeddings = probes.standardize(embeddings)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    found = probes.RidgeProblem(embeddings, labels, 3).leave_one_out([penalty]).scores
    for row in range(len(labels)):
        rest = np.arange(len(labels)) != row
        fit = Sklearn(alpha=penalty, tol=1e-12).fit(embeddings[rest], targets[rest])
        np.testing.assert_allclose(
            found[row], fit.predict(embeddings[row : row + 1])[0], atol=1e-10
        )


def test_the_solution_is_the_ridge_regression():
    embeddings, labels = problem()
    weights, offsets = probes.RidgeProblem(embeddings, labels, 3).solve(2.5)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    fit = Sklearn(alpha=2.5).fit(embeddings, targets)
    expected = fit.predict(embeddings)
    np.testing.assert_allclose(embeddings @ weights + offsets, expected, atol=1e-10)


def test_mcnemar_and_holm():
    one = np.array([True] * 9 + [False] * 11)
    other = np.array([False] * 8 + [True] * 2 + [False] * 10)
    assert probes.mcnemar(one, other) == pytest.approx(binomtest(8, 9).pvalue)
    assert probes.mcnemar(one, one) == 1
    assert probes.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert probes.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_constant_embeddings():
    embeddings, labels = problem()
    embeddings[:, 3] = 7
    assert np.isfinite(probes.standardize(embeddings)).all()
    found = probes.leave_one_out(embeddings, labels)
    assert found.accuracy > 0.3
