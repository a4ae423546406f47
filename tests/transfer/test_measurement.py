"""The rule of the assessment, on stored features of ImageNet's Xception.

The 243 photographs of ants and bees are a subset of ImageNet: images as similar as any.
"""

import numpy as np
import pytest

from cnnzoo.transfer import Assessment
from cnnzoo.transfer.cut_points import Cut
from cnnzoo.transfer.features.embeddings import Pooling
from cnnzoo.transfer.measurement import decide, measure_cuts

NAMES = ("stage3_block1_add", "stage3_block9_add", "stage4_sepconv1_act")
LAST = "stage4_sepconv2_act"
FEATURES = "xception_imagenet_features_hymenoptera_150.npz"


def assess(stored, rows: np.ndarray, seed: int) -> Assessment:
    labels = stored["y1"][rows]
    places = [Cut(name, (5, 5, 8), None, None) for name in (*NAMES, LAST)]
    own: dict[tuple[str, Pooling], np.ndarray] = {}
    for cut in places:
        mean = stored[f"{cut.name}_0_t"][rows].astype("float32")
        if f"{cut.name}_1_t" in stored:  # the means of the quarters
            own[cut.name, "avg"] = mean
            mean = stored[f"{cut.name}_1_t"][rows].astype("float32")
        own[cut.name, None] = mean
    rng = np.random.default_rng(seed)
    noise = {place: rng.normal(size=(len(rows), 9)) for place in own}
    return decide(
        np.bincount(labels),
        measure_cuts(places, own, noise, labels, seed),
        probed=len(rows),
        pixels=0.6,
        network="xception",
        sides=(150, 150),
        own_sides=(299, 299),
        large_from=20_000,
    )


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.proof) for s in range(1, 12))]
)
def test_ants_and_bees_are_similar(seed: int, data_folder):
    """The last cut, in each of 12 draws; the estimate holds on the other photographs."""
    path = data_folder / FEATURES
    if not path.exists():
        pytest.skip(f"{path.name} is not in the folder that CNNZOO_DATA names")
    rows = np.sort(np.random.default_rng(seed).permutation(243)[:196])
    with np.load(path) as stored:
        found = assess(stored, rows, seed)
    assert (found.case, found.cut) == (1, LAST)
    assert found.weights_help
    assert 0.87 < found.used.accuracy < 0.93
    assert found.used.features == {"avg": 2048, None: 8192}[found.used.pooling]
    text = found.explain()
    assert "similar: the best earlier stage, stage3_block9_add, classifies" in text
    assert "takes images of 150x150 pixels, and xception was designed for 299x299" in text
