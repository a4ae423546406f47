"""Mixup: a batch blended with itself in another order, images and labels alike."""

from __future__ import annotations

import numpy as np

_STREAM = 2  # of random numbers; the augmentation has the first


def mixed(
    images: np.ndarray,
    labels: np.ndarray,
    alpha: float,
    seed: int,
    epoch: int,
    batch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Blends a batch, as Zhang et al. 2018 do (https://arxiv.org/abs/1710.09412).

    One share for the whole batch is drawn from Beta(alpha, alpha), and one partner for
    each image; both follow from the last three arguments.

    Args:
        images: (b, h, w, c), integers or floats.
        labels: (b, classes) shares of 0 to 1, or (b,) probabilities of one class.
        alpha: above 0; a small one leaves most batches nearly as they are.
        seed, epoch, batch: as in `augmented`.

    Returns:
        Two float32 arrays of the same shapes.
    """
    rng = np.random.default_rng([seed, epoch, batch, _STREAM])
    share = np.float32(rng.beta(alpha, alpha))
    partners = rng.permutation(len(images))

    def blended(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        return share * values + (1 - share) * values[partners]

    return blended(images), blended(labels)
