"""Images whose labels look wrong, compared with cleanlab, and planted ones."""

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from sklearn.datasets import load_digits

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.evaluation import evaluate_probabilities
from cnnzoo.transfer.features import probes


@pytest.mark.parametrize("seed", range(20))
def test_as_cleanlab(seed: int):
    rng = np.random.default_rng(seed)
    classes, images = rng.integers([2, 30], [9, 200]).tolist()
    true = rng.integers(0, classes, images)
    labels = np.where(rng.random(images) < 0.15, rng.integers(0, classes, images), true)
    logits = rng.normal(size=(images, classes)) + 2 * np.eye(classes)[true]
    exponentials = np.exp(logits).astype("float32" if seed % 2 else "float64")
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    expected = find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    assert len(expected) > 0
    assert cnnzoo.likely_label_errors(probabilities, labels).tolist() == expected.tolist()


def test_a_label_looks_wrong_only_if_another_is_likely_for_its_own_images():
    """The mean of class 0 is 0.8, so that 0.7 does not count, and 0.9 does."""
    first = np.array([0.9, 0.8, 0.7, 0.7, 0.9, 0.1, 0.1])
    labels = [0, 0, 0, 1, 1, 1, 1]
    probabilities = np.stack([first, 1 - first], 1)
    assert cnnzoo.likely_label_errors(probabilities, labels).tolist() == [4]
    # A class without labels has no mean, and no image can show it.
    third = np.concatenate([probabilities / 2, np.full((7, 1), 0.5)], 1)
    assert cnnzoo.likely_label_errors(third, labels).tolist() == [4]
    assert cnnzoo.likely_label_errors(np.zeros((0, 2)), np.zeros(0, int)).tolist() == []


def test_planted_errors_are_found_out_of_fold():
    """15 of 300 digits have another label: most of them are found, and few others."""
    images, true = (array[:300] for array in load_digits(return_X_y=True))
    rng = np.random.default_rng(0)
    planted = rng.permutation(300)[:15]
    labels = true.astype(int)
    labels[planted] = (labels[planted] + rng.integers(1, 10, 15)) % 10
    found = probes.probe(images, labels)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    names = tuple("0123456789")
    evaluation = evaluate_probabilities(found.probabilities, labels, names)
    rows = evaluation.likely_label_errors()
    is_planted = np.isin(rows, planted)
    assert is_planted.sum() >= 10
    assert (~is_planted).sum() <= 3
    assert is_planted[:5].all()
    first, *others = evaluation.label_errors(Images(images, labels, names))
    row = first["row"]
    assert (row, first["image"]) == (rows[0], f"image {rows[0]}")
    assert (first["label"], first["predicted"]) == (str(labels[row]), str(true[row]))
    shares = [first["label_probability"], *(o["label_probability"] for o in others)]
    assert shares == sorted(shares)
    assert first["probability"] > 10 * first["label_probability"]


@pytest.mark.parametrize(
    ("probabilities", "labels", "error", "message"),
    [
        (np.ones(3), [0, 0, 0], cnnzoo.UsageError, r"found 1 to 1, \(3,\)"),
        (np.array([[2.0, -1.0]]), [0], cnnzoo.UsageError, r"found -1 to 2, \(1, 2\)"),
        (np.array([[np.nan, 1.0]]), [0], cnnzoo.UsageError, "from 0 to 1"),
        (np.eye(2), [0], cnnzoo.LabelError, "expected 2 numbers of classes"),
        (np.eye(2), [0, 2], cnnzoo.LabelError, "expected labels below 2"),
    ],
)
def test_refusals(probabilities, labels, error, message):
    with pytest.raises(error, match=message):
        cnnzoo.likely_label_errors(probabilities, labels)
