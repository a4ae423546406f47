"""Augmentation of a batch of images, as in `cnnzoo train --augment`."""

import numpy as np

from benchmarks.task import Task, Work, versions


def batches(work: Work) -> Task:
    """One interpolation per image, for rotation, shift, shear and zoom together."""
    from cnnzoo.data.augment import Augment
    from cnnzoo.data.transforms import apply_augment

    augment = Augment(
        rotation_range=15,
        width_shift_range=0.1,
        height_shift_range=0.1,
        shear_range=8,
        zoom_range=0.12,
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (work.batch, *work.shape), "uint8")

    def run() -> None:
        for batch in range(work.steps):
            apply_augment(images, augment, seed=0, epoch=0, batch=batch)

    return Task(run, {"precision": "float32", "versions": versions("numpy", "cnnzoo")})
