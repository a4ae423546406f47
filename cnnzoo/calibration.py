"""Calibration: how far probabilities are from the accuracy, and a temperature for them.

Guo et al. 2017, On Calibration of Modern Neural Networks,
https://arxiv.org/abs/1706.04599.
"""

import numpy as np

from cnnzoo.system.validation import Rule, is_number

BINS = 15  # of the calibration error
LOWEST, HIGHEST = 0.05, 20.0
TEMPERATURE: Rule = (
    lambda value: is_number(value) and LOWEST <= value <= HIGHEST,
    f"a number from {LOWEST} to {HIGHEST:.0f}",
)
# Standard deviation of the prior of log(T), which is normal around 0: few images, or
# images that are all classified correctly, do not move T far from 1.
PRIOR = np.log(2)
SMALLEST = np.finfo(np.float32).tiny  # smaller probabilities are raised to it


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The expected calibration error (ECE), 0 to 1.

    It is the mean distance between the highest probability of an image and the accuracy,
    by 15 bins of equal width of this probability.

    Args:
        probabilities: (n, classes).
        labels: (n,) class numbers.
    """
    highest = probabilities.max(1).astype(np.float64).clip(0, 1)
    bins = np.ceil(BINS * highest).astype(int)
    errors = np.bincount(bins, (probabilities.argmax(1) == labels) - highest)
    return float(np.abs(errors).sum() / len(labels))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which the labels are likeliest, 0.05 to 20; above 1 it softens.

    A prior keeps it near 1 where the images say little; 1.0 without images.

    Args:
        probabilities: (n, classes) of images that the model was not trained on.
        labels: (n,) class numbers.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logs, rows = _logarithms(probabilities), np.arange(len(labels))

    def loss(exponent: float) -> float:
        likelihoods = log_softmax(logs / np.exp(exponent), 1)[rows, labels]
        return (exponent / PRIOR) ** 2 / 2 - likelihoods.sum()

    found = minimize_scalar(loss, bounds=np.log((LOWEST, HIGHEST)), method="bounded")
    return round(float(np.exp(found.x)), 4)  # so that last bits have no influence


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities p^(1/T), scaled to a sum of 1; the likeliest class stays so.

    Args:
        probabilities: (n, classes) with rows of sum 1; returned unchanged by 1.0.
        temperature: T, above 0.
    """
    from scipy.special import softmax

    if temperature == 1:
        return probabilities
    found = softmax(_logarithms(probabilities) / temperature, 1)
    found, best = found.astype(probabilities.dtype), probabilities.argmax(1)
    tied = np.flatnonzero(found.argmax(1) != best)  # by rounding
    found[tied, best[tied]] = np.nextafter(found[tied, best[tied]], found.dtype.type(1))
    return found


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64))
