"""Caltech-101: photographs of 101 kinds of things, with few images per class.

An honest accuracy by cross-validation, a network trained on all images by the settings of
the folds, and a report with the confused classes. The usual protocol takes 15 or 30
images per class, and the mean of the accuracies of the classes, since the largest have
ten times as many images as others (Fei-Fei et al. 2004).

    python examples/caltech101.py 101_ObjectCategories/ --weights imagenet

The photographs are at https://data.caltech.edu/records/mzrjq-6wc02, in a folder per
class. The class of clutter, if there, is left out.
"""

import argparse
from pathlib import Path

import numpy as np

import cnnzoo
from cnnzoo import transfer
from cnnzoo.data.arrays import Source
from cnnzoo.evaluation import Evaluation

CLUTTER = "BACKGROUND_Google"
SEED = 0


def load_photographs(root: Path, per_class: int, classes: int | None = None) -> Source:
    """Some photographs of each class, and only of the first classes if so wanted."""
    images = cnnzoo.scan(root, depth="pixels", checksums=True, on_bad="skip")
    names = [name for name in images.class_names if name != CLUTTER][:classes]
    images = images.only(names)
    rng, labels = np.random.default_rng(SEED), np.asarray(images.labels)
    rows = [rng.permutation(np.flatnonzero(labels == k)) for k in range(len(names))]
    return images.take(np.sort(np.concatenate([row[:per_class] for row in rows])))


def confusions(found: Evaluation, most: int = 5) -> list[tuple[int, str, str]]:
    """The most frequent confusions: how often, the class, and what it was taken for."""
    names, counts = [row.name for row in found.classes], found.confusion.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, counts.shape) for place in order]
    return [(int(counts[i, j]), names[i], names[j]) for i, j in pairs if counts[i, j]]


def main(
    photos: Path,
    out: Path,
    *,
    network: str = "xception",
    weights: str | None = "imagenet",
    side: int = 128,
    per_class: int = 15,
    classes: int | None = None,
    folds: int = 5,
) -> transfer.Result:
    """Runs all steps; returns the result of the last network, with its folds.

    Args:
        photos: Folder with a folder per class.
        out: Output folder.
        network: Catalog name of the network.
        weights: Its weights: a tag or a file; None for random ones.
        side: Height and width of the images for the network, in pixels.
        per_class: Maximum number of images per class.
        classes: Number of classes; None for all.
        folds: Number of folds.
    """
    images = load_photographs(photos, per_class, classes)
    print(f"{len(images):,} photographs of {len(images.class_names)} classes")
    shape = (side, side, 3)
    model = cnnzoo.build(network, weights=weights, include_top=False, input_shape=shape)
    result = transfer.kfold(model, images, folds=folds, folder=out / "work", seed=SEED)
    print(result)
    saved = transfer.save_results(result, None, images, images, out)  # all are both
    found = saved.evaluation  # of the folds
    recalls = [row.recall for row in found.classes]
    print(f"{found.summary}; mean of the classes {100 * np.mean(recalls):.1f} %")
    for count, name, other in confusions(found):
        print(f"{count} times {name} was taken for {other}")
    for path in saved.paths:
        print(path)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with a folder per class")
    parser.add_argument("--network", default="xception")
    parser.add_argument("--weights", default="imagenet", help="a tag or a file")
    parser.add_argument("--side", type=int, default=128, help="of the images, in pixels")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--per-class", type=int, default=15)
    parser.add_argument("--classes", type=int, help="number of classes; default: all")
    parser.add_argument("--out", type=Path, default=Path("demo/caltech101"))
    main(**vars(parser.parse_args()))
