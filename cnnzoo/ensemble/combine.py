"""Ways to make one probability of several members'.

Answers are (members, images, classes); what they become is (images, classes).
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from cnnzoo.errors import UsageError

METHODS = ("mean", "vote", "weighted", "stack")
LEAST = 1e-7  # a probability of which a logarithm is taken, at least
TIES = 0.5  # of a vote: what the mean of the probabilities counts beside the votes


def checked(weights: Sequence[float], members: int) -> np.ndarray:
    """The weights, made to add up to 1.

    Raises:
        UsageError: they are no weights of so many members.
    """
    try:
        found = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (members,) or not (np.isfinite(found).all() and found.min() >= 0):
        raise UsageError(
            f"the weights of {members} members must be {members} numbers of at least 0; "
            f"got {weights}"
        )
    if found.sum() == 0:
        raise UsageError("the weights of an ensemble are all 0; give one that is more")
    return found / found.sum()


def votes(answers: np.ndarray) -> np.ndarray:
    """The shares of the votes; the mean decides between classes with as many."""
    members, _, classes = answers.shape
    votes = np.eye(classes)[answers.argmax(2)].sum(0)
    return (votes + TIES * answers.mean(0)) / (members + TIES)


def fitted_weights(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights of at least 0 that give the labels the largest likelihood."""
    members = len(answers)
    of_label = answers[:, np.arange(len(labels)), labels].astype(np.float64)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total = np.maximum(weights @ of_label, LEAST)
        return -np.log(total).mean(), -(of_label / total).mean(1)

    found = minimize(
        loss,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    return np.maximum(found.x, 0) / np.maximum(found.x, 0).sum()


def fitted_stack(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Coefficients and offsets of a logistic regression on log-probabilities."""
    classes = answers.shape[2]
    if len(np.unique(labels)) < 2:
        raise UsageError(
            "a stack is fitted on images of at least two classes; found one, so give more"
        )
    model = LogisticRegression(max_iter=1000).fit(_inputs(answers)[:, :-1], labels)
    weights = np.zeros((answers.shape[0] * classes + 1, classes))
    weights[-1] = np.log(LEAST)  # of classes that the labels do not have
    if len(model.classes_) == 2:
        weights[:, model.classes_[0]] = 0
        weights[:, model.classes_[1]] = [*model.coef_[0], *model.intercept_]
    else:
        weights[:, model.classes_] = np.vstack([model.coef_.T, model.intercept_])
    return weights


def stacked(answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    logits = _inputs(answers) @ weights
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _inputs(answers: np.ndarray) -> np.ndarray:
    """(images, members * classes + 1): logarithms, and a 1 for the offset."""
    members, images, classes = answers.shape
    logs = np.log(np.maximum(answers, LEAST)).transpose(1, 0, 2)
    return np.hstack([logs.reshape(images, members * classes), np.ones((images, 1))])
