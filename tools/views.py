"""Test-time augmentation: predictions averaged over several views of a digit.

    CNNZOO_DATA=folder python tools/views.py

The package's three networks predict each of the 5,000 validation digits unchanged,
shifted and rotated, and the probabilities are averaged. The results go into
`tools/trainings.json`. The test split is not opened.
"""

import json

import numpy as np
from make_weights import LIST, VALIDATION_IMAGES
from scipy.ndimage import rotate

import cnnzoo
from cnnzoo.ensemble import Ensemble
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.inference import probabilities
from cnnzoo.system import files

SHIFTS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # pixels down and to the right
ROTATIONS = (-8, 8)  # degrees


def make_views(digits: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Views of (n, 28, 28, 1) digits, by the name of their transformation."""
    pixels = digits.astype("float32")
    # The border of a digit is empty, so no ink is rolled to the other side.
    shifted = [np.roll(pixels, shift, (1, 2)) for shift in SHIFTS]
    rotated = [
        rotate(pixels, degrees, (2, 1), reshape=False, order=1) for degrees in ROTATIONS
    ]
    return {
        "unchanged": [pixels],
        "shifted by one pixel in four directions": shifted,
        "rotated by 8 degrees in both directions": rotated,
    }


def main() -> None:
    _, validation = cnnzoo.load_mnist("train").split(VALIDATION_IMAGES, 0)
    labels = np.asarray(validation.labels)
    models = dict(
        zip(PRETRAINED["mnist"], Ensemble.pretrained("mnist").models, strict=True)
    )
    predictions = {
        kind: {
            name: np.mean([probabilities(model, view) for view in views], 0)
            for name, model in models.items()
        }
        for kind, views in make_views(validation.images).items()
    }
    counts = {
        kind: len(views) for kind, views in make_views(validation.images[:1]).items()
    }
    unchanged, shifted, rotated = predictions
    rows = []
    for kinds in (
        (unchanged,),
        (unchanged, shifted),
        (unchanged, rotated),
        (unchanged, shifted, rotated),
    ):
        total = sum(counts[kind] for kind in kinds)
        members = {
            name: sum(counts[kind] * predictions[kind][name] for kind in kinds) / total
            for name in models
        }
        averages = {**members, "ensemble": np.mean(list(members.values()), 0)}
        errors = {n: int((p.argmax(1) != labels).sum()) for n, p in averages.items()}
        rows.append({"views": ", ".join(kinds), "count": total, "errors": errors})
    records = json.loads(LIST.read_text())
    files.write_json(LIST, {**records, "views": {"images": len(labels), "rows": rows}})


if __name__ == "__main__":
    main()
