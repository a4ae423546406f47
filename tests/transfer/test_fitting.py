"""Phases and races: training, frozen weights, undone phases, resuming."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
from transferring import CLASSES, SIDE, TRAIN, VALIDATION, gratings, quick, weights_of

import cnnzoo
from cnnzoo import transfer
from cnnzoo.calibration import fit_temperature
from cnnzoo.data.arrays import Images
from cnnzoo.errors import TrainingError
from cnnzoo.inference import probabilities
from cnnzoo.train import Recipe
from cnnzoo.transfer import (
    Phase,
    PhaseResult,
    Plan,
    cut_points,
    fit,
    novelty,
    phase_runner,
    plan,
)
from cnnzoo.transfer.cut_points import frozen_cut
from cnnzoo.transfer.features import cached_training
from cnnzoo.transfer.features.cached_training import train_on_features
from cnnzoo.transfer.phase_runner import PhaseRunner


def test_a_classifier_on_features_computed_once(source, tmp_path: Path):
    before = weights_of(source)
    result = fit(source, TRAIN, VALIDATION, quick(), folder=tmp_path / "run")
    (head,) = result.phases
    assert head.computed == len(TRAIN) + len(VALIDATION)
    assert head.ridge is not None
    assert result.accuracy > 0.6  # four classes, of which it had seen two
    model = result.model
    # What was frozen is as it was, and the source itself is untouched.
    for path, value in weights_of(source).items():
        np.testing.assert_array_equal(value, before[path])
    for layer in model.layers:
        if layer.weights and layer.name != "predictions":
            own = source.get_layer(layer.name).get_weights()
            for now, then in zip(layer.get_weights(), own, strict=True):
                np.testing.assert_array_equal(now, then)
    assert head.frozen == len(model.weights) - 2
    # The classifier trained on features gives the same predictions in the network.
    predictions = probabilities(model, VALIDATION).argmax(1)
    assert np.mean(predictions == VALIDATION.labels) == pytest.approx(
        result.accuracy, abs=0.02
    )
    assert all(layer.trainable for layer in model.layers)
    # A ridge regression has been calibrated out of fold.
    raw = probabilities(model, VALIDATION, raw=True)
    fitted = fit_temperature(raw, np.asarray(VALIDATION.labels))
    assert model.cnnzoo.temperature == (fitted if head.epochs else 1)
    # It is flat, compiled with stock objects, and saved with its classes.
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert type(model.optimizer) is keras.optimizers.SGD
    path = cnnzoo.save(model, tmp_path / "model.keras")
    again = cnnzoo.load(path)
    assert again.cnnzoo.class_names == CLASSES
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        plain = keras.saving.load_model(path)
    expected = model.predict(VALIDATION.images, verbose=0)
    for one in (again, plain):
        said = one.predict(VALIDATION.images, verbose=0)
        np.testing.assert_allclose(said, expected, atol=1e-5)


@pytest.mark.parametrize("rate", [1e-3, 100.0])
def test_the_cached_classifier_predicts_as_the_network(rate, source, tmp_path: Path):
    network = cnnzoo.reset_classifier(source, class_names=CLASSES, cut="stage1_pool")
    cut = frozen_cut(network, "features")
    recipe = Recipe(epochs=1, learning_rate=rate)
    runner = PhaseRunner(network, TRAIN, VALIDATION, tmp_path)
    caches = runner._features(plan(1).phases[0], cut)
    start = PhaseResult(
        name="head",
        before=None,
        after=0.0,
        learning_rate=1e-3,
        trainable=0,
        frozen=0,
        history={},
    )
    result = train_on_features(
        start, network, cut, caches, TRAIN, VALIDATION, recipe, tmp_path, from_ridge=True
    )
    assert result.ridge is not None
    assert result.epochs == (rate < 100)
    part = cut_points.tail(network, cut)
    by_features = part.predict(caches[1].rows(np.arange(80)), verbose=0)
    by_images = network.predict(VALIDATION.images, verbose=0)
    np.testing.assert_allclose(by_features, by_images, atol=1e-4)


def test_training_from_a_cut(source):
    requested = plan(freeze="stage1_pool")
    requested.phases[0].epochs = 2
    requested.phases[1].epochs = 2
    requested.phases[1].learning_rate = 1e-3
    requested.phases[1].guarded = False
    result = fit(source, TRAIN, VALIDATION, requested)
    head, tail = result.phases
    assert tail.before == head.after
    assert 0 < tail.frozen < head.frozen
    assert tail.trainable > head.trainable
    names = [layer.name for layer in result.model.layers]
    stays = names[: names.index("stage1_pool")]
    weighted = [name for name in stays if result.model.get_layer(name).weights]
    assert len(weighted) == 4  # two convolutions and their norms
    for name in weighted:
        for now, then in zip(
            result.model.get_layer(name).get_weights(),
            source.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(now, then)


def test_a_phase_that_lowers_the_accuracy_is_undone(source):
    requested = quick()
    requested.phases.append(
        Phase(name="wild", learning_rate=1.0, epochs=1, batch_size=16, guarded=True)
    )
    result = fit(source, TRAIN, VALIDATION, requested)
    head, wild = result.phases
    assert not wild.kept
    assert "undone" in str(result)
    assert result.accuracy == head.after
    predictions = probabilities(result.model, VALIDATION).argmax(1)
    assert np.mean(predictions == VALIDATION.labels) == pytest.approx(
        head.after, abs=0.02
    )


def test_training_the_whole_network(source):
    requested = quick(2)
    requested.phases[1].epochs, requested.phases[1].batch_size = 1, 16
    requested.phases[1].learning_rate, requested.phases[1].start_decay = 1e-4, 1e-3
    requested.phases[1].class_weights, requested.phases[1].mixup = "balanced", None
    result = fit(source, TRAIN, VALIDATION, requested)
    whole = result.phases[1]
    assert whole.trainable > result.phases[0].trainable
    assert len(whole.history["loss"]) == 1
    drawn = plan(freeze="none", init="random")
    drawn.phases[0].epochs = 1
    result = fit(source, TRAIN, VALIDATION, drawn)
    assert [done.name for done in result.phases] == ["whole"]


def test_a_transfer_resumes(source, tmp_path: Path, monkeypatch):
    def requested() -> Plan:
        found = plan(1)
        found.phases[0].epochs, found.phases[0].patience = 6, None
        found.phases.append(Phase(name="whole", learning_rate=1e-5, epochs=1))
        return found

    monkeypatch.setattr(cached_training, "SAVE_SECONDS", 0.0)
    untouched = fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "whole")
    real, epochs = cnnzoo.train.Checkpoint.on_epoch_end, []

    def killed(self, epoch, logs=None):
        real(self, epoch, logs)
        epochs.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cnnzoo.train.Checkpoint, "on_epoch_end", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    monkeypatch.setattr(cnnzoo.train.Checkpoint, "on_epoch_end", real)
    result = fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    assert epochs == [0, 1, 2]
    head = result.phases[0]
    assert head.computed == 0  # the features were there
    assert len(head.history["loss"]) == 6
    np.testing.assert_allclose(
        head.history["val_loss"], untouched.phases[0].history["val_loss"], rtol=1e-4
    )
    again = fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    assert again.phases == result.phases  # all is over, and only read
    for weights in zip(result.model.weights, untouched.model.weights, strict=True):
        np.testing.assert_allclose(*(w.numpy() for w in weights), rtol=1e-3, atol=1e-5)
    other = requested()
    other.phases[0].epochs = 7
    fewer = VALIDATION.take(np.arange(len(VALIDATION) - 1))
    for differs, validation, todo, seed in (
        (r"plan\.phases\.0\.epochs was 6 and is 7;", VALIDATION, other, 0),
        ("validation was", fewer, requested(), 0),
        ("seed was 0 and is 1;", VALIDATION, requested(), 1),
    ):
        with pytest.raises(cnnzoo.ResumeMismatchError, match=f": {differs}"):
            fit(source, TRAIN, validation, todo, folder=tmp_path / "cut", seed=seed)
    after = tmp_path / "cut" / "1-head" / "after.keras"
    untouched.model.weights[0].assign(untouched.model.weights[0] + 1)
    for change, found in (
        (lambda: cnnzoo.save(untouched.model, after), "found other ones; remove"),
        (lambda: after.write_bytes(b"x"), "found none or a damaged file; remove"),
        (after.unlink, "found none or a damaged file; remove"),
    ):
        change()
        with pytest.raises(cnnzoo.CheckpointError, match=found):
            fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    (tmp_path / "cut" / "1-head" / "phase.json").write_text("{")
    with pytest.raises(cnnzoo.CheckpointError, match=r"phase\.json, which is damaged"):
        fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    note = tmp_path / "cut" / "transfer.json"
    older = json.loads(note.read_text())
    assert older.pop("format") == 4
    note.write_text(json.dumps(older))
    with pytest.raises(cnnzoo.CheckpointError, match="has format None: expected 4"):
        fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")
    note.write_text("[")
    with pytest.raises(cnnzoo.CheckpointError, match=r"transfer\.json, which is damaged"):
        fit(source, TRAIN, VALIDATION, requested(), folder=tmp_path / "cut")


def test_auto_measures_plans_and_fits(source, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plans"], "HEAD_EPOCHS", 3)
    result = fit(source, TRAIN, VALIDATION)
    assert result.assessment is not None
    assert result.assessment.few_shots
    assert result.plan.case == result.assessment.case
    assert [phase.name for phase in result.plan.phases] == ["head"]


def test_a_network_that_ends_in_a_vector_can_be_transferred():
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("mlp", input_shape=(SIDE, SIDE, 1), classes=2, width=16)
    requested = quick()
    result = fit(model, TRAIN, VALIDATION, requested)
    assert result.phases[0].computed == len(TRAIN) + len(VALIDATION)


def test_layers_of_the_callers_own_are_not_lost_silently():
    image = keras.Input((SIDE, SIDE, 3))
    grey = keras.layers.Conv2D(1, 1)(image)
    model = cnnzoo.build("simple_cnn", input_tensor=grey, classes=2)
    with pytest.raises(cnnzoo.UsageError, match="stands on layers of yours"):
        cnnzoo.reset_classifier(model, 3)


def test_errors_are_raised_before_anything_is_written(source, tmp_path: Path):
    one = replace(TRAIN, labels=None)
    with pytest.raises(cnnzoo.DatasetError, match="the data have none"):
        fit(source, one, VALIDATION, quick(), folder=tmp_path)
    strange = replace(VALIDATION, class_names=("across", "down", "rising", "else"))
    with pytest.raises(cnnzoo.DatasetError, match="such as 'else'"):
        fit(source, TRAIN, strange, quick(), folder=tmp_path)
    late = quick()
    late.phases.append(Phase(name="late", until="stage9"))
    with pytest.raises(cnnzoo.UsageError, match="'stage9'"):
        fit(source, TRAIN, VALIDATION, late, folder=tmp_path)
    with pytest.raises(cnnzoo.UsageError, match="without phases"):
        fit(source, TRAIN, VALIDATION, Plan(), folder=tmp_path)
    assert not list(tmp_path.iterdir())
    fit(source, TRAIN, VALIDATION, quick(), folder=tmp_path)
    other = cnnzoo.reset_classifier(source, 2)
    other.get_layer("stage1_conv1").bias.assign(np.ones(8))
    with pytest.raises(cnnzoo.ResumeMismatchError, match="weights was"):
        fit(other, TRAIN, VALIDATION, quick(), folder=tmp_path)


def test_a_failed_phase_has_the_rate_that_was_searched(source, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise cnnzoo.TrainingError("the validation loss was never finite")

    monkeypatch.setattr(phase_runner, "choose_learning_rate", lambda *_: 1e-4)
    monkeypatch.setattr(phase_runner.Run, "fit", fail)
    network = cnnzoo.reset_classifier(source, class_names=CLASSES)
    runner = PhaseRunner(network, TRAIN, VALIDATION, tmp_path / "features")
    phase = Phase(name="x", learning_rate=(1e-3, 3e-4, 1e-4))
    done = runner.run(phase, tmp_path / "x", 0.5)
    assert (done.learning_rate, done.kept) == (1e-4, False)


def test_a_nan_phase_is_undone_after_zero_accuracy(source, tmp_path: Path):
    """Also where the accuracy before the phase was 0 %."""
    network = cnnzoo.reset_classifier(source, class_names=CLASSES)
    wild = Phase(name="x", learning_rate=1e30, optimizer="sgd", epochs=1, batch_size=8)
    before = network.get_weights()
    runner = PhaseRunner(network, TRAIN, VALIDATION, tmp_path / "features")
    done = runner.run(wild, tmp_path / "wild", 0.0)
    assert done.failure
    assert not done.kept
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_numbers_of_numpy_are_numbers(source, tmp_path: Path):
    requested = quick()
    (head,) = requested.phases
    head.epochs, head.learning_rate = np.int64(2), np.float32(1e-3)  # pyright: ignore
    for _ in range(2):  # the second only reads
        (done,) = fit(source, TRAIN, VALIDATION, requested, folder=tmp_path).phases
        assert done.learning_rate == pytest.approx(1e-3)
        assert len(done.history["loss"]) == 2


def test_a_longer_plan_is_refused(source, tmp_path: Path):
    fit(source, TRAIN, VALIDATION, quick(), folder=tmp_path)
    longer = quick()
    longer.phases.append(Phase(name="more"))
    message = r"plan\.phases\.1 was None and is \{'name': 'more'"
    with pytest.raises(cnnzoo.ResumeMismatchError, match=message):
        fit(source, TRAIN, VALIDATION, longer, folder=tmp_path)


def test_a_later_phase_that_is_never_finite_is_undone(source, tmp_path: Path):
    requested = quick()
    requested.phases.append(
        Phase(name="wild", learning_rate=1e30, optimizer="sgd", epochs=1, batch_size=8)
    )
    result = fit(source, TRAIN, VALIDATION, requested, folder=tmp_path)
    assert [done.kept for done in result.phases] == [True, False]
    assert "wild: undone, since" in str(result)
    assert "learning rate" in str(result.phases[1].failure)
    assert result.accuracy == result.phases[0].after
    again = fit(source, TRAIN, VALIDATION, requested, folder=tmp_path)
    assert [done.kept for done in again.phases] == [True, False]
    for one, other in zip(again.model.weights, result.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_frozen_batch_norm_statistics_do_not_change(source):
    requested = quick()
    requested.phases += [
        Phase(name="all", norm="affine", learning_rate=1e-5, epochs=1),
        Phase(name="tail", until="stage1_pool", learning_rate=1e-5, epochs=1),
    ]
    result = fit(source, TRAIN, VALIDATION, requested)
    _, everything, tail = result.phases
    moving = [w for w in source.weights if "moving" in w.path]
    assert everything.frozen == len(moving)
    behind = [w for w in moving if not w.path.startswith("stage1")]
    assert behind
    assert tail.frozen < len(result.model.weights)


def test_images_of_another_kind_are_novel(source, tmp_path: Path):
    model = fit(source, TRAIN, VALIDATION, quick()).model
    found, _ = novelty.measure(model, TRAIN, VALIDATION)
    assert np.mean(found.distances(model, VALIDATION) <= found.threshold) >= 0.94
    black = Images(np.zeros((1, SIDE, SIDE, 1), np.uint8), np.zeros(1, int), CLASSES)
    assert found.distances(model, black)[0] > 2 * found.threshold
    found.save(tmp_path)
    again = novelty.load(tmp_path, model)
    assert again is not None
    assert again.threshold == found.threshold
    np.testing.assert_allclose(
        again.distances(model, VALIDATION), found.distances(model, VALIDATION), atol=0.02
    )
    assert novelty.load(tmp_path / "elsewhere", model) is None
    assert novelty.load(tmp_path, source) is None  # which has another classifier
    means, scale = np.ones((2, 3), np.float16), np.ones(3, np.float16)
    metadata = {"format": "2", "threshold": "1.0", "classifier": ""}
    bad = [
        ({"embeddings": means}, {**metadata, "format": "1"}),  # of an older version
        ({"means": means, "scale": scale[:2]}, metadata),
        ({"means": means, "scale": 0 * scale}, metadata),
        ({"means": np.nan * means, "scale": scale}, metadata),
    ]
    for content in (b"no arrays", *(safetensors.numpy.save(*one) for one in bad)):
        (tmp_path / novelty.FILE).write_bytes(content)
        with pytest.raises(cnnzoo.WeightFileError, match="damaged or of another version"):
            novelty.load(tmp_path, model)
    (tmp_path / novelty.FILE).unlink()
    os.mkfifo(tmp_path / novelty.FILE)
    with pytest.raises(cnnzoo.WeightFileError, match="a pipe or a device, not an ord"):
        novelty.load(tmp_path, model)


def test_save_results(source, tmp_path: Path):
    train = replace(TRAIN, images=TRAIN.images.copy())
    train.images[7] = 0  # shows none of the classes
    result = fit(source, train, VALIDATION, quick(), seed=1)
    assessment = transfer.assess(source, train)
    saved = transfer.save_results(result, assessment, train, VALIDATION, tmp_path)
    names = [path.name for path in saved.paths]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert {"model.keras", "novelty.safetensors", "assessment.json"} < set(names)
    assert json.loads((tmp_path / "class_names.json").read_text()) == list(CLASSES)
    model = cnnzoo.load(tmp_path / "model.keras")
    assert cnnzoo.evaluate(model, VALIDATION).accuracy == saved.evaluation.accuracy
    assert novelty.load(tmp_path, model) is not None
    report = (tmp_path / "report.html").read_text()
    assert f"case {assessment.case}, " in report
    first = re.findall("<h2>Labels that look wrong.*?<table>(.*?)</table>", report, re.S)
    cells = re.findall("<td>(.*?)</td>", first[0])
    assert cells[:3] == ["image 7", "falling", "none of the classes"]
    assert assessment.out_of_fold is not None
    suspects = assessment.out_of_fold.label_errors(train)
    assert suspects
    for fact in suspects:
        place = cells.index(fact["image"], 3)
        likelier = f"{fact['predicted']}, {100 * fact['probability']:.0f} %"
        assert cells[place + 1 : place + 3] == [fact["label"], likelier]
    (tmp_path / "assessment.json").unlink()
    again = transfer.save_results(result, None, TRAIN, VALIDATION, tmp_path)
    assert "assessment.json" not in [path.name for path in again.paths]


def test_a_race_is_evaluated_on_test_images(source, tmp_path: Path):
    drawn = plan(freeze="none", init="random")
    drawn.phases[0].epochs = 1
    plans = {"frozen": quick(), "drawn": drawn}
    test = gratings(60, 3)
    result = transfer.race(plans, source, TRAIN, VALIDATION, test, folder=tmp_path)
    assert [lap.name for lap in result.laps] == ["frozen", "drawn"]
    assert result.best.name == "frozen"
    frozen, other = result.laps
    assert (frozen.behind, frozen.behind_error) == (0, 0)
    assert other.behind == pytest.approx(frozen.accuracy - other.accuracy)
    assert 0 < other.behind_error <= 0.5 / np.sqrt(60) * 2
    chance = frozen.accuracy * (1 - frozen.accuracy)
    assert frozen.error == pytest.approx(np.sqrt(chance / 60))
    assert len(str(result).splitlines()) == 3
    json.dumps(result.to_dict())
    with pytest.raises(cnnzoo.UsageError, match="cannot race 1 plan"):
        transfer.race({"one": plan(1)}, source, TRAIN, VALIDATION, test)


def test_changed_frozen_weights_are_an_error(source, monkeypatch):
    """`fit` itself asks for the proof, also behind a phase on features."""
    real = train_on_features

    def altered(result, network, *args, **options):
        result = real(result, network, *args, **options)
        kernel = network.get_layer("stage1_conv1").kernel
        kernel.assign_add(keras.ops.full_like(kernel, 1e-6))
        return result

    monkeypatch.setattr(phase_runner, "train_on_features", altered)
    with pytest.raises(TrainingError, match="stage1_conv1/kernel"):
        fit(source, TRAIN, VALIDATION, plan(1))


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize(
    ("gains", "kept"),  # in standard errors, at all of the way, then at 75, 50 and 25 %
    [
        ((-1, -2, -1, -3), (0, 0)),
        ((0.5, -1, 0.2, 0), (1, 0)),
        ((0, 0, 0, 0), (1, 0)),
        ((-1, 1, 3, 3), (0.5, 0.5)),
    ],
)
def test_the_best_weights_of_a_phase_are_kept(guarded, gains, kept, source, monkeypatch):
    """Between those before and after it; where it is guarded, beyond a standard error."""
    before, error = 0.5, np.sqrt(0.25 / len(VALIDATION))
    network = cnnzoo.reset_classifier(source, class_names=CLASSES)
    runner = PhaseRunner(network, TRAIN, VALIDATION, Path())
    start = network.get_weights()
    network.set_weights([start[0] + 1, *start[1:]])
    accuracies = iter([before + gain * error for gain in gains])
    monkeypatch.setattr(PhaseRunner, "accuracy", lambda _: next(accuracies))
    done = PhaseResult(
        name="x",
        before=before,
        after=next(accuracies),
        learning_rate=1.0,
        trainable=1,
        frozen=0,
        history={},
    )
    done = runner._interpolate(Phase(name="x", guarded=guarded), before, start, done)
    assert done.alpha == kept[guarded]
    found = network.get_weights()
    np.testing.assert_allclose(found[0], start[0] + kept[guarded], atol=1e-6)
    np.testing.assert_array_equal(found[-1], start[-1])
    settled = Phase(name="x", guarded=guarded, alpha=1.0)
    assert runner._interpolate(settled, 1.0, start, done).alpha == 1  # in any case
