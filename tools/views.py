"""The gain of averaging predictions of several views of a digit.

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

MOVED = ((-1, 0), (1, 0), (0, -1), (0, 1))  # pixels down and to the right
TURNED = (-8, 8)  # degrees


def make_views(digits: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Views of (n, 28, 28, 1) digits, by the name of the change."""
    pixels = digits.astype("float32")
    moved = [np.roll(pixels, by, (1, 2)) for by in MOVED]  # the border is empty
    turned = [
        rotate(pixels, degrees, (2, 1), reshape=False, order=1) for degrees in TURNED
    ]
    return {
        "as they are": [pixels],
        "and moved by a pixel to four sides": moved,
        "and turned by 8 degrees to both": turned,
    }


def main() -> None:
    _, validation = cnnzoo.load_mnist("train").split(VALIDATION_IMAGES, 0)
    labels = np.asarray(validation.labels)
    models = dict(
        zip(PRETRAINED["mnist"], Ensemble.pretrained("mnist").models, strict=True)
    )
    predictions = {
        way: {
            name: np.mean([probabilities(model, view) for view in views], 0)
            for name, model in models.items()
        }
        for way, views in make_views(validation.images).items()
    }
    counts = {way: len(views) for way, views in make_views(validation.images[:1]).items()}
    way_alone, moved, turned = predictions
    rows = []
    for ways in (
        (way_alone,),
        (way_alone, moved),
        (way_alone, turned),
        tuple(predictions),
    ):
        total = sum(counts[way] for way in ways)
        mean = {
            name: sum(counts[way] * predictions[way][name] for way in ways) / total
            for name in models
        }
        together = {**mean, "together": np.mean(list(mean.values()), 0)}
        errors = {n: int((a.argmax(1) != labels).sum()) for n, a in together.items()}
        rows.append({"views": ", ".join(ways), "count": total, "errors": errors})
    known = json.loads(LIST.read_text())
    files.write_json(LIST, {**known, "views": {"images": len(labels), "rows": rows}})


if __name__ == "__main__":
    main()
