"""Novelty: whether an image shows none of the classes.

An image is novel if its embedding is far from the means of all classes (Lee et al. 2018,
https://arxiv.org/abs/1807.03888). Embeddings have length 1, and each of their numbers is
divided by its deviation within the classes: with the whole covariance matrix, shrunk as
by Ledoit and Wolf, more plots pass as photographs. The threshold is measured on the
validation images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy

from cnnzoo.data.arrays import Source
from cnnzoo.data.inputs.conversion import AnyImages, as_source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import WeightFileError
from cnnzoo.inference import predict_batches
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import metadata_of
from cnnzoo.system import files
from cnnzoo.transfer.cut_points import embedding_model
from cnnzoo.transfer.features.probes import split
from cnnzoo.transfer.measurement import sample_rows
from cnnzoo.weights.tensors import digest

FILE = "novelty.safetensors"
FORMAT = "2"  # format number of the file
MOST = 2000  # images of each part to measure
SHRINKAGE = 0.3  # of the mean variance, added to each
PASSED = 0.95  # share of the validation images that are not novel
FENCE = 1.5  # interquartile ranges above the quartiles, beyond which are outliers (Tukey)
MAX_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Novelty:
    """Means of the classes, and the distance beyond which an image is novel.

    Attributes:
        means: (classes, d) mean embeddings, which have length 1 before.
        scale: (d,) deviations within the classes times the root of d, so that most
            training images have a distance of about 1.
        threshold: Distance beyond which an image is novel.
        classifier: SHA-256 of the classifier's weights, which identifies the network.
    """

    means: np.ndarray
    scale: np.ndarray
    threshold: float
    classifier: str

    def distances(self, model: keras.Model, source: AnyImages) -> np.ndarray:
        """The (n,) distances to the nearest mean of a class."""
        return self.to_means(_embed(model, source)).min(1)

    def to_means(self, embeddings: np.ndarray) -> np.ndarray:
        """The (n, classes) distances of (n, d) embeddings of length 1 to the means."""
        from sklearn.metrics.pairwise import euclidean_distances

        return euclidean_distances(embeddings / self.scale, self.means / self.scale)

    def save(self, folder: Path) -> Path:
        """Writes `novelty.safetensors` into a folder, atomically; returns its path."""
        metadata = {
            "format": FORMAT,
            "threshold": repr(self.threshold),
            "classifier": self.classifier,
        }
        arrays = {"means": self.means, "scale": self.scale}
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        content = safetensors.numpy.save(halves, metadata=metadata)
        return files.write_bytes(folder / FILE, content)


def measure(
    model: keras.Model, train: Source, validation: Source | None, seed: int = 0
) -> tuple[Novelty, list[list[dict]]]:
    """Measures the distances of images to the means of the classes.

    Args:
        model: Trained classifier.
        train: Training images, which give the means.
        validation: Validation images, which give the threshold; None for the training
            images, each compared with those of other folds.
        seed: Random seed of the choice of images if there are many.

    Returns:
        The measurement, and facts about the images that are unusually far from all
        classes, the farthest first: training images, then validation images.
    """
    parts = [train] if validation is None else [train, validation]
    labels = np.asarray(train.labels)
    chosen = [sample_rows(labels, MOST, seed)]  # with images of every class
    chosen += [some_rows(len(part), MOST, seed) for part in parts[1:]]
    embeddings = [
        _embed(model, part.take(rows)) for part, rows in zip(parts, chosen, strict=True)
    ]
    known = labels[chosen[0]]
    found, distances = from_embeddings(embeddings, known, _classifier(model))
    low, high = np.quantile(np.concatenate(distances), (0.25, 0.75))
    fence = high + FENCE * (high - low)
    found_in = zip(parts, chosen, distances, strict=True)
    return found, [_outliers(*part, fence) for part in found_in]


def from_embeddings(
    embeddings: Sequence[np.ndarray], labels: np.ndarray, classifier: str = ""
) -> tuple[Novelty, list[np.ndarray]]:
    """Measures the distances of (n, d) embeddings of length 1.

    Args:
        embeddings: Those of training images and, if there are any, of validation images.
        labels: (n,) class numbers of the training images.
        classifier: As in `Novelty`.

    Returns:
        The measurement, and the distances of each array of embeddings, the last of which
        give the threshold. A training image is compared with those of the other folds.
    """
    train, *others = embeddings
    found, nearest = _class_means(train, labels, classifier), np.empty(len(train))
    for rest, out in split(labels, np.random.default_rng(0)):
        nearest[out] = _class_means(train[rest], labels[rest]).to_means(train[out]).min(1)
    distances = [nearest, *(found.to_means(other).min(1) for other in others)]
    threshold = float(np.quantile(distances[-1], PASSED))
    return replace(found, threshold=threshold), distances


def _class_means(
    embeddings: np.ndarray, labels: np.ndarray, classifier: str = ""
) -> Novelty:
    """The measurement without a threshold."""
    _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([embeddings[own == i].mean(0) for i in range(len(counts))])
    variances = (embeddings - means[own]).var(0)
    variances += SHRINKAGE * variances.mean() or 1.0
    return Novelty(means, np.sqrt(variances * means.shape[1]), np.inf, classifier)


def load(folder: Path, model: keras.Model) -> Novelty | None:
    """Loads what `save` wrote for this network; None if there is no such file.

    Raises:
        WeightFileError: The file is damaged or has another format.
    """
    path = folder / FILE
    if not path.exists():
        return None
    bad = WeightFileError(
        f"cannot read {path}, which is damaged or of another version of cnnzoo; remove "
        "it to predict without it"
    )
    with files.refusing_damage(bad):
        if files.check_regular(path).st_size > MAX_BYTES:
            raise ValueError("too large")
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            if metadata["format"] != FORMAT:
                raise ValueError("another format")
            means, scale = (
                file.get_tensor(name).astype(np.float32) for name in ("means", "scale")
            )
        if means.ndim != 2 or scale.shape != means.shape[1:]:
            raise ValueError("other shapes")
        if not (
            np.isfinite(means).all() and np.isfinite(scale).all() and (scale > 0).all()
        ):
            raise ValueError("no means and deviations")
        found = Novelty(
            means, scale, float(metadata["threshold"]), metadata["classifier"]
        )
    return found if found.classifier == _classifier(model) else None


def _classifier(model: keras.Model) -> str:
    return digest(
        w for layer in model.layers if layer.name == PREDICTIONS for w in layer.weights
    )


def _embed(model: keras.Model, source: AnyImages) -> np.ndarray:
    """The inputs of the classifier, scaled to length 1, (n, d)."""
    metadata = metadata_of(model)
    source = as_source(source).with_geometry(metadata.geometry)
    batches = predict_batches(embedding_model(model), source, metadata.outside)
    embeddings = np.concatenate([output for (output,) in batches])
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(lengths > 0, lengths, 1.0)


def _outliers(
    source: Source, rows: np.ndarray, distances: np.ndarray, fence: float
) -> list[dict]:
    """Facts about the images at some rows that are beyond a fence, farthest first."""
    order = np.argsort(-distances, kind="stable")
    far = order[distances[order] > fence]
    labels = np.asarray(source.labels)[rows[far]]
    facts = zip(rows[far], source.names_of(rows[far]), labels, far, strict=True)
    return [
        {
            "row": int(row),
            "image": image,
            "label": source.class_names[label],
            "distance": float(distances[i]),
        }
        for row, image, label, i in facts
    ]
