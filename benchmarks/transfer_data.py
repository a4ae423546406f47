"""The data of the transfer benchmark: a copy of CIFAR-10, MNIST, generated gratings."""

from __future__ import annotations

import os
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cnnzoo.data.arrays import Images
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.mnist import load_mnist
from cnnzoo.data.pipeline import load_images
from examples.four_cases import gratings

SIDE = 32
# Classes of a source network; the other five are those of its targets.
SOURCE_CLASSES = ("airplane", "automobile", "cat", "horse", "ship")


def folder() -> Path:
    return Path(os.environ["CNNZOO_DATA"])


@cache
def cifar() -> Images:
    """The 50,000 training images of CIFAR-10, from a copy in JPEG files."""
    with tempfile.TemporaryDirectory() as temporary:
        with zipfile.ZipFile(folder() / "cifar10_train.zip") as archive:
            archive.extractall(temporary)
        root = next(p.parent for p in Path(temporary).rglob("airplane") if p.is_dir())
        return load_images(scan(root, depth="names"), (SIDE, SIDE, 3))


@cache
def digits() -> Images:
    """The 60,000 training digits of MNIST, as RGB images of 32x32 pixels."""
    return colour(load_mnist("train", folder() / "mnist.npz"))


def colour(images: Images) -> Images:
    """Grey images of any size as RGB images of 32x32 pixels."""
    return load_images(images, (SIDE, SIDE, 3))


def faint(count: int, seed: int) -> Images:
    """Gratings with much noise, since clear ones are easy to classify at any cut."""
    return gratings(count, seed, contrast=(15, 50), noise=60)


@dataclass(frozen=True)
class Target:
    """One of the four rows: a data set for a source network.

    Attributes:
        case: Intended case, 1 to 4, fixed beforehand.
        source: Name of the source network.
        images: Number of training and validation images.
        quick_images: The same for a quick run.
        test_images: Number of test images.
        validation: Share of `images` for validation.
    """

    case: int
    source: str
    images: int
    quick_images: int
    test_images: int
    validation: float = 0.2

    def draw(self, seed: int, *, quick: bool) -> tuple[Images, Images]:
        """Training and validation images together, by the seed, and the test images."""
        count = self.quick_images if quick else self.images
        if self.case == 3:
            return colour(faint(count, seed + 1)), colour(faint(self.test_images, 0))
        whole = cifar()
        if self.source == "cifar":
            whole = whole.only([n for n in whole.class_names if n not in SOURCE_CLASSES])
        rest, test = whole.split(self.test_images, seed=12345)
        if count >= len(rest):
            return rest, test
        return rest.split(count, seed=seed)[1], test


TARGETS = {
    "few photos of other objects": Target(1, "cifar", 500, 500, 5000),
    # Nine tenths of them are 20,250 training images, which is large.
    "many photos of other objects": Target(
        2, "cifar", 22_500, 8_000, 2500, validation=0.1
    ),
    "few faint gratings": Target(3, "cifar", 240, 240, 4000),
    "many photos, digits as source": Target(4, "digits", 40_000, 8_000, 10_000),
}
