"""What people hold goes into fit, assess, race, FeatureCache and save_results."""

from pathlib import Path

import keras
import numpy as np
import pytest
from transferring import CLASSES, TRAIN, VALIDATION, quick, trained, weights_of

import cnnzoo
from cnnzoo.transfer import FeatureCache, assess, fit, race, save_results

NAMES = np.array(CLASSES)
PAIR, OTHER = ((one.images, NAMES[one.labels]) for one in (TRAIN, VALIDATION))
# Classes of texts are sorted.
SORTED = TRAIN.only(sorted(CLASSES)), VALIDATION.only(sorted(CLASSES))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> keras.Model:
    return trained(tmp_path_factory.mktemp("source"))


def test_fit_takes_pairs_and_a_share(model, tmp_path: Path):
    expected = weights_of(fit(model, *SORTED, quick()).model)
    result = fit(model, PAIR, OTHER, quick())
    for path, weight in weights_of(result.model).items():
        np.testing.assert_array_equal(weight, expected[path])
    assert result.model.cnnzoo.class_names == tuple(sorted(CLASSES))
    saved = save_results(result, None, PAIR, OTHER, tmp_path)
    assert saved.evaluation.accuracy == pytest.approx(result.accuracy)
    with pytest.raises(cnnzoo.UsageError, match=r"expected \(images, labels\)"):
        fit(model, None)


def test_assess_and_race_take_pairs(model):
    assert assess(model, PAIR) == assess(model, SORTED[0])
    plans = {"head": quick(), "views": quick(views=2)}
    test = (VALIDATION.images, SORTED[1].labels)  # numbers of the training classes
    found = race(plans, model, PAIR, 0.25, test)
    assert found.images == len(VALIDATION)
    for lap in found.laps:
        assert lap.accuracy == cnnzoo.evaluate(lap.result.model, SORTED[1]).accuracy


def test_cached_features_of_an_array(model, tmp_path: Path):
    cut = cnnzoo.transfer.cuts(model)[-1].name
    cache = FeatureCache.build(model, TRAIN.images[:5], cut, tmp_path)
    again = FeatureCache.build(model, TRAIN.take(np.arange(5)), cut, tmp_path)
    assert (cache.computed, again.computed) == (5, 0)
