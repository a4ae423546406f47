"""prepare(): a new classifier, frozen by the case, also inside a plain fit."""

import keras
import numpy as np
import pytest
from keras import layers

import cnnzoo
from cnnzoo.transfer import check_frozen, prepare

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3)).astype("float32")
LABELS = np.arange(24) % 3


def own() -> keras.Model:
    """Stages of 32, 16 and 8 pixels, each with batch normalisation and dropout."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 255)])
    for stage, filters in enumerate((4, 6, 8)):
        model.add(layers.Conv2D(filters, 3, padding="same", name=f"conv{stage}"))
        model.add(layers.BatchNormalization(name=f"norm{stage}"))
        model.add(layers.ReLU(name=f"relu{stage}"))
        model.add(layers.Dropout(0.3, name=f"drop{stage}"))
        model.add(layers.MaxPooling2D(name=f"pool{stage}"))
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(10, activation="softmax", name="predictions"))
    return model


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{layer.name}/{w.name}": w.numpy()
        for layer in model.layers
        for w in layer.weights
    }


def changed(network: keras.Model, pixels=PIXELS) -> set[str]:
    """The weights that a plain fit of two steps changes, after a check of the others."""
    before = weights_of(network)
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(pixels, LABELS, batch_size=12, epochs=1, verbose=0)
    check_frozen(network.freeze_report, network)
    after = weights_of(network)
    return {name for name in before if (before[name] != after[name]).any()}


HEAD = {"predictions/kernel", "predictions/bias"}


@pytest.mark.parametrize("case", [1, 2, 3, 4])
def test_what_a_fit_changes_in_each_case(case):
    model = own()
    network = prepare(model, 3, case)
    every = set(weights_of(network))
    statistics = {name for name in every if "moving" in name}
    expected = {1: HEAD, 2: every - statistics, 3: HEAD, 4: every}[case]
    assert changed(network) == expected
    conv = [layer.name for layer in network.layers if isinstance(layer, layers.Conv2D)]
    assert conv == [f"conv{stage}" for stage in range(2 if case == 3 else 3)]
    for name, value in weights_of(own()).items():  # the model itself has not changed
        np.testing.assert_array_equal(weights_of(model)[name], value)


def test_the_frozen_part_is_at_inference_inside_fit():
    network = prepare(own(), 3, 1)
    front = keras.Model(network.inputs[0], network.get_layer("features").output)
    at_inference = front(PIXELS, training=False)
    np.testing.assert_array_equal(front(PIXELS, training=True), at_inference)
    trained = prepare(own(), 3, 4)
    front = keras.Model(trained.inputs[0], trained.get_layer("features").output)
    assert np.abs(front(PIXELS, training=True) - at_inference).max() > 0.1


def test_the_account():
    report = prepare(own(), 3, 3).freeze_report
    kernels = {0: 3 * 9 * 4 + 4 + 16, 1: 4 * 9 * 6 + 6 + 24, "head": 4 * 6 * 3 + 3}
    assert report.parts == {
        "relu0": (0, kernels[0]),
        "relu1": (0, kernels[1]),
        "predictions": (kernels["head"], kernels["head"]),
    }
    assert report.trainable == 75
    assert report.total == sum(kernels.values())
    assert str(report).splitlines()[-1] == "  up to predictions: 75 of 75"


def test_a_catalog_network_and_names_of_classes(source):
    network = prepare(source, ["a", "b", "c"], 1)
    assert network.cnnzoo.class_names == ("a", "b", "c")
    assert changed(network, PIXELS[:, :16, :16, :1]) == HEAD
    first = prepare(source, 3, 3)
    stages = {layer.name.split("_")[0] for layer in first.layers}
    assert "stage1" in stages
    assert "stage2" not in stages  # of two stages, the first is the earlier one


def test_an_inner_model():
    base = own()
    images = keras.Input((32, 32, 3))
    x = layers.Dense(5)(base(images, training=False))
    network = prepare(keras.Model(images, x), 3, 3, cut="relu0")
    assert changed(network) == HEAD


@pytest.mark.proof
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121"])
def test_inner_models_of_keras_applications(name):
    builder = getattr(keras.applications, name)
    base = builder(weights=None, include_top=False, input_shape=(32, 32, 3))
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1)(images)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    for case in (1, 3):
        network = prepare(keras.Model(images, layers.Dense(5)(x)), 3, case)
        assert changed(network) == HEAD


def test_the_second_stage_where_convolutions_crop_their_maps():
    model = keras.Sequential([keras.Input((40, 40, 1))])
    for stage in range(3):
        model.add(layers.Conv2D(2, 3, activation="relu", name=f"conv{stage}"))
        model.add(layers.MaxPooling2D(name=f"pool{stage}"))
    model.add(layers.GlobalAveragePooling2D())
    network = prepare(model, 2, 3)
    assert [layer.name for layer in network.layers][3:5] == ["conv1", "features"]


def test_refused():
    model = own()
    with pytest.raises(cnnzoo.UsageError, match="cannot prepare case 5: expected 1 to 4"):
        prepare(model, 3, 5)
    with pytest.raises(cnnzoo.UsageError, match="did you mean 'relu1'"):
        prepare(model, 3, cut="rely1")
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Conv2D(2, 3, activation="relu", name="only")(images))
    small = keras.Model(images, layers.Dense(2)(x))
    with pytest.raises(cnnzoo.UsageError, match="no two stages; pass cut=, one of only"):
        prepare(small, 3, 3)
