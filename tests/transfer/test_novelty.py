"""Images of none of the classes, on stored features of ImageNet's Xception."""

import numpy as np
import pytest

from cnnzoo.transfer import novelty

FEATURES = "xception_imagenet_features_hymenoptera_150.npz"


def unit(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def test_training_images_are_compared_with_others():
    """One image of another kind among 30 does not widen the deviations that it has."""
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    embeddings = rng.normal(0, 0.1, (30, 40)) + np.eye(2, 40)[labels]
    embeddings[7] = np.eye(40)[39]
    embeddings = unit(embeddings)
    found, (distances, others) = novelty.from_embeddings([embeddings] * 2, labels)
    assert distances.argmax() == 7
    assert distances[7] > 2 * others[7]
    assert distances[7] > 2 * np.delete(distances, 7).max()
    assert found.threshold == pytest.approx(np.quantile(others, 0.95))
    alone, _ = novelty.from_embeddings([embeddings], labels)
    assert alone.threshold == pytest.approx(np.quantile(distances, 0.95))


def test_deviations_count():
    """An equal step is novel where the images of the classes hardly differ."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    embeddings = rng.normal(size=(200, 20)) * np.repeat([0.1, 0.02], 10)
    embeddings[:, 0] += 3 * labels
    embeddings[:, 1] += 3 * (1 - labels)
    embeddings = unit(embeddings)
    halves = np.split(embeddings, 2)
    found, _ = novelty.from_embeddings(halves, labels[:100])
    shares = []
    for column in (5, 15):
        moved = unit(embeddings[100:] + 0.06 * np.eye(20)[column])
        shares.append(np.mean(found.to_means(moved).min(1) > found.threshold))
    assert shares[0] < 0.4
    assert shares[1] > 0.8


def test_ants_and_bees(data_folder):
    """About one photograph in twenty is lost; what shows neither is refused."""
    path = data_folder / FEATURES
    if not path.exists():
        pytest.skip(f"{path.name} is not in the folder that CNNZOO_DATA names")
    with np.load(path) as stored:
        labels = stored["y1"]
        embeddings = unit(stored["stage4_sepconv2_act_0_t"].astype("float32"))
    lost, refused = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        train, validation, test = np.split(rng.permutation(243), [146, 195])
        parts = [embeddings[train], embeddings[validation]]
        found, _ = novelty.from_embeddings(parts, labels[train])
        # The same numbers at other places of the vector.
        shuffled = rng.permuted(embeddings[test], axis=1)
        for shares, images in ((lost, embeddings[test]), (refused, shuffled)):
            shares.append(np.mean(found.to_means(images).min(1) > found.threshold))
    assert 0.01 <= np.mean(lost) <= 0.09
    assert np.mean(refused) > 0.98
