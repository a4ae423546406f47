"""kfold(): the settings of folds, and a network trained on all images by them."""

from pathlib import Path

import numpy as np
import pytest
from transferring import CLASSES, TRAIN, VALIDATION, quick

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.transfer import Phase, PhaseResult, Result, kfold, plan
from cnnzoo.transfer.refitting import settle


def phase_result(name: str, **values) -> PhaseResult:
    known = {"before": 0.5, "after": 0.6, "trainable": 1, "frozen": 0, "history": {}}
    return PhaseResult(name=name, learning_rate=1e-3, **(known | values))


def test_settings_are_those_of_most_folds():
    epochs, alphas = (0, 4, 9), ((1, 0.5, 0.5), (1, 0, 0))
    results = [
        Result(
            model=None,  # pyright: ignore[reportArgumentType]
            plan=plan(1),
            assessment=None,
            phases=(
                phase_result("head", epochs=epochs[i]),
                phase_result("kept", epochs=2, alpha=alphas[0][i]),
                phase_result("undone", alpha=alphas[1][i]),
            ),
        )
        for i in range(3)
    ]
    requested = plan(1)
    requested.phases += [Phase(name="kept", guarded=True), Phase(name="undone")]
    head, kept = settle(requested, results).phases
    assert (head.epochs, head.patience) == (4, None)
    assert (kept.epochs, kept.alpha, kept.guarded) == (2, 0.5, False)
    assert requested.phases[1].guarded  # the caller's plan stays as it is
    assert "50 % of the way kept" in str(kept)
    requested.phases = [Phase(name="whole", epochs=7)]  # which no fold had
    assert settle(requested, results).phases == requested.phases


def test_a_network_is_trained_on_all_images(source, tmp_path: Path):
    images = np.concatenate([TRAIN.images, VALIDATION.images])
    labels = np.concatenate([np.asarray(p.labels) for p in (TRAIN, VALIDATION)])
    everything, count = Images(images, labels, CLASSES), len(labels)
    result = kfold(source, everything, plan=quick(), folds=2, folder=tmp_path)
    assert result.folds is not None
    assert result.folds.evaluation.images == count
    assert result.accuracy == result.folds.evaluation.accuracy
    (head,) = result.phases
    assert head.computed + head.reused == 2 * count  # to train, and as validation images
    assert result.plan.phases[0].patience is None
    again = kfold(source, everything, plan=quick(), folds=2, folder=tmp_path)
    assert again.accuracy == result.accuracy
    for one, other in zip(again.model.weights, result.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_no_epochs_are_the_ridge_regression(source):
    requested = quick()
    requested.phases[0].epochs = 0
    (head,) = cnnzoo.transfer.fit(source, TRAIN, VALIDATION, requested).phases
    assert (head.epochs, head.history) == (0, {})
    assert head.after > 0.5
    requested.phases[0].ridge_init = False
    with pytest.raises(cnnzoo.UsageError, match="epochs=0 trains nothing"):
        cnnzoo.transfer.fit(source, TRAIN, VALIDATION, requested)


def test_an_assessment_of_all_images_is_refused(source):
    assessment = cnnzoo.transfer.assess(source, TRAIN)
    with pytest.raises(cnnzoo.UsageError, match="has used the images of every fold"):
        kfold(source, TRAIN, plan=assessment, folds=2)  # pyright: ignore
