"""Novelty: whether an image shows none of the classes.

An image is novel if its embedding is far from the nearest embeddings of the training
images (Sun et al. 2022, https://arxiv.org/abs/2204.06507). The threshold is measured on
the validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from cnnzoo.weights.tensors import digest

FILE = "novelty.safetensors"
FORMAT = "1"  # format number of the file
MOST = 2000  # training images to keep
NEIGHBOURS = 5
PASSED = 0.95  # share of the validation images that are not novel
MAX_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Novelty:
    """Embeddings of training images, and the distance beyond which an image is novel.

    Attributes:
        embeddings: (n, d) rows of length 1: inputs of the classifier.
        threshold: Distance beyond which an image is novel, 0 to 2.
        classifier: SHA-256 of the classifier's weights, which identifies the network.
    """

    embeddings: np.ndarray
    threshold: float
    classifier: str

    def distances(self, model: keras.Model, source: AnyImages) -> np.ndarray:
        """The (n,) mean distances to the nearest training images, 0 to 2."""
        return _distances(self.embeddings, _embed(model, source))

    def save(self, folder: Path) -> Path:
        """Writes `novelty.safetensors` into a folder, atomically; returns its path."""
        metadata = {
            "format": FORMAT,
            "threshold": repr(self.threshold),
            "classifier": self.classifier,
        }
        arrays = {"embeddings": self.embeddings.astype(np.float16)}
        content = safetensors.numpy.save(arrays, metadata=metadata)
        return files.write_bytes(folder / FILE, content)


def measure(
    model: keras.Model, train: Source, validation: Source, seed: int = 0
) -> Novelty:
    """Measures the distances of the validation images to the training images.

    Args:
        model: Trained classifier.
        train: Training images.
        validation: Validation images.
        seed: Random seed of the choice of images if there are many.
    """
    embeddings, others = (
        _embed(model, part.take(some_rows(len(part), MOST, seed)))
        for part in (train, validation)
    )
    threshold = float(np.quantile(_distances(embeddings, others), PASSED))
    return Novelty(embeddings, threshold, _classifier(model))


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
            embeddings = file.get_tensor("embeddings").astype(np.float32)
            metadata = file.metadata()
        if metadata["format"] != FORMAT or embeddings.ndim != 2:
            raise ValueError("another format")
        if not np.isfinite(embeddings).all():
            raise ValueError("not finite")
        found = Novelty(embeddings, float(metadata["threshold"]), metadata["classifier"])
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


def _distances(embeddings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The mean distances of the others to their nearest embeddings, (n,)."""
    nearest = min(NEIGHBOURS, len(embeddings))
    similar = np.sort(others @ embeddings.T, 1)[:, -nearest:]
    return np.sqrt(np.maximum(0.0, 2 - 2 * similar)).mean(1)
