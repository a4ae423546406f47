"""Plans, phases, races and the verb: what is trained, what stays, what goes on."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import cnnzoo
from cnnzoo import graph, transfer
from cnnzoo.cli import main
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.inference import probabilities
from cnnzoo.train import Recipe, Run
from cnnzoo.train.decays import held_to_start, slow_early_stages
from cnnzoo.transfer import Phase, Plan, cached, fit, known, plan
from cnnzoo.transfer.bench import layer_of
from cnnzoo.transfer.cached import CachedTraining, place_behind
from cnnzoo.transfer.evidence import NAMES
from cnnzoo.transfer.warm import start_as_ridge
from cnnzoo.zoo import sketch

SIDE = 16
CLASSES = ("across", "down", "rising", "falling")


def gratings(count: int, seed: int = 0) -> Images:
    """Stripes in four directions, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = np.stack([rows, columns, rows + columns, rows - columns])[labels]
    phase = rng.uniform(0, 6.3, (count, 1, 1))
    pixels = 128 + 60 * np.sin(waves * 1.3 + phase) + rng.normal(0, 20, waves.shape)
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)[..., None]
    return Images(pixels, labels, CLASSES)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> keras.Model:
    """A small network with batch normalisation, trained on two classes."""
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(
        "simple_cnn",
        filters=(8, 8, 16, 16),
        pools=2,
        input_shape=(SIDE, SIDE, 1),
        classes=2,
        preprocessing="unit",
        batch_norm=True,
    )
    two = gratings(160).only(CLASSES[:2])
    recipe = Recipe(epochs=2, batch_size=16, precision="float32")
    Run(tmp_path_factory.mktemp("source")).fit(model, two, two, recipe)
    return model


ZOOM = Augment(zoom_range=0.1)
TRAIN, HELD_OUT = gratings(48, 1), gratings(80, 2)


def quick(case: int = 1, **options) -> Plan:
    """The plan of a case, whose classifier learns for a few epochs."""
    found = plan(case, **options)
    found.phases[0].epochs = 4
    return found


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in model.weights}


# Plans ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "phases"), [(1, ["head"]), (2, ["head", "whole"]), (4, ["head", "whole"])]
)
def test_the_plan_of_a_case(case: int, phases: list[str]):
    found = plan(case)
    assert [phase.name for phase in found.phases] == phases
    assert found.phases[0].cached
    assert found.phases[0].warm_start
    told = str(found)
    assert told.startswith(f"case {case}, {NAMES[case]}: ")
    assert len(told.splitlines()) == 1 + len(phases)
    whole = found.phases[-1]
    if case == 2:
        assert (whole.norm, whole.layer_decay, whole.learning_rate) == (
            "affine",
            0.9,
            1e-4,
        )
        assert "mixup 0.1" in told
    if case == 4:
        assert (whole.norm, whole.layer_decay, whole.learning_rate) == (
            "train",
            None,
            3e-4,
        )


def test_a_plan_can_be_changed():
    found = plan(3, cut="stage1_pool", refine="images", norm="affine")
    found.phases[-1].learning_rate = 2e-5
    assert "frozen up to images, adam at 2e-05" in str(found)
    assert "batch normalisation affine" in str(found)
    assert "kept if better by a standard error" in str(found)
    assert plan(4, init="random").phases[0].until is None
    assert [p.name for p in plan(4, init="random").phases] == ["whole"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give one of the two"),
        ({"case": 1, "freeze": "all"}, "give one of the two"),
        ({"case": 5}, "the cases 1 to 4; got 5"),
        ({"case": 3}, "pass cut=, or an assessment"),
        ({"case": 1, "refine": True}, "pass refine=NAME"),
        ({"case": 1, "init": "random"}, "random weights are not"),
    ],
)
def test_plans_that_cannot_be(arguments: dict, message: str):
    with pytest.raises(cnnzoo.UsageError, match=message):
        plan(**arguments)


def test_evidence_taken_for_another_case(source):
    found = transfer.assess(source, TRAIN)
    last, earlier = found.table[-1], found.table[:-1]
    assert found.taken_as(found.case) is found
    assert plan(found.taken_as(1)).cut == last.cut.name
    best = max(earlier, key=lambda row: row.accuracy)
    other = found.taken_as(3) if found.case == 1 else found.taken_as(1).taken_as(3)
    assert (plan(other).case, plan(other).cut) == (3, best.cut.name)
    assert found.taken_as(2).small is False
    assert found.picture().startswith(b"\x89PNG")


def test_what_a_caller_asks_for_is_not_dropped(source):
    few = replace(transfer.assess(source, TRAIN).taken_as(3), few_shots=True)
    assert [p.name for p in plan(few, refine=True).phases] == ["head"]
    assert [p.name for p in plan(few, refine="images").phases] == ["head", "refine"]
    assert plan(2, init="random").phases[0].layer_decay is None


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (Phase(name="x", cached=True), "nothing is; set until="),
        (
            Phase(name="x", cached=True, until="features", augment=ZOOM),
            "views=1 of each image",
        ),
        (Phase(name="x", cached=True, until="features", views=3), "views=3 of each"),
        (Phase(name="x", warm_start=True), "begin as a ridge regression"),
        (Phase(name="x", until=99), "the first 99 layers"),
        (
            Phase(name="x", cached=True, until="features", frozen_norm="affine"),
            "would change",
        ),
        (Phase(name="x", cached=True, until="features", mixup=0.1), "blends images"),
        (Phase(name="x", mixup=0.1, class_weights="balanced"), "images of two"),
        (Phase(name="x", until="stage9"), "unknown layer 'stage9'"),
    ],
)
def test_phases_that_cannot_be(phase: Phase, message: str, source):
    with pytest.raises(cnnzoo.UsageError, match=message):
        fit(source, TRAIN, HELD_OUT, Plan(phases=[phase]))


# Fitting --------------------------------------------------------------------------------


def test_a_classifier_on_features_computed_once(source, tmp_path: Path):
    before = weights_of(source)
    result = fit(source, TRAIN, HELD_OUT, quick(), folder=tmp_path / "run")
    (head,) = result.phases
    assert head.computed == len(TRAIN) + len(HELD_OUT)
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
    # What was learnt on features holds for images: the assembled network answers alike.
    answers = probabilities(model, HELD_OUT).argmax(1)
    assert np.mean(answers == HELD_OUT.labels) == pytest.approx(result.accuracy, abs=0.02)
    assert all(layer.trainable for layer in model.layers)
    # It is flat, compiled with stock objects, and saved with its classes.
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert type(model.optimizer) is keras.optimizers.SGD
    path = cnnzoo.save(model, tmp_path / "model.keras")
    again = cnnzoo.load(path)
    assert again.cnnzoo.class_names == CLASSES
    plain = keras.saving.load_model(path)
    expected = model.predict(HELD_OUT.images, verbose=0)
    for one in (again, plain):
        said = one.predict(HELD_OUT.images, verbose=0)
        np.testing.assert_allclose(said, expected, atol=1e-5)


def test_the_cached_head_answers_as_the_network(source, tmp_path: Path):
    network = cnnzoo.reset_classifier(source, class_names=CLASSES, cut="stage1_pool")
    cut = place_behind(network, "features")
    recipe = Recipe(epochs=1)
    work = CachedTraining(network, TRAIN, HELD_OUT, cut, tmp_path, tmp_path, recipe)
    work.train(warm_start=True)
    by_features = work._tail.predict(work.held_out.rows(np.arange(80)), verbose=0)
    by_images = network.predict(HELD_OUT.images, verbose=0)
    np.testing.assert_allclose(by_features, by_images, atol=1e-4)


def test_a_tail_learns_from_a_cut(source):
    asked = plan(freeze="stage1_pool")
    asked.phases[0].epochs = 2
    asked.phases[1].epochs = 2
    asked.phases[1].learning_rate = 1e-3
    asked.phases[1].guarded = False
    result = fit(source, TRAIN, HELD_OUT, asked)
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


def test_a_phase_that_makes_it_worse_is_undone(source):
    asked = quick()
    asked.phases.append(
        Phase(name="wild", learning_rate=1.0, epochs=1, batch_size=16, guarded=True)
    )
    result = fit(source, TRAIN, HELD_OUT, asked)
    head, wild = result.phases
    assert not wild.kept
    assert "undone" in str(result)
    assert result.accuracy == head.after
    answers = probabilities(result.model, HELD_OUT).argmax(1)
    assert np.mean(answers == HELD_OUT.labels) == pytest.approx(head.after, abs=0.02)


def test_the_whole_network_learns(source):
    asked = quick(2)
    asked.phases[1].epochs, asked.phases[1].batch_size = 1, 16
    asked.phases[1].start_decay = 1e-3
    asked.phases[1].class_weights, asked.phases[1].mixup = "balanced", None
    result = fit(source, TRAIN, HELD_OUT, asked)
    whole = result.phases[1]
    assert whole.trainable > result.phases[0].trainable
    assert len(whole.history["loss"]) == 1
    drawn = plan(freeze="none", init="random")
    drawn.phases[0].epochs = 1
    result = fit(source, TRAIN, HELD_OUT, drawn)
    assert [done.name for done in result.phases] == ["whole"]


def test_a_transfer_goes_on_where_it_was(source, tmp_path: Path, monkeypatch):
    def asked() -> Plan:
        found = plan(1)
        found.phases[0].epochs, found.phases[0].patience = 6, None
        found.phases.append(Phase(name="whole", learning_rate=1e-5, epochs=1))
        return found

    monkeypatch.setattr(cached, "SAVE_SECONDS", 0.0)
    untouched = fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "whole")
    real, epochs = cnnzoo.train.Checkpoint.on_epoch_end, []

    def killed(self, epoch, logs=None):
        real(self, epoch, logs)
        epochs.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cnnzoo.train.Checkpoint, "on_epoch_end", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "cut")
    monkeypatch.setattr(cnnzoo.train.Checkpoint, "on_epoch_end", real)
    result = fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "cut")
    assert epochs == [0, 1, 2]
    head = result.phases[0]
    assert head.computed == 0  # the features were there
    assert len(head.history["loss"]) == 6
    np.testing.assert_allclose(
        head.history["val_loss"], untouched.phases[0].history["val_loss"], rtol=1e-4
    )
    again = fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "cut")
    assert again.phases == result.phases  # all is over, and only read
    other = asked()
    other.phases[0].epochs = 7
    with pytest.raises(cnnzoo.ResumeMismatchError, match="plan differ"):
        fit(source, TRAIN, HELD_OUT, other, folder=tmp_path / "cut")
    (tmp_path / "cut" / "1-head" / "done.json").write_text("{")
    with pytest.raises(cnnzoo.CheckpointError, match=r"done\.json does not tell"):
        fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "cut")
    (tmp_path / "cut" / "transfer.json").write_text("[")
    with pytest.raises(cnnzoo.CheckpointError, match=r"transfer\.json does not tell"):
        fit(source, TRAIN, HELD_OUT, asked(), folder=tmp_path / "cut")


def test_auto_measures_plans_and_fits(source, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plan"], "HEAD_EPOCHS", 3)
    result = fit(source, TRAIN, HELD_OUT)
    assert result.assessment is not None
    assert result.assessment.few_shots
    assert result.plan.case == result.assessment.case
    assert [phase.name for phase in result.plan.phases] == ["head"]


# Parts ----------------------------------------------------------------------------------


def test_the_ridge_start_is_scikit_learns_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    codes = rng.normal(size=(90, 12)) * rng.uniform(0.1, 9, 12) + 3
    labels = (codes @ rng.normal(size=(12, 3))).argmax(1)
    layer = keras.layers.Dense(3)
    layer.build((None, 12))
    accuracy = start_as_ridge(layer, codes, labels)
    assert accuracy > 0.8
    logits = codes @ layer.get_weights()[0] + layer.get_weights()[1]
    scaled = (codes - codes.mean(0)) / (codes.std(0) * np.sqrt(12))
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    fits = [
        Ridge(alpha=alpha).fit(scaled, targets).predict(scaled)
        for alpha in np.logspace(-3, 6, 19)
    ]
    ratios = [(logits / one).ravel() for one in fits]
    spread = [np.ptp(ratio) / abs(np.median(ratio)) for ratio in ratios]
    assert min(spread) < 1e-3  # it is one of them, times a factor
    assert 1 <= np.median(ratios[int(np.argmin(spread))]) <= 100


def test_early_stages_learn_more_slowly(source):
    def moved(decay: float | None) -> dict[str, np.ndarray]:
        keras.utils.set_random_seed(1)
        model = cnnzoo.reset_classifier(source, class_names=CLASSES)
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        if decay is not None:
            slow_early_stages(model, decay)
        before = weights_of(model)
        model.train_on_batch(TRAIN.images, TRAIN.labels)
        assert type(model.optimizer) is keras.optimizers.SGD
        learnt = {weight.path for weight in model.trainable_weights}
        now = weights_of(model)
        return {path: now[path] - before[path] for path in learnt}

    plain, slowed = moved(None), moved(0.5)
    factors = {}
    for path, step in plain.items():
        if path.endswith("kernel"):
            factors[path] = np.linalg.norm(slowed[path]) / np.linalg.norm(step)
    for path, factor in factors.items():
        expected = 0.5 if path.startswith("stage1") else 1.0
        assert factor == pytest.approx(expected, rel=0.02), path
    assert {path[:6] for path in factors} >= {"stage1", "stage2", "predic"}


def test_weights_are_held_to_where_they_began(source):
    model = cnnzoo.reset_classifier(source, class_names=CLASSES)
    first = model.get_layer(next(n.name for n in model.layers if n.weights))
    with held_to_start(model, 0.25):
        assert float(sum(model.losses)) == 0.0
        first.kernel.assign_add(np.full(first.kernel.shape, 2.0, "float32"))
        expected = 0.25 * 4.0 * np.prod(first.kernel.shape)
        assert float(sum(model.losses)) == pytest.approx(expected)
        model.get_layer("predictions").kernel.assign(
            model.get_layer("predictions").kernel + 1.0
        )
        assert float(sum(model.losses)) == pytest.approx(expected)
    assert model.losses == []
    with held_to_start(model, None):
        assert model.losses == []


def test_a_new_classifier_on_the_same_trunk(source):
    new = cnnzoo.reset_classifier(source, 7)
    assert new.output_shape == (None, 7)
    assert new.cnnzoo.options["include_preprocessing"]
    for layer in new.layers:
        if layer.weights and not layer.name.startswith(("head", "predictions")):
            old = source.get_layer(layer.name).get_weights()
            for one, other in zip(layer.get_weights(), old, strict=True):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(cnnzoo.UsageError, match="pass classes= or class_names="):
        cnnzoo.reset_classifier(source)
    short = cnnzoo.reset_classifier(source, 3, cut="stage1_pool")
    with pytest.raises(cnnzoo.UsageError, match="ends before the layer"):
        cnnzoo.reset_classifier(short, 3, cut="stage2_pool")


def test_the_first_layers(source):
    weighted = [layer.name for layer in source.layers if layer.weights]
    assert layer_of(source, 3) == weighted[2]
    assert layer_of(source, 0) is None
    assert layer_of(source, "stage1_pool") == "stage1_pool"


def test_the_first_layers_of_a_network_with_branches():
    model = sketch("resnet18", input_shape=(64, 64, 3))
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert layer_of(model, 2) == weighted[1]
    within = next(
        count
        for count in range(1, len(weighted))
        if not set(weighted[:count]) <= set(graph.ancestors(model, weighted[count - 1]))
    )
    with pytest.raises(cnnzoo.UsageError, match="no branch is open behind them"):
        layer_of(model, within)


def test_a_network_that_ends_in_a_vector_can_be_transferred():
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("mlp", input_shape=(SIDE, SIDE, 1), classes=2, width=16)
    asked = quick()
    result = fit(model, TRAIN, HELD_OUT, asked)
    assert result.phases[0].computed == len(TRAIN) + len(HELD_OUT)


def test_layers_of_the_callers_own_are_not_lost_silently():
    image = keras.Input((SIDE, SIDE, 3))
    grey = keras.layers.Conv2D(1, 1)(image)
    model = cnnzoo.build("simple_cnn", input_tensor=grey, classes=2)
    with pytest.raises(cnnzoo.UsageError, match="stands on layers of yours"):
        cnnzoo.reset_classifier(model, 3)


def test_what_is_wrong_is_said_before_anything_is_kept(source, tmp_path: Path):
    one = replace(TRAIN, labels=None)
    with pytest.raises(cnnzoo.DatasetError, match="the data have none"):
        fit(source, one, HELD_OUT, quick(), folder=tmp_path)
    strange = replace(HELD_OUT, class_names=("across", "down", "rising", "else"))
    with pytest.raises(cnnzoo.DatasetError, match="such as 'else'"):
        fit(source, TRAIN, strange, quick(), folder=tmp_path)
    late = quick()
    late.phases.append(Phase(name="late", until="stage9"))
    with pytest.raises(cnnzoo.UsageError, match="'stage9'"):
        fit(source, TRAIN, HELD_OUT, late, folder=tmp_path)
    with pytest.raises(cnnzoo.UsageError, match="without phases"):
        fit(source, TRAIN, HELD_OUT, Plan(), folder=tmp_path)
    assert not list(tmp_path.iterdir())
    fit(source, TRAIN, HELD_OUT, quick(), folder=tmp_path)
    other = cnnzoo.reset_classifier(source, 2)
    other.get_layer("stage1_conv1").bias.assign(np.ones(8))
    with pytest.raises(cnnzoo.ResumeMismatchError, match="weights differ"):
        fit(other, TRAIN, HELD_OUT, quick(), folder=tmp_path)


def test_a_later_phase_that_is_never_finite_is_undone(source, tmp_path: Path):
    asked = quick()
    asked.phases.append(
        Phase(name="wild", learning_rate=1e30, optimizer="sgd", epochs=1, batch_size=8)
    )
    result = fit(source, TRAIN, HELD_OUT, asked, folder=tmp_path)
    assert [done.kept for done in result.phases] == [True, False]
    assert result.accuracy == result.phases[0].after
    again = fit(source, TRAIN, HELD_OUT, asked, folder=tmp_path)
    assert [done.kept for done in again.phases] == [True, False]
    for one, other in zip(again.model.weights, result.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_statistics_of_batch_normalisation_stay_where_they_shall(source):
    asked = quick()
    asked.phases += [
        Phase(name="all", norm="affine", learning_rate=1e-5, epochs=1),
        Phase(name="tail", until="stage1_pool", learning_rate=1e-5, epochs=1),
    ]
    result = fit(source, TRAIN, HELD_OUT, asked)
    _, everything, tail = result.phases
    moving = [w for w in source.weights if "moving" in w.path]
    assert everything.frozen == len(moving)
    behind = [w for w in moving if not w.path.startswith("stage1")]
    assert behind
    assert tail.frozen < len(result.model.weights)


def test_images_of_another_kind_are_none_of_these(source, tmp_path: Path):
    model = fit(source, TRAIN, HELD_OUT, quick()).model
    found = known.measured(model, TRAIN, HELD_OUT)
    assert np.mean(found.distances(model, HELD_OUT) <= found.threshold) >= 0.94
    black = Images(np.zeros((1, SIDE, SIDE, 1), np.uint8), np.zeros(1, int), CLASSES)
    assert found.distances(model, black)[0] > 2 * found.threshold
    found.save(tmp_path)
    again = known.load(tmp_path, model)
    assert again is not None
    assert again.threshold == found.threshold
    np.testing.assert_allclose(
        again.distances(model, HELD_OUT), found.distances(model, HELD_OUT), atol=0.02
    )
    assert known.load(tmp_path / "elsewhere", model) is None
    assert known.load(tmp_path, source) is None  # which has another classifier
    (tmp_path / known.FILE).write_bytes(b"no codes")
    with pytest.raises(cnnzoo.WeightFileError, match="what the network knows"):
        known.load(tmp_path, model)


def test_a_race_is_judged_on_images_that_chose_nothing(source, tmp_path: Path):
    drawn = plan(freeze="none", init="random")
    drawn.phases[0].epochs = 1
    plans = {"frozen": quick(), "drawn": drawn}
    test = gratings(60, 3)
    result = transfer.race(plans, source, TRAIN, HELD_OUT, test, folder=tmp_path)
    assert [lap.name for lap in result.laps] == ["frozen", "drawn"]
    assert result.best.name == "frozen"
    frozen, other = result.laps
    assert frozen.p_value == 1.0
    assert other.p_value < 0.05
    assert frozen.interval[0] < frozen.accuracy < frozen.interval[1]
    assert len(str(result).splitlines()) == 3
    json.dumps(result.to_json())
    with pytest.raises(cnnzoo.UsageError, match="got 1"):
        transfer.race({"one": plan(1)}, source, TRAIN, HELD_OUT, test)


# The verb -------------------------------------------------------------------------------


def photographs(folder: Path) -> Path:
    every = gratings(80, 5)
    names = np.array(CLASSES)[every.labels]
    for number, (pixels, name) in enumerate(zip(every.images, names, strict=True)):
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    (folder / "down" / "notes.txt").write_text("no picture")
    return folder


def test_the_verb(source, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plan"], "HEAD_EPOCHS", 10)
    photos = photographs(tmp_path / "photos")
    cnnzoo.save(source, tmp_path / "source.keras")
    out = tmp_path / "out"
    asked = ["transfer", str(photos), "--model", str(tmp_path / "source.keras")]
    assert main([*asked, "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "64 images to learn from, 16 held out, 4 classes" in told.out
    assert "case " in told.out
    assert ".txt 1" in told.err
    for name in ("model.keras", "report.html", "assessment.json", "class_names.json"):
        assert (out / name).is_file()
    assert json.loads((out / "class_names.json").read_text()) == sorted(CLASSES)
    page = (out / "report.html").read_text()
    for heading in ("The case", "The plan", "What was done", "The surest of its errors"):
        assert heading in page
    assert page.count("data:image/png;base64,") == 4
    assert ".txt 1" in page
    black = tmp_path / "black.png"
    Image.new("L", (SIDE, SIDE), 0).save(black)
    one = next(photos.rglob("*.png"))
    assert main(["predict", str(one), str(black), "--model", str(out), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers[1]["none"] is True
    assert main(["predict", str(black), "--model", str(out)]) == 0
    assert "(none of these, it seems)" in capsys.readouterr().out
    assert main([*asked, "--out", str(out), "--case", "4"]) == 2
    assert "holds another transfer" in capsys.readouterr().err
    assert main(["transfer", str(photos), "--model", "vgg16", "--out", str(out)]) == 2
    assert "which trained weights of vgg16?" in capsys.readouterr().err


def test_the_verb_with_a_file_of_weights(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plan"], "HEAD_EPOCHS", 1)
    photos, weights = photographs(tmp_path / "photos"), tmp_path / "lenet.safetensors"
    cnnzoo.save_weights(cnnzoo.build("lenet5"), weights)
    asked = ["transfer", str(photos), "--model", "lenet5", "--case", "1"]
    out = ["--size", "16", "--out", str(tmp_path / "out")]
    assert main([*asked, "--weights", str(weights), *out]) == 0
    assert "features of 64 of 64 images" in capsys.readouterr().err
    assert cnnzoo.load(tmp_path / "out" / "model.keras").output_shape == (None, 4)
    assert main([*asked, "--weights", "imagenet", *out]) == 2
    assert "imagenet" in capsys.readouterr().err


@pytest.mark.proof
def test_the_verb_with_folds(source, tmp_path: Path, capsys):
    photos = photographs(tmp_path / "photos")
    cnnzoo.save(source, tmp_path / "source.keras")
    asked = ["transfer", str(photos), "--model", str(tmp_path / "source.keras")]
    assert main([*asked, "--out", str(tmp_path / "out"), "--folds", "2"]) == 0
    assert "2 folds: " in capsys.readouterr().out
    assert "no network had seen" in (tmp_path / "out" / "report.html").read_text()
