"""adopt(): flat copies of equal outputs, metadata that are kept, and what is refused."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import layers, ops

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.inference import probabilities
from cnnzoo.models import catalog
from cnnzoo.transfer.cut_points import stage_cuts

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype("uint8")
NAMES = ("ant", "bee", "wasp")


def trunk(name: str = "trunk") -> keras.Sequential:
    """Two stages with batch normalisation and dropout, of names that others have too."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(6, 3, activation="relu", name="conv2"),
            layers.Dropout(0.5, name="drop"),
        ],
        name=name,
    )


def nested(activation: str | None = "softmax") -> keras.Model:
    """A frozen trunk, called as Keras's guide does, between layers of one's own."""
    keras.utils.set_random_seed(3)
    base = trunk()
    for weight in base.get_layer("norm").weights:
        weight.assign(np.random.default_rng(1).uniform(0.5, 2, weight.shape))
    base.trainable = False
    images = keras.Input((16, 16, 3), name="photo")
    scale = layers.Normalization(name="scale")
    scale.adapt(PIXELS)
    x = layers.RandomFlip(name="mirror")(ops.flip(images, axis=-1))
    x = base(scale(x), training=False)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(8, activation="relu", name="conv")(x)  # a name of the trunk's
    x = layers.Dense(len(NAMES), activation=activation, name="answer")(x)
    return keras.Model(images, x, name="mine")


def answers(model: keras.Model) -> np.ndarray:
    return model.predict(PIXELS.astype("float32"), verbose=0)


@pytest.fixture(scope="module")
def own() -> keras.Model:
    return nested()


@pytest.fixture(scope="module")
def adopted(own) -> keras.Model:
    return cnnzoo.adopt(own, NAMES)


def test_a_nested_model_becomes_flat_and_computes_the_same(own, adopted):
    np.testing.assert_array_equal(answers(adopted), answers(own))
    names = [layer.name for layer in adopted.layers]
    assert not any(isinstance(layer, keras.Model) for layer in adopted.layers)
    assert names[-6:] == ["pool", "conv2", "drop", "mean", "conv_1", "answer"]
    assert [cut.name for cut in stage_cuts(adopted)] == ["conv", "pool", "conv2"]
    assert [w.shape for w in adopted.trainable_weights] == [(6, 8), (8,), (8, 3), (3,)]


def test_the_users_model_stays_as_it_is(own, adopted):
    assert not hasattr(own, "cnnzoo")
    before = own.get_weights()
    cnnzoo.transfer.freeze(adopted, "mean")
    adopted.get_layer("conv").kernel.assign_add(ops.ones((3, 3, 3, 4)))
    for old, new in zip(before, own.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert own.get_layer("trunk").get_layer("drop").call.__func__ is layers.Dropout.call
    adopted.get_layer("conv").set_weights(
        own.get_layer("trunk").get_layer("conv").get_weights()
    )


def test_every_tool_takes_it(own, adopted, tmp_path):
    expected = answers(own)
    first = cnnzoo.predict(adopted, PIXELS[:1], top=1)[0].top[0]
    assert first == (NAMES[expected[0].argmax()], pytest.approx(expected[0].max()))
    data = Images(PIXELS, expected.argmax(1), NAMES)
    assert cnnzoo.evaluate(adopted, data).accuracy == 1

    again = cnnzoo.load(cnnzoo.save(adopted, tmp_path / "m.keras"))
    np.testing.assert_array_equal(answers(again), expected)
    assert again.cnnzoo.class_names == NAMES
    ensemble = cnnzoo.Ensemble([adopted, again])
    ensemble.save(tmp_path / "both")
    found = cnnzoo.Ensemble.load(tmp_path / "both").predict(PIXELS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(cnnzoo.load_weights(again, adopted).loaded) == len(adopted.weights)


def test_transfer_takes_it(adopted, tmp_path):
    data = Images(PIXELS, np.arange(12) % 2, ("dark", "light"))
    plan = cnnzoo.transfer.plan(1, cut="pool")
    plan.phases[0].epochs = 1
    network = cnnzoo.transfer.fit(adopted, data, data, plan).model
    kernel = adopted.get_layer("conv").get_weights()[0]
    np.testing.assert_array_equal(network.get_layer("conv").get_weights()[0], kernel)
    assert network.cnnzoo.class_names == ("dark", "light")
    again = cnnzoo.load(cnnzoo.save(network, tmp_path / "two.keras"))
    np.testing.assert_array_equal(answers(again), answers(network))
    assert [c.name for c in cnnzoo.transfer.cuts(again)][:2] == ["conv", "pool"]


def test_pickle_and_deepcopy_keep_the_metadata(adopted):
    built = cnnzoo.build(
        "resnet20", classes=3, class_names=NAMES, cut="stage1_block3_act"
    )
    for model in (adopted, built, pickle.loads(pickle.dumps(adopted))):
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert other.cnnzoo.class_names == NAMES
            assert other.cnnzoo.options == model.cnnzoo.options
            for old, new in zip(model.weights, other.weights, strict=True):
                np.testing.assert_array_equal(old, new)
    clone = keras.models.clone_model(built)
    clone.cnnzoo = built.cnnzoo  # as the docs of `metadata` say
    assert cnnzoo.reset_classifier(clone, 2).output_shape == (None, 2)


def test_every_spec_of_the_catalog_can_be_pickled():
    for name, spec in catalog.SPECS.items():
        assert pickle.loads(pickle.dumps(spec)).name == name


def test_preprocessing_is_done_outside(own):
    adopted = cnnzoo.adopt(own, preprocessing="tf")
    prepared = cnnzoo.preprocess_input(PIXELS, "tf")
    expected = own.predict(prepared, verbose=0)
    found = probabilities(adopted, PIXELS)
    np.testing.assert_array_equal(found, expected)
    new = cnnzoo.reset_classifier(adopted, 2)  # takes pixels: the preprocessing is inside
    mean = keras.Model(new.inputs, new.get_layer("conv_1").output).predict(
        PIXELS, verbose=0
    )
    old = keras.Model(own.inputs, own.get_layer("conv").output)
    np.testing.assert_allclose(mean, old.predict(prepared, verbose=0), rtol=1e-5)


def test_one_sigmoid_is_two_classes_and_logits_are_no_probabilities():
    images = keras.Input((8, 8, 1))
    one = layers.Dense(1, activation="sigmoid")(layers.Flatten()(images))
    two = cnnzoo.adopt(keras.Model(images, one), ["no", "yes"])
    assert probabilities(two, np.zeros((1, 8, 8, 1))).tolist() == [[0.5, 0.5]]
    logits = cnnzoo.adopt(keras.Model(images, layers.Dense(2)(layers.Flatten()(images))))
    with pytest.raises(cnnzoo.UsageError, match="or end it in a softmax"):
        cnnzoo.predict(logits, np.zeros((1, 8, 8, 1)))


def test_an_inner_model_casts_and_is_called_twice(tmp_path):
    base, images = trunk(), keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Flatten()(base(images) + base(ops.flip(images, axis=1)))
    model = keras.Model(images, layers.Dense(2, activation="softmax")(x))
    adopted = cnnzoo.adopt(model)
    expected = model.predict(PIXELS, verbose=0)
    np.testing.assert_array_equal(adopted.predict(PIXELS, verbose=0), expected)
    loaded = cnnzoo.load(cnnzoo.save(adopted, tmp_path / "m.keras"))
    np.testing.assert_array_equal(loaded.predict(PIXELS, verbose=0), expected)


def test_preprocessing_by_operations_comes_back(tmp_path):
    images = keras.Input((16, 16, 3))
    x = layers.Flatten()(keras.applications.resnet.preprocess_input(images))
    model = keras.Model(images, layers.Dense(2, activation="softmax")(x))
    path = cnnzoo.save(cnnzoo.adopt(model), tmp_path / "m.keras")
    np.testing.assert_array_equal(answers(cnnzoo.load(path)), answers(model))


def test_maps_without_a_classifier():
    adopted = cnnzoo.adopt(trunk())
    assert not adopted.cnnzoo.options["include_top"]
    np.testing.assert_array_equal(answers(adopted).shape, (12, 5, 5, 6))
    assert stage_cuts(adopted)[-1].name == "conv2"  # though it was the output
    assert cnnzoo.reset_classifier(adopted, 5).output_shape == (None, 5)
    with pytest.raises(cnnzoo.UsageError, match="into 0 classes, and got 3 class_names"):
        cnnzoo.adopt(trunk(), NAMES)


def test_names_of_the_contract_in_a_users_layers():
    images = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, activation="relu", name="features")(images)
    x = layers.Conv2D(3, 3, activation="relu", name="head_pool")(x)
    x = layers.GlobalAveragePooling2D(name="head_flatten")(x)
    model = cnnzoo.adopt(keras.Model(images, layers.Dense(2, name="x")(x)))
    new = cnnzoo.reset_classifier(model, 4, cut="features")
    assert keras.Model(new.inputs, new.get_layer("own_features").output)
    kernel = new.get_layer("own_features").get_weights()[0]
    np.testing.assert_array_equal(kernel, model.get_layer("features").get_weights()[0])
    deep = cnnzoo.reset_classifier(model, 4)
    np.testing.assert_array_equal(
        deep.get_layer("own_head_pool").get_weights()[0],
        model.get_layer("head_pool").get_weights()[0],
    )


def test_a_file_that_keras_loaded_keeps_its_stages(tmp_path):
    model = cnnzoo.build(
        "small_vgg", input_shape=(16, 16, 3), classes=3, include_preprocessing=True
    )
    loaded = keras.saving.load_model(cnnzoo.save(model, tmp_path / "m.keras"))
    adopted = cnnzoo.adopt(loaded, NAMES)
    assert len(cnnzoo.features(adopted).outputs) == len(cnnzoo.features(model).outputs)
    np.testing.assert_array_equal(answers(adopted), answers(loaded))
    new = cnnzoo.reset_classifier(adopted, 2, cut=stage_cuts(adopted)[0].name)
    old = cnnzoo.reset_classifier(model, 2, cut=stage_cuts(model)[0].name)
    assert new.count_params() == old.count_params()


class Subclass(keras.Model):
    def call(self, inputs):
        return inputs


class OwnCall(keras.Model):
    def __init__(self):
        images = keras.Input((8, 8, 1))
        super().__init__(images, layers.Flatten()(images))

    def call(self, inputs):
        return inputs


class NoConfig(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {"name": self.name}


def through(layer, shape=(8, 8, 1)) -> keras.Model:
    images = keras.Input(shape)
    return keras.Model(images, layer(images))


def two_outputs() -> keras.Model:
    images = keras.Input((8, 8, 1))
    return keras.Model(images, [layers.Flatten()(images), layers.Flatten()(images)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "m.keras", r"got a str, so pass .* keras\.saving\.load_model"),
        (Subclass, "has no graph to read; expected a functional"),
        (OwnCall, "is a subclass with a call of its own"),
        (lambda: keras.Sequential([layers.Dense(2)]), "no graph .* built sequential"),
        (lambda: through(layers.Lambda(lambda x: x, name="l")), "the Lambda layer 'l'"),
        (lambda: through(through(layers.Lambda(lambda x: x))), "has the Lambda layer"),
        (
            two_outputs,
            r"has 2 outputs and inputs of shapes \[\(8, 8, 1\)\]; expected one",
        ),
        (
            lambda: through(layers.Flatten(), (8, 8)),
            r"1 outputs and inputs of shapes \[\(8, 8\)\]",
        ),
        (lambda: through(NoConfig(2)), "cannot be copied .*give NoConfig a get_config"),
    ],
)
def test_what_cannot_be_adopted(make, message):
    with pytest.raises(cnnzoo.UsageError, match=message):
        cnnzoo.adopt(make())


class Unregistered(layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_class_that_keras_cannot_find():
    x = Unregistered()(images := keras.Input((8, 8, 1)))
    model = cnnzoo.adopt(
        keras.Model(images, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))
    )
    with pytest.raises(
        cnnzoo.UsageError, match=r"Unregistered.*decorate each layer class"
    ):
        cnnzoo.reset_classifier(model, 3)


def test_other_numbers_of_names_and_options_for_its_layers(own, adopted):
    with pytest.raises(cnnzoo.UsageError, match="into 3 classes, and got 2 class_names"):
        cnnzoo.adopt(own, NAMES[:2])
    with pytest.raises(cnnzoo.UsageError, match="are drawn as they are; leave out"):
        cnnzoo.build(adopted.cnnzoo.spec, dropout=0.5)
