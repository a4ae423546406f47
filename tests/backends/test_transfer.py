"""Transfer on TensorFlow, JAX and PyTorch: frozen weights stay, others are trained."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from parity import randomise

import cnnzoo
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.system import files
from cnnzoo.train.finetuning import l2_sp, layerwise_lr_decay
from cnnzoo.transfer.batch_norm import measure
from cnnzoo.transfer.cut_points import front, stage_cuts, tail

FOLDER = Path(__file__).parents[2] / "build" / "backends"
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(3, 2, (32, 8, 8, 3)).astype("float32")
LABELS = np.arange(32) % 3


def digits(count: int) -> Images:
    return load_embedded("train").take(np.arange(count))


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for stage in (1, 2):
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"stage{stage}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"stage{stage}_bn")(x)
        x = keras.layers.ReLU(name=f"stage{stage}_relu")(x)
        x = keras.layers.Dropout(0.5, name=f"stage{stage}_drop")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="predictions")(x))


def numbers(model: keras.Model) -> dict[str, np.ndarray]:
    return {w.path: np.array(ops.convert_to_numpy(w.value)) for w in model.weights}


@pytest.mark.parametrize("when", ["before compile", "after a fit"])
@pytest.mark.parametrize("norm", ["frozen", "affine"])
def test_what_is_frozen_stays_bit_by_bit(norm, when: str):
    model = network()
    if when == "after a fit":
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(IMAGES, LABELS, verbose=0)
    report = transfer.freeze(model, "stage1_drop", norm=norm)
    if when == "before compile":
        model.compile("adam", "sparse_categorical_crossentropy")
    before = numbers(model)
    model.fit(IMAGES, LABELS, epochs=2, verbose=0)
    transfer.check_frozen(report, model)
    now = numbers(model)
    changed = {path for path in now if (now[path] != before[path]).any()}
    expected = {"stage1_bn/gamma", "stage1_bn/beta"} if norm == "affine" else set()
    assert {path for path in changed if path.startswith("stage1")} == expected
    assert changed >= {"stage2_conv/kernel", "stage2_bn/moving_mean"}
    model.get_layer("stage1_conv").bias.assign(np.ones(4))
    with pytest.raises(cnnzoo.TrainingError, match="1 frozen weights"):
        transfer.check_frozen(report, model)


def test_batch_norm_is_adapted():
    model = network()
    transfer.freeze(model, "stage2_drop", norm="train")
    embedding_model = front(model, ["stage2_drop"])
    measure(embedding_model, [IMAGES[:20], IMAGES[20:]])
    seen = ops.convert_to_numpy(front(model, ["stage1_conv"])(IMAGES))
    norm = model.get_layer("stage1_bn")
    found = ops.convert_to_numpy(norm.moving_mean.value)
    np.testing.assert_allclose(found, seen.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.99


def test_dropout_is_off_in_what_is_frozen():
    model = network()
    transfer.freeze(model, "stage1_drop")
    frozen = front(model, ["stage1_drop"])
    learning = front(model, ["stage2_drop"])
    for part, same in ((frozen, True), (learning, False)):
        one, other = (ops.convert_to_numpy(part(IMAGES, training=True)) for _ in range(2))
        assert (one == other).all() == same


def test_the_tail_on_features_equals_the_network():
    model = network()
    features = front(model, ["stage1_relu"]).predict_on_batch(IMAGES)
    by_parts = tail(model, "stage1_relu").predict_on_batch(features)
    np.testing.assert_allclose(by_parts, model.predict_on_batch(IMAGES), atol=1e-6)


def test_rates_by_stage_and_l2_sp():
    def moved(decay: float | None) -> dict[str, float]:
        model = network()
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        if decay is not None:
            layerwise_lr_decay(model, decay)
        before = numbers(model)
        model.train_on_batch(IMAGES, LABELS)
        now = numbers(model)
        return {
            path: float(np.linalg.norm(now[path] - before[path]))
            for path in now
            if path.endswith("kernel")
        }

    plain, slowed = moved(None), moved(0.5)
    assert slowed["stage1_conv/kernel"] == pytest.approx(
        plain["stage1_conv/kernel"] / 2, rel=1e-3
    )
    assert slowed["predictions/kernel"] == pytest.approx(
        plain["predictions/kernel"], rel=1e-3
    )
    model = network()
    with l2_sp(model, 0.5):
        model.get_layer("stage1_conv").bias.assign(np.full(4, 2.0))
        assert ops.convert_to_numpy(sum(model.losses)) == pytest.approx(0.5 * 4 * 4)
    assert not model.losses


def test_fit(tmp_path: Path):
    """A classifier and a whole network; the result is the function that was trained."""
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("lenet_gap", classes=5)
    data = digits(200)
    plan = transfer.plan(2)
    for phase in plan.phases:
        phase.epochs = 1
    result = transfer.fit(model, data, data, plan, folder=tmp_path)
    head, whole = result.phases
    assert head.ridge is not None
    assert head.after > 0.5
    assert whole.frozen == 0
    evaluation = cnnzoo.evaluate(result.model, data)
    assert evaluation.accuracy == pytest.approx(result.accuracy, abs=0.01)
    again = cnnzoo.load(cnnzoo.save(result.model, tmp_path / "model.keras"))
    assert cnnzoo.evaluate(again, data).accuracy == evaluation.accuracy


def test_assess():
    """The same assessment on every backend, for the same weights."""
    model = cnnzoo.build("lenet_gap")
    randomise(model)
    found = transfer.assess(model, digits(200))
    assert found == transfer.assess(model, digits(200))
    assert [row.name for row in found.cuts] == [c.name for c in stage_cuts(model)]
    record = {
        "case": found.case,
        "accuracy": [row.accuracy for row in found.table],
        "random_accuracy": [row.random_accuracy for row in found.table],
    }
    path = FOLDER / "assess.json"
    if keras.backend.backend() == "tensorflow":
        files.write_json(path, record)
    first = json.loads(path.read_bytes())
    assert record["case"] == first["case"]
    for name in ("accuracy", "random_accuracy"):
        assert record[name] == pytest.approx(first[name], abs=2 / 200)  # two images
