"""Whether a network knows what an image shows, by how near it is to what it learnt.

The distance of a classifier's input to the nearest ones of the training images, as in
Sun et al. 2022, https://arxiv.org/abs/2204.06507; how far is too far is measured on
images that were held out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from cnnzoo.data.arrays import Source
from cnnzoo.data.splits import some_rows
from cnnzoo.errors import WeightFileError
from cnnzoo.inference import Files, probabilities
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.system import files
from cnnzoo.transfer.cut_points import embedding_model
from cnnzoo.weights.tensors import digest

FILE = "known.safetensors"
MOST = 2000  # training images that are kept
NEIGHBOURS = 5
PASSED = 0.95  # of what is held out, which counts as known
MAX_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Known:
    """What a network learnt from, as its classifier sees it.

    Attributes:
        codes: (n, d) of length 1.
        threshold: the distance beyond which an image is none of these, 0 to 2.
        classifier: the SHA-256 of the classifier's weights, by which the network is
            known.
    """

    codes: np.ndarray
    threshold: float
    classifier: str

    def distances(self, model: keras.Model, source: Source | Files) -> np.ndarray:
        """(n,) each image's distance to the nearest that were learnt, 0 to 2."""
        return _distances(self.codes, _codes(model, source))

    def save(self, folder: Path) -> Path:
        """Writes `known.safetensors` into a folder, atomically; returns its path."""
        arrays = {"codes": self.codes.astype(np.float16)}
        told = {
            "threshold": json.dumps(self.threshold),
            "classifier": self.classifier,
        }
        return files.write_bytes(
            folder / FILE, safetensors.numpy.save(arrays, metadata=told)
        )


def measured(
    model: keras.Model, train: Source, validation: Source, seed: int = 0
) -> Known:
    """What a network learnt from, and how near to that what is held out lies.

    Args:
        model: trained on `train`.
        seed: of which images are kept where there are many.
    """
    codes, held_out = (
        _codes(model, part.take(some_rows(len(part), MOST, seed)))
        for part in (train, validation)
    )
    threshold = float(np.quantile(_distances(codes, held_out), PASSED))
    return Known(codes, threshold, _classifier(model))


def load(folder: Path, model: keras.Model) -> Known | None:
    """What `save` wrote of this network; None where there is nothing.

    Raises:
        WeightFileError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("larger than any")
        with safetensors.safe_open(path, framework="numpy") as file:
            codes = file.get_tensor("codes").astype(np.float32)
            told = file.metadata()
        threshold, classifier = float(json.loads(told["threshold"])), told["classifier"]
        if codes.ndim != 2 or not np.isfinite(codes).all():
            raise ValueError("no codes")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise WeightFileError(
            f"{path} does not tell what the network knows, since it is cut or altered "
            f"({str(error)[:200]}); remove it, and nobody asks for it"
        ) from error
    known = Known(codes, threshold, classifier)
    return known if classifier == _classifier(model) else None


def _classifier(model: keras.Model) -> str:
    return digest(
        w for layer in model.layers if layer.name == PREDICTIONS for w in layer.weights
    )


def _codes(model: keras.Model, source: Source | Files) -> np.ndarray:
    """(n, d) of length 1: what the classifier sees."""
    front = embedding_model(model)
    front.cnnzoo = model.cnnzoo  # which takes images in the same way
    seen = probabilities(front, source)
    lengths = np.linalg.norm(seen, axis=1, keepdims=True)
    return seen / np.where(lengths > 0, lengths, 1.0)


def _distances(codes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(n,) mean distance to the nearest codes."""
    nearest = min(NEIGHBOURS, len(codes))
    similar = np.sort(asked @ codes.T, 1)[:, -nearest:]
    return np.sqrt(np.maximum(0.0, 2 - 2 * similar)).mean(1)
