"""Cuts, freezing and the assessment, on networks of the catalog and of Keras."""

import json
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.errors import LabelError
from cnnzoo.layers.heads import quarters
from cnnzoo.transfer import random_baseline
from cnnzoo.transfer.cut_points import front, stage_cuts, tail
from cnnzoo.transfer.evidence import smallest_gain
from cnnzoo.transfer.features.embeddings import embed
from cnnzoo.zoo import sketch
from cnnzoo.zoo.classifier import reset_classifier

RNG = np.random.default_rng(0)


def digits(count: int, size: int = 28) -> Images:
    whole = load_embedded("train").take(np.arange(count))
    return whole


# Cuts -----------------------------------------------------------------------------------


def test_cuts_of_vgg16_are_those_of_the_table():
    """The ends of the five blocks: 13 % of the MACs, 1.61 MB in float16, and so on."""
    model = sketch("vgg16")
    ends = stage_cuts(model)
    shapes = [cut.shape for cut in ends]
    assert shapes == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 256),
        (14, 14, 512),
        (7, 7, 512),
    ]
    assert [cut.shape for cut in transfer.cuts(model)][-2:] == [(4096,), (4096,)]
    whole = 15_346_630_656
    shares = [round(100 * (cut.macs or 0) / whole) for cut in ends[:5]]
    assert shares == [13, 31, 61, 91, 100]
    megabytes = [round((cut.bytes or 0) / 1e6, 2) for cut in ends[:5]]
    assert megabytes == [1.61, 0.8, 0.4, 0.2, 0.05]


@pytest.mark.parametrize("name", ["resnet18", "inception_v1", "small_resnet", "xception"])
def test_every_cut_makes_two_models_that_are_the_whole(name: str):
    side = max(64, cnnzoo.model_info(name).min_size)
    channels = cnnzoo.model_info(name).input_shape[2]
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(name, input_shape=(side, side, channels), classes=7)
    images = RNG.normal(size=(2, side, side, channels)).astype("float32")
    expected = model(images, training=False)
    places = stage_cuts(model)
    assert len(places) >= 3
    for cut in places:
        seen = front(model, [cut.name])(images, training=False)
        seen = seen[0] if isinstance(seen, list) else seen
        assert seen.shape[1:] == cut.shape
        rest = tail(model, cut.name)
        np.testing.assert_allclose(rest(seen, training=False), expected, atol=1e-6)


def test_no_cut_lies_within_a_branch():
    names = {cut.name for cut in transfer.cuts(sketch("resnet18"))}
    every = [layer.name for layer in sketch("resnet18").layers]
    assert names < set(every)
    inner = next(n for n in every if n.startswith("stage2") and n not in names)
    with pytest.raises(cnnzoo.UsageError, match="unknown cut of resnet18"):
        tail(sketch("resnet18"), inner)


def test_a_network_of_keras_has_cuts():
    model = keras.applications.MobileNet(
        weights=None, input_shape=(64, 64, 3), alpha=0.25
    )
    places = stage_cuts(model)
    assert [cut.shape[:2] for cut in places if len(cut.shape) == 3][-1] == (1, 1)
    assert len(places) >= 5


# Freezing -------------------------------------------------------------------------------


def norms(until: str | None, **options) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for stage in (1, 2):
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"conv{stage}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{stage}")(x)
        x = keras.layers.ReLU(name=f"relu{stage}")(x)
        x = keras.layers.Dropout(0.5, name=f"drop{stage}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="classifier")(x))


def trained(model: keras.Model) -> None:
    images = RNG.normal(3, 2, (64, 8, 8, 3)).astype("float32")
    model.fit(images, np.arange(64) % 3, epochs=2, verbose=0)


@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("when", ["before compile", "after compile", "after fit"])
def test_what_is_frozen_stays_bit_by_bit(when: str, accelerated: bool):
    model = norms("relu1")
    if accelerated:
        cnnzoo.accelerate(model)
    if when != "before compile":
        model.compile("adam", "sparse_categorical_crossentropy")
    if when == "after fit":
        trained(model)
    report = transfer.freeze(model, until="relu1")
    if when == "before compile":
        model.compile("adam", "sparse_categorical_crossentropy")
    before = {w.path: w.numpy().copy() for w in model.weights}
    trained(model)
    transfer.check_frozen(report, model)
    changed = {w.path for w in model.weights if (w.numpy() != before[w.path]).any()}
    assert not {path for path in changed if path.split("/")[0] in ("conv1", "bn1")}
    assert {path.split("/")[0] for path in changed} >= {"conv2", "bn2", "classifier"}
    assert report.frozen == ("conv1", "bn1")
    assert len(report.hashes) == 6
    assert "frozen up to relu1: 2 layers" in str(report)


def test_a_changed_frozen_weight_is_detected():
    model = norms("relu1")
    report = transfer.freeze(model, until="relu1")
    model.get_layer("conv1").bias.assign(np.ones(4))
    with pytest.raises(cnnzoo.TrainingError, match=r"1 frozen weights.*conv1/bias"):
        transfer.check_frozen(report, model)


@pytest.mark.parametrize("accelerated", [False, True])
def test_batch_norm_with_trainable_scales_and_frozen_statistics(accelerated: bool):
    model = norms("relu1")
    if accelerated:
        cnnzoo.accelerate(model)
    model.compile("adam", "sparse_categorical_crossentropy")
    report = transfer.freeze(model, until="relu1", norm="affine")
    layer = model.get_layer("bn1")
    before = [w.numpy().copy() for w in layer.weights]
    trained(model)
    transfer.check_frozen(report, model)
    gamma, beta, mean, variance = [w.numpy() for w in layer.weights]
    assert (gamma != before[0]).any()
    assert (beta != before[1]).any()
    np.testing.assert_array_equal(mean, before[2])
    np.testing.assert_array_equal(variance, before[3])
    assert any(name.endswith("bn1/moving_mean") for name in report.hashes)


def test_batch_norm_statistics_may_be_adapted():
    model = norms("relu1")
    model.compile("adam", "sparse_categorical_crossentropy")
    report = transfer.freeze(model, until="relu1", norm="train")
    layer = model.get_layer("bn1")
    before = layer.moving_mean.numpy().copy()
    trained(model)
    transfer.check_frozen(report, model)
    assert (layer.moving_mean.numpy() != before).any()


def test_dropout_is_off_in_the_frozen_part_and_on_again():
    model = norms("drop1")
    images = np.ones((2, 8, 8, 3), "float32")
    seen = front(model, ["drop1"])
    transfer.freeze(model, until="drop1")
    np.testing.assert_array_equal(seen(images, training=True), seen(images))
    transfer.unfreeze(model)
    assert np.abs(seen(images, training=True) - seen(images)).max() > 0
    assert "call" not in vars(model.get_layer("drop1"))
    assert all(layer.trainable for layer in model.layers)


def test_layers_with_untrained_state():
    """They are still where nothing learns, and what lies behind may move its own."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu")),
            layers.GaussianNoise(1.0, name="noise"),
            layers.Flatten(name="flat"),
            layers.SpectralNormalization(layers.Dense(4), name="behind"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model = keras.Model(model.inputs[0], model.outputs[0])
    report = transfer.freeze(model, "noise")
    images = np.ones((4, 6, 6, 1), "float32")
    front = keras.Model(model.inputs[0], model.get_layer("noise").output)
    np.testing.assert_array_equal(
        front(images, training=True), front(images, training=False)
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    vector = model.get_layer("behind").non_trainable_weights[0]
    before = vector.numpy().copy()
    model.fit(images, np.arange(4) % 2, verbose=0)
    assert not np.array_equal(vector.numpy(), before)
    transfer.check_frozen(report, model)


def test_saved_models_have_stock_layers(tmp_path):
    model = norms("drop1")
    transfer.freeze(model, until="drop1", norm="affine")
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    images = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-6
    )


def test_invalid_freezes():
    model = norms("relu1")
    with pytest.raises(cnnzoo.UsageError, match=r"unknown layer 'relu3'.*'relu"):
        transfer.freeze(model, until="relu3")
    with pytest.raises(cnnzoo.UsageError, match="mode of batch normalization 'affin'"):
        transfer.freeze(model, until="relu1", norm="affin")  # pyright: ignore


def test_a_loss_of_the_users_own():
    """It cannot be recreated, and the error is raised before anything changes."""
    model = norms("relu1")
    model.compile("adam", lambda y, p: keras.ops.mean(p))
    with pytest.raises(cnnzoo.UsageError, match="freeze it before compile"):
        transfer.freeze(model, until="relu1")
    assert all(layer.trainable for layer in model.layers)


def test_a_shared_layer():
    inputs = keras.Input((8, 8, 3))
    relu = keras.layers.ReLU(name="relu")
    x = relu(keras.layers.Conv2D(4, 3, name="conv1")(inputs))
    x = relu(keras.layers.Conv2D(4, 3, name="conv2")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    with pytest.raises(cnnzoo.UsageError, match="calls the layer 'relu' 2 times"):
        transfer.freeze(model, until="relu")
    assert [cut.name for cut in transfer.cuts(model)] == ["pool"]


@pytest.mark.parametrize("norm", ["frozen", "affine"])
def test_parts_of_layers_are_frozen_too(norm):
    """Of a nested model, and of a block that holds layers of its own."""

    class Block(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.norm = keras.layers.BatchNormalization()
            self.drop = keras.layers.Dropout(0.5)

        def call(self, inputs, training=None):
            return self.drop(self.norm(inputs, training=training), training=training)

    keras.utils.set_random_seed(0)
    inner, image = norms("relu1"), keras.Input((8, 8, 3))
    nested = keras.Model(inner.inputs[0], inner.get_layer("drop2").output, name="inner")
    x = Block(name="block")(nested(image))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = Block(name="tail")(keras.layers.Dense(4)(x))
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    model.trainable = False  # as Keras's guides begin
    model.compile("adam", "sparse_categorical_crossentropy")
    report = transfer.freeze(model, until="pool", norm=norm)
    assert report.trainable > 0
    trained(model)
    transfer.check_frozen(report, model)
    before = [w.numpy().copy() for w in model.weights]
    transfer.unfreeze(model)
    transfer.check_frozen(report, model)  # nothing has changed by being let free
    trained(model)
    with pytest.raises(cnnzoo.TrainingError, match="frozen weights of"):
        transfer.check_frozen(report, model)
    moved = sum(
        (w.numpy() != b).any() for w, b in zip(model.weights, before, strict=True)
    )
    assert moved > 15


# The assessment -------------------------------------------------------------------------


def gratings(count: int, seed: int = 0, classes: int = 8, size: int = 28) -> Images:
    """Stripes of an orientation, which is the class, with a phase of their own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    rows, columns = np.mgrid[:size, :size]
    angles = (np.pi * labels / classes)[:, None, None]
    phases = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(0.7 * (rows * np.sin(angles) + columns * np.cos(angles)) + phases)
    noise = rng.normal(0, 2, waves.shape)
    pixels = np.clip(127 + 60 * (waves + noise), 0, 255).astype(np.uint8)
    return Images(pixels[..., None], labels, tuple("abcdefgh"[:classes]))


@pytest.fixture(scope="module")
def reader() -> keras.Model:
    """A network that reads digits 0 to 4."""
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("lenet_gap", classes=5, include_preprocessing=True)
    whole = load_embedded("train")
    few = whole.take(np.flatnonzero(np.asarray(whole.labels) < 5))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(few.images, few.labels, epochs=4, batch_size=32, verbose=0)
    return model


def test_the_case_of_a_task_that_late_layers_discard(reader):
    """Of the stripes that the second stage sees, the third lets one channel through."""
    forgetful = cnnzoo.build("lenet_gap", classes=5, include_preprocessing=True)
    forgetful.set_weights(reader.get_weights())
    kernel = forgetful.get_layer("stage3_conv").kernel
    kernel.assign(kernel.numpy() * (np.arange(120) == 5))
    found = transfer.assess(forgetful, gratings(300))
    assert found.case == 3
    assert not found.similar
    assert found.small
    assert not found.few_shots
    assert found.weights_help
    assert found.cut == "stage2_pool"
    *_, second, last = found.cuts
    assert smallest_gain(second.accuracies, last.accuracies) > 0.2
    gain = 100 * (second.accuracy - last.accuracy)
    better = (
        f"different: the best earlier stage, stage2_pool, classifies {gain:.1f} points"
    )
    assert f"{better} better than the last" in found.explain()
    assert found == transfer.assess(forgetful, gratings(300))


def test_a_network_of_operations_has_cuts():
    """`keras.ops` in place of layers; and one cut compares with none."""
    images = x = keras.Input((12, 12, 1))
    for filters in (4, 8):
        x = keras.ops.relu(keras.layers.Conv2D(filters, 3)(x))
    x = keras.layers.GlobalAveragePooling2D(name="means")(keras.ops.max_pool(x, 2))
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(x))
    found = [cut.shape for cut in transfer.cuts(model)]
    assert found == [(10, 10, 4), (8, 8, 8), (4, 4, 8), (8,)]


def test_a_network_with_one_cut():
    images = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="only")(images)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(x))
    model = keras.Model(images, outputs)
    only = transfer.cuts(model)[:1]
    found = transfer.assess(model, gratings(60), cuts=only, preprocessing="unit")
    assert "there is no stage before only to compare it with" in found.explain()
    assert len(found.table) == 1


def test_other_digits_are_a_similar_task(reader):
    whole = load_embedded("train")
    rows = np.flatnonzero(np.asarray(whole.labels) >= 5)[:300]
    found = transfer.assess(reader, whole.take(rows))
    assert found.case == 1
    assert found.images == 300
    record = json.loads(json.dumps(found.to_dict()))
    assert record["case"] == 1
    assert len(record["table"]) == len(found.table)
    text = found.explain()
    assert "case 1, small and similar\n" in text
    assert "the classifier stands on stage3_conv_act, mean, the deepest place" in text
    assert f"expect {100 * found.used.accuracy:.1f} ± " in text
    assert "with 20,000 images it would be case 2" in text


def test_rare_classes_and_many_classes(reader):
    labels = np.concatenate([np.arange(505) % 10, np.full(5, 10)])
    pixels = RNG.integers(0, 256, (510, 28, 28, 1)).astype(np.uint8)
    names = tuple(map(str, range(11)))
    found = transfer.assess(reader, Images(pixels, labels, names), probed=500)
    assert 500 <= found.probed <= 510
    assert found.smallest_class == 5
    assert found.few_shots
    assert "too few images to fine-tune" in found.explain()
    assert not found.weights_help
    assert (found.largest_class, found.uneven) == (51, True)
    many = transfer.assess(reader, Images(pixels, labels, names), probed=100, small=100)
    assert many.small  # one class of five images is too few of the whole
    assert many.case in (1, 3)


def test_the_accuracy_of_the_largest_class_alone(reader):
    labels = np.arange(300) % 10 // 9  # 270 and 30
    found = transfer.assess(reader, replace(gratings(300), labels=labels))
    assert found.majority == 0.9
    assert "predicting the largest class 90.0 %" in found.explain()
    plan = transfer.plan(found.taken_as(2))
    assert {phase.class_weights for phase in plan.phases} == {"balanced"}
    assert {phase.mixup for phase in plan.phases} == {None}
    even = transfer.plan(replace(found.taken_as(2), largest_class=90))
    assert {phase.class_weights for phase in even.phases} == {None}


def test_a_model_of_unknown_preprocessing(reader):
    other = keras.models.clone_model(reader)
    with pytest.raises(cnnzoo.UsageError, match="preprocessing are unknown"):
        transfer.assess(other, gratings(60))
    assert transfer.assess(other, gratings(60), preprocessing="unit").images == 60


def test_the_random_baseline_has_other_weights_and_leaves_keras_alone(reader):
    def seeded() -> None:
        keras.utils.clear_session()  # up to Keras 3.11 a seed alone leaves its generator
        keras.utils.set_random_seed(7)

    seeded()
    expected = keras.random.normal((3,))
    seeded()
    images = RNG.uniform(0, 255, (8, 28, 28, 1)).astype("float32")
    copy = random_baseline.copy_with_random_weights
    one, same, other = (copy(reader, [images], seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(keras.random.normal((3,)), expected)
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(one.get_weights()[0] - other.get_weights()[0]).max() > 0
    assert reader.count_params() == one.count_params()


def test_the_random_baseline_adapts_batch_norm():
    model = norms("relu1")
    images = RNG.normal(5, 3, (64, 8, 8, 3)).astype("float32")
    made = random_baseline.copy_with_random_weights(model, [images], 0)
    seen = keras.Model(made.inputs, made.get_layer("conv1").output).predict(images)
    np.testing.assert_allclose(
        made.get_layer("bn1").moving_mean.numpy(), seen.mean((0, 1, 2)), rtol=1e-4
    )


def test_pooling_is_the_means_of_quarters():
    maps = np.arange(2 * 5 * 4 * 3, dtype="float32").reshape(2, 5, 4, 3)
    taken = keras.Input((5, 4, 3))
    found = keras.Model(taken, quarters(taken, name="q")).predict(maps, verbose=0)
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found[:, :3], maps[:, :3, :2].mean((1, 2)))
    np.testing.assert_allclose(found[:, 9:], maps[:, 2:, 2:].mean((1, 2)))
    assert quarters(keras.Input((1, 1, 3)), name="q").shape == (None, 3)


def test_quarters_with_channels_first():
    """Of a map that is not square: the axes, and the order of the numbers, are equal."""
    maps = RNG.normal(size=(2, 5, 4, 3)).astype("float32")
    taken = keras.Input((5, 4, 3))
    last = keras.Model(taken, quarters(taken, name="q"))
    keras.config.set_image_data_format("channels_first")
    try:
        taken = keras.Input((3, 5, 4))
        first = keras.Model(taken, quarters(taken, name="q"))
        found = first(np.moveaxis(maps, -1, 1))
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(found, last(maps), rtol=1e-5, atol=1e-6)


TWO = ("stage1_pool", "stage3_conv_act")


@pytest.mark.parametrize(
    ("cut", "pooling", "head"),
    [
        (TWO[0], None, ["features", "head_pool", "head_flatten"]),
        (TWO[1], None, ["features", "head_pool", "head_flatten"]),
        (TWO[1], "avg", ["stage3_conv_act", "features", "head_pool"]),
        (TWO, None, ["mean_stage3_conv_act", "means", "features"]),
    ],
)
def test_a_network_that_ends_at_a_cut(cut, pooling, head, tmp_path):
    """Its classifier sees what the probe does; it is saved and loaded as any other."""
    keras.utils.set_random_seed(0)
    whole = cnnzoo.build("lenet_gap", input_shape=(33, 30, 1))
    model = cnnzoo.build(
        "lenet_gap", input_shape=(33, 30, 1), classes=3, cut=cut, pooling=pooling
    )
    for layer in model.layers:
        if layer.name.startswith("stage") and layer.weights:
            layer.set_weights(whole.get_layer(layer.name).get_weights())
    images = Images(RNG.integers(0, 256, (5, 33, 30, 1)).astype("uint8"), None, ())
    found = embed(whole, TWO, images, whole.cnnzoo.preprocessing)
    several = np.concatenate([found[name, "avg"] for name in TWO], 1)
    expected = several if cut == TWO else found[cut, pooling]
    dense = model.get_layer("predictions")
    seen = keras.Model(model.inputs[0], dense.input)
    scaled = cnnzoo.preprocess_input(images.images, model.cnnzoo.preprocessing)
    np.testing.assert_allclose(seen.predict(scaled, verbose=0), expected, rtol=1e-5)
    names = [layer.name for layer in model.layers]
    assert names[-4:] == [*head, "predictions"]
    cnnzoo.save(model, tmp_path / "m.keras")
    loaded = cnnzoo.load(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded(scaled), model(scaled), rtol=1e-6)


def test_invalid_cuts():
    for cut in (5, (), ["stage1_pool", 1]):
        with pytest.raises(cnnzoo.UsageError, match="a layer's name, or several"):
            cnnzoo.build("lenet_gap", cut=cut)  # pyright: ignore
    with pytest.raises(cnnzoo.UsageError, match="pools as its head does"):
        cnnzoo.build("lenet_gap", cut=TWO, pooling="avg")
    with pytest.raises(cnnzoo.UsageError, match="features are vectors"):
        cnnzoo.build("mlp", cut="stage1_dense_act", pooling="avg")
    with pytest.raises(cnnzoo.UsageError, match="unknown cut of lenet_gap 'stage9'"):
        cnnzoo.build("lenet_gap", cut="stage9")
    with pytest.raises(cnnzoo.UsageError, match="auxiliary classifiers and for the cut"):
        cnnzoo.build("inception_v1", cut="stage2_pool", aux_heads=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "cannot measure images without labels"),
        (np.zeros(20, int), "found 1 classes"),
        (np.arange(20) // 19, "the smallest of 1"),
    ],
)
def test_models_that_cannot_be_assessed(labels, message: str, reader):
    data = Images(np.zeros((20, 28, 28, 1), np.uint8), labels, ("a", "b"))
    with pytest.raises(cnnzoo.DatasetError, match=message):
        transfer.assess(reader, data)


def test_invalid_numbers_and_cuts(reader):
    good = Images(np.zeros((8, 28, 28, 1), np.uint8), np.arange(8) % 2, ("a", "b"))
    invalid: list[dict[str, Any]] = [{"probed": 0}, {"batch_size": -1}, {"small": True}]
    for options in invalid:
        with pytest.raises(cnnzoo.UsageError, match=r"cannot (assess|predict) with"):
            transfer.assess(reader, good, **options)
    first, *_, last = places = transfer.cuts(reader)
    with pytest.raises(cnnzoo.UsageError, match="unknown cut"):
        transfer.assess(reader, good, cuts=[replace(last, name="stage9")])
    found = transfer.assess(reader, good, cuts=[last, first])
    assert [row.cut for row in found.cuts] == [first, last] != places
    named = transfer.assess(reader, good, cuts=[last.name, first.name], small=0)
    assert named.table == found.table


def test_invalid_images_and_labels(reader):
    good = Images(np.zeros((8, 28, 28, 1), np.uint8), np.arange(8) % 2, ("a", "b"))
    scaled = np.full((8, 28, 28, 1), 0.5, "float32")
    for pixels in (scaled, np.full_like(scaled, np.nan)):
        with pytest.raises(cnnzoo.UsageError, match="expected an array"):
            transfer.assess(reader, replace(good, images=pixels))
    for labels, error in (
        (np.arange(8) % 2 - 1, LabelError),
        (np.arange(8) % 2 + 0.5, LabelError),
        (np.arange(8) % 2 + 7, cnnzoo.DatasetError),
    ):
        with pytest.raises(error):
            transfer.assess(reader, replace(good, labels=labels))


def test_a_classifier_on_all_cuts_is_a_start():
    """Its stages are those of the network, whether it is of the catalog or adopted."""
    plain = cnnzoo.build("lenet_gap", include_preprocessing=True)
    stock = keras.Model(plain.inputs, plain.outputs)
    for whole in (plain, cnnzoo.adopt(stock, preprocessing="none")):
        names = [cut.name for cut in stage_cuts(whole)]
        several = reset_classifier(whole, 3, cut=names)
        assert [cut.name for cut in stage_cuts(several)] == names
        assert reset_classifier(several, 4).layers[-2].output.shape == (None, 142)
        one = reset_classifier(several, 4, cut=names[-1], pooling="avg")
        assert one.layers[-2].output.shape == (None, 120)
        kernel = one.get_layer("stage1_conv").kernel
        np.testing.assert_array_equal(kernel, plain.get_layer("stage1_conv").kernel)
