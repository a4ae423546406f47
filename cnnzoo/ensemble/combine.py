"""Methods that combine the probabilities of several members.

They take (members, images, classes) and return (images, classes).
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from cnnzoo.errors import UsageError

METHODS = ("mean", "vote", "weighted", "stack")
MIN_PROBABILITY = 1e-7  # lower ones are raised to it before a logarithm
TIE_BREAK = 0.5  # weight of the mean probability beside the votes


def normalize_weights(weights: Sequence[float], members: int) -> np.ndarray:
    """The weights, scaled to a sum of 1.

    Raises:
        UsageError: They are not one weight per member, or cannot be weights.
    """
    try:
        values = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape != (members,) or not (
        np.isfinite(values).all() and values.min() >= 0
    ):
        raise UsageError(
            f"the weights of {members} members must be {members} numbers of at least 0, "
            f"found {weights}; pass one per member"
        )
    if values.sum() == 0:
        raise UsageError("the weights of an ensemble are all 0; pass one that is larger")
    return values / values.sum()


def combine_probabilities(
    method: str, probabilities: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """The probabilities combined by one of `METHODS`, with its weights.

    Raises:
        UsageError: The method needs weights, and there are none.
    """
    if method == "mean":
        return probabilities.mean(0)
    if method == "vote":
        return vote(probabilities)
    if weights is None:
        raise UsageError(
            f"an ensemble by {method!r} has no weights yet; call fit with labelled "
            "images that no member was trained on"
        )
    if method == "weighted":
        return np.tensordot(weights, probabilities, 1)
    return apply_stack(probabilities, weights)


def vote(probabilities: np.ndarray) -> np.ndarray:
    """The share of votes per class; the mean decides between classes with equal votes."""
    members, _, classes = probabilities.shape
    votes = np.eye(classes)[probabilities.argmax(2)].sum(0)
    return (votes + TIE_BREAK * probabilities.mean(0)) / (members + TIE_BREAK)


def fit_weights(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The non-negative weights that maximize the likelihood of the labels."""
    members = len(probabilities)
    of_label = probabilities[:, np.arange(len(labels)), labels].astype(np.float64)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total = np.maximum(weights @ of_label, MIN_PROBABILITY)
        return -np.log(total).mean(), -(of_label / total).mean(1)

    result = minimize(
        loss,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    return np.maximum(result.x, 0) / np.maximum(result.x, 0).sum()


def fit_stack(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Coefficients and, in the last row, intercepts of a logistic regression on the
    logarithms of the probabilities."""
    members, _, classes = probabilities.shape
    if len(np.unique(labels)) < 2:
        raise UsageError(
            "a stack is fitted on images of at least two classes, found one; pass more"
        )
    model = LogisticRegression(max_iter=1000).fit(_logarithms(probabilities), labels)
    weights = np.zeros((members * classes + 1, classes))
    weights[-1] = np.log(MIN_PROBABILITY)  # for classes without labels
    if len(model.classes_) == 2:
        weights[:, model.classes_[0]] = 0
        weights[:, model.classes_[1]] = [*model.coef_[0], *model.intercept_]
    else:
        weights[:, model.classes_] = np.vstack([model.coef_.T, model.intercept_])
    return weights


def apply_stack(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The probabilities of the logistic regression that `fit_stack` fitted."""
    return softmax(_logarithms(probabilities) @ weights[:-1] + weights[-1], axis=1)


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    """The logarithms of the probabilities, (images, members * classes)."""
    logs = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    return logs.transpose(1, 0, 2).reshape(logs.shape[1], -1).astype(np.float64)
