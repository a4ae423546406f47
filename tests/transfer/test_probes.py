"""Closed-form probes, held against doing it the long way."""

import numpy as np
import pytest
from scipy.linalg import helmert
from scipy.stats import binomtest, multivariate_normal
from sklearn.linear_model import Ridge as Sklearn
from sklearn.neighbors import KNeighborsClassifier

from cnnzoo.transfer import probes


def problem(count: int = 40, width: int = 12, classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    codes = rng.normal(size=(count, width)) + np.eye(classes, width)[labels]
    return codes, labels


@pytest.mark.parametrize("width", [5, 60], ids=["narrow", "wider than images"])
def test_leave_one_out_is_exact(width: int):
    """Every image left out in turn, and the rest fitted anew."""
    codes, labels = problem(width=width)
    codes = probes.standardised(codes)
    found = probes.Problem(codes, labels).leave_one_out()
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    best = 0.0
    for penalty in probes.LAMBDAS:
        answers, scores = [], []
        for row in range(len(labels)):
            rest = np.arange(len(labels)) != row
            fit = Sklearn(alpha=penalty).fit(codes[rest], targets[rest])
            scores.append(fit.predict(codes[row : row + 1])[0])
            answers.append(int(np.argmax(scores[-1])))
        accuracy = float(np.mean(np.array(answers) == labels))
        if accuracy >= best:
            best, expected, kept = accuracy, answers, penalty
    assert found.accuracy == pytest.approx(best, abs=1e-10)
    assert found.penalty == kept
    np.testing.assert_array_equal(found.answers, expected)


@pytest.mark.parametrize("penalty", [0.7, probes.LAMBDAS[0]])
def test_the_residuals_are_those_of_refits(penalty: float):
    codes, labels = problem(width=60)
    codes = probes.standardised(codes)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    found = probes.Problem(codes, labels).leave_one_out([penalty]).scores
    for row in range(len(labels)):
        rest = np.arange(len(labels)) != row
        fit = Sklearn(alpha=penalty, tol=1e-12).fit(codes[rest], targets[rest])
        np.testing.assert_allclose(
            found[row], fit.predict(codes[row : row + 1])[0], atol=1e-10
        )


def test_the_solution_is_the_ridge_regression():
    codes, labels = problem()
    weights, offsets = probes.Problem(codes, labels).solved(3, 2.5)
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    fit = Sklearn(alpha=2.5).fit(codes, targets)
    np.testing.assert_allclose(codes @ weights + offsets, fit.predict(codes), atol=1e-10)


@pytest.mark.parametrize("width", [5, 60], ids=["narrow", "wider than images"])
def test_the_evidence_is_that_of_the_whole_covariance(width: int):
    """LogME the long way: Gaussians of n - 1 dimensions, one for each penalty."""
    codes, labels = problem(width=width)
    codes = probes.standardised(codes)
    contrasts = helmert(len(labels))  # an orthonormal basis of what has the mean 0
    inside, targets = contrasts @ codes, contrasts @ np.eye(3)[labels]
    size, best = len(targets), np.full(3, -np.inf)
    for penalty in np.logspace(-3, 6, 400):
        shape = np.eye(size) + inside @ inside.T / penalty
        noise = (targets * np.linalg.solve(shape, targets)).sum(0) / size
        every = [
            multivariate_normal(cov=scale * shape).logpdf(target)
            for scale, target in zip(noise, targets.T, strict=True)
        ]
        best = np.maximum(best, every)
    assert probes.Problem(codes, labels).log_evidence() == pytest.approx(
        np.mean(best) / size, abs=1e-5
    )


def test_the_evidence_of_noise_does_not_grow_with_its_width():
    rng, labels = np.random.default_rng(0), np.arange(200) % 8
    narrow, wide = (
        probes.Problem(
            probes.standardised(rng.normal(size=(200, width))), labels
        ).log_evidence()
        for width in (64, 4096)
    )
    assert narrow == pytest.approx(wide, abs=0.01)


def test_neighbours_are_those_of_scikit_learn():
    codes, labels = problem(count=90, classes=2)
    found = probes.nearest(codes, labels)
    expected = []
    for row in range(len(labels)):
        rest = np.arange(len(labels)) != row
        fit = KNeighborsClassifier(5, metric="cosine").fit(codes[rest], labels[rest])
        expected.append(fit.predict(codes[row : row + 1])[0])
    np.testing.assert_array_equal(found, expected)


def test_mcnemar_and_holm():
    one = np.array([True] * 9 + [False] * 11)
    other = np.array([False] * 8 + [True] * 2 + [False] * 10)
    assert probes.mcnemar(one, other) == pytest.approx(binomtest(8, 9).pvalue)
    assert probes.mcnemar(one, one) == 1
    assert probes.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert probes.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_codes_of_one_value_do_no_harm():
    codes, labels = problem()
    codes[:, 3] = 7
    assert np.isfinite(probes.standardised(codes)).all()
    found = probes.Problem(probes.standardised(codes), labels).leave_one_out()
    assert found.accuracy > 0.3
