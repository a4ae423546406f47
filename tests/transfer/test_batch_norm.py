"""Adaptation of batch normalisation's statistics, which are kept if better."""

from pathlib import Path

import keras
import numpy as np
from transferring import CLASSES, SIDE, TRAIN, VALIDATION, quick, weights_of

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.transfer import fit
from cnnzoo.transfer.batch_norm import adapt_batch_norm, measure
from cnnzoo.zoo.classifier import reset_classifier

CUT = "stage2_pool"


def faint(images: Images) -> Images:
    """The same stripes in a twentieth of the contrast."""
    pixels = 128 + (images.images.astype(np.float32) - 128) / 20
    return Images(pixels.round().astype(np.uint8), images.labels, images.class_names)


def moving(model: keras.Model) -> dict[str, np.ndarray]:
    return {k: v for k, v in weights_of(model).items() if "moving" in k}


def test_statistics_are_those_of_all_images():
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.BatchNormalization(momentum=0.9)]
    )
    images = np.random.default_rng(0).normal(3, 2, (50, 4, 4, 3)).astype(np.float32)
    batches = [images[:20], images[20:40], images[40:]]
    measure(model, batches)
    (norm,) = model.layers
    np.testing.assert_allclose(norm.moving_mean, images.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, images.var((0, 1, 2)), rtol=1e-5)
    assert norm.momentum == 0.9
    before = norm.moving_variance.numpy()
    norm.trainable = False
    measure(model, batches[:1])
    np.testing.assert_array_equal(norm.moving_variance, before)


def test_statistics_are_kept_if_better(source):
    network = reset_classifier(source, class_names=CLASSES, cut=CUT)
    before = weights_of(network)
    assert adapt_batch_norm(network, faint(TRAIN), CUT, seed=0)
    after = weights_of(network)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == set(moving(network))


def test_statistics_are_restored_if_not_better(source):
    """Noise has no classes, and no statistics make any of it."""
    rng = np.random.default_rng(0)
    blank = Images(
        np.full((40, SIDE, SIDE, 1), 7, np.uint8), rng.permutation(40) % 4, CLASSES
    )
    network = reset_classifier(source, class_names=CLASSES, cut=CUT)
    before = weights_of(network)
    assert not adapt_batch_norm(network, blank, CUT, seed=0)
    after = weights_of(network)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_without_batch_normalisation_nothing_is_measured():
    model = cnnzoo.build("lenet5", input_shape=(SIDE, SIDE, 1), classes=4)
    before = model.get_weights()
    assert not adapt_batch_norm(model, TRAIN, "stage1_pool", seed=0)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_case_3_adapts_before_features_are_computed(source, tmp_path: Path):
    start = weights_of(source)
    requested = quick(3, cut=CUT)
    assert "batch normalization adapted if better" in str(requested)
    result = fit(source, faint(TRAIN), faint(VALIDATION), requested, folder=tmp_path)
    (done,) = result.phases
    assert done.batch_norm_adapted
    assert "batch normalization adapted" in str(done)
    assert done.computed == len(TRAIN) + len(VALIDATION)  # once, of what is kept
    requested.phases[0].adapt_batch_norm = False
    other = fit(source, faint(TRAIN), faint(VALIDATION), requested)
    assert result.accuracy > other.accuracy
    assert all(
        np.array_equal(start[name], now) for name, now in weights_of(source).items()
    )
    again = fit(
        source, faint(TRAIN), faint(VALIDATION), quick(3, cut=CUT), folder=tmp_path
    )
    assert again.phases == result.phases
    assert moving(again.model).keys() == moving(result.model).keys()
    for name, value in moving(again.model).items():
        np.testing.assert_array_equal(value, moving(result.model)[name])
