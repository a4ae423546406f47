"""build(): its arguments, its errors, and what users of keras.applications rely on."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.layers.heads import pooled_head
from cnnzoo.models import vgg
from cnnzoo.zoo import build, find, sketch

SMALL = (32, 32, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "vgg15"}, r"unknown model 'vgg15'; did you mean 'vgg1\d'"),
        ({"model": "zzzz"}, r"unknown model 'zzzz'; known: alexnet, "),
        ({"input_shape": (16, 16, 3)}, r"vgg16 needs .* at least 32x32 .* got 16x16"),
        ({"input_shape": (16, 16)}, r"three whole numbers above 0 such as \(224"),
        ({"input_shape": (16, 16, 3, 1)}, "three whole numbers above 0"),
        ({"input_shape": (64, 64, None)}, "only height and width may be None"),
        ({"input_shape": (None, None, 3)}, "needs images of one size"),
        ({"classes": 0}, "with classes=0: expected a whole number of at least 1"),
        ({"classes": 2.5}, "with classes=2.5: expected a whole number"),
        (
            {"pooling": "mean", "include_top": False},
            'expected "avg" or "max"',
        ),
        ({"dropout": 1.0}, "with dropout=1.0: expected a number from 0 to below 1"),
        ({"dropout": "a"}, "with dropout='a': expected"),
        ({"input_shape": (28.0, 28.0, 1)}, "three whole numbers above 0"),
        ({"input_shape": ("a", 28, 1)}, "three whole numbers above 0"),
        ({"weight_decay": "x"}, "weight_decay='x': expected a number of at least 0"),
        ({"weights": 3}, "vgg16 has no weights '3'"),
        ({"input_shape": 28}, r"three whole numbers .* got \(28,\)"),
        ({"input_shape": (64, 64, 0)}, "three whole numbers above 0"),
        ({"input_shape": (64, -64, 3)}, "three whole numbers above 0"),
        ({"classes": True}, "classes=True: expected a whole number"),
        ({"class_names": ("a", "b"), "classes": 3}, "got 2 class_names and classes=3"),
        ({"weights": "imagenette"}, "expected None, 'imagenet' or the path of a file"),
        (
            {"kernel_initializer": "garb"},
            "kernel_initializer='garb': expected a name",
        ),
        (
            {"bias_initializer": "garb"},
            "bias_initializer='garb': expected a name",
        ),
        ({"kernel_regularizer": "l3"}, "kernel_regularizer='l3': expected a name"),
        (
            {"kernel_regularizer": "l1", "weight_decay": 0.1},
            "takes one penalty on its kernels; got weight_decay=0.1 and a",
        ),
        ({"clases": 10}, "unknown option of vgg16 'clases'; did you mean 'classes'"),
        ({"model": "VGG16"}, "unknown model 'VGG16'; did you mean 'vgg16'"),
        ({"model": "small_resnet", "input_shape": (None, 28, 1)}, "PReLU with a slope"),
        ({"weight_decay": -1}, "weight_decay=-1: expected a number of at least 0"),
        ({"subsampling": "max"}, "unknown option of vgg16 'subsampling'"),
        (
            {"include_top": False, "classifier_activation": None},
            "no classifier, .* with classifier_activation, so leave",
        ),
        ({"preprocessing": "cafe"}, "did you mean 'caffe'"),
        ({"classifier_activation": "prelu"}, "classifier_activation='prelu': expected a"),
        ({"activation": "rellu"}, " activation='rellu': expected a name that Keras"),
        (
            {"model": "lenet5", "subsampling": "min"},
            "unknown subsampling .* 'min'",
        ),
        (
            {"model": "mlp", "depth": 0},
            "at least one hidden layer of one unit; got depth=0",
        ),
        (
            {"model": "mlp", "input_shape": (None, 28, 1)},
            "flattens .stem_flatten. needs",
        ),
        (
            {"model": "mlp", "include_top": False, "pooling": "avg"},
            "mlp has no feature maps to pool",
        ),
        ({"model": "simple_cnn", "pools": 3}, "at most as many pools as .* pools=3"),
        ({"model": "simple_cnn", "filters": ()}, "at least one convolution"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(cnnzoo.UsageError, match=message) as caught:
        build(**{"model": "vgg16", **arguments})
    assert len(str(caught.value)) <= 1000
    assert isinstance(caught.value, ValueError)


def test_the_message_names_the_computed_minimum_of_an_option():
    with pytest.raises(cnnzoo.UsageError, match=r"simple_cnn needs .* at least 24x24"):
        sketch("simple_cnn", filters=(8,) * 4, pools=3, input_shape=(20, 20, 1))


def test_an_option_may_need_more_than_the_papers_size():
    with pytest.raises(cnnzoo.UsageError, match=r"at least 46x46 pixels; got 28x28"):
        sketch("simple_cnn", filters=(8,) * 4, pools=4)
    sketch("simple_cnn", filters=(8,) * 4, pools=4, input_shape=(46, 46, 1))


def test_googlenet_is_a_name_too():
    assert sketch("googlenet", include_top=False).name == "inception_v1"
    assert cnnzoo.model_info("googlenet").name == "inception_v1"


@pytest.mark.parametrize("kind", [list, np.array])
def test_class_names_count_the_classes(kind):
    model = build("lenet_gap", class_names=kind(["cat", "dog", "eel"]))
    assert model.output_shape == (None, 3)
    assert model.cnnzoo.class_names == ("cat", "dog", "eel")
    assert model.cnnzoo.options["classes"] == 3


def test_input_tensor_draws_on_the_users_layers():
    images = keras.Input((40, 40, 3), name="mine")
    scaled = keras.layers.Rescaling(1 / 255, name="scaled")(images)
    model = sketch("resnet18", input_tensor=scaled, include_top=False)
    assert [layer.name for layer in model.layers][:3] == [
        "mine",
        "scaled",
        "stem_conv_pad",
    ]
    assert model.inputs[0].name == "mine"
    with pytest.raises(cnnzoo.UsageError, match="leave input_shape out"):
        build("resnet18", input_tensor=scaled, input_shape=(50, 50, 3))


@pytest.mark.parametrize(
    ("pooling", "shape"),
    [(None, (None, 2, 2, 512)), ("avg", (None, 512)), ("max", (None, 512))],
)
def test_without_top(pooling, shape):
    model = sketch("vgg11", include_top=False, pooling=pooling, input_shape=(64, 64, 3))
    assert model.output_shape == shape
    assert model.layers[-1].name == ("head_pool" if pooling else "features")


def test_open_sizes():
    model = build("resnet18", include_top=False, input_shape=(None, None, 3))
    assert model(np.zeros((1, 70, 45, 3), "float32")).shape == (1, 3, 2, 512)


def test_logits_and_softmax():
    keras.utils.set_random_seed(1)
    model = build("lenet_gap")
    logits = build("lenet_gap", classifier_activation=None)
    logits.set_weights(model.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 28, 28, 1))
    expected = keras.ops.softmax(logits(images))
    np.testing.assert_allclose(model(images), expected, atol=1e-6)


def test_two_classes():
    assert sketch("vgg11", classes=2, input_shape=SMALL).output_shape == (None, 2)
    one = sketch("vgg11", classes=2, classifier_activation="sigmoid", input_shape=SMALL)
    assert one.output_shape == (None, 1)


def test_name_and_defaults():
    model = sketch("resnet50")
    assert model.name == "resnet50"
    assert sketch("resnet50", name="mine").name == "mine"
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)


def test_options_reach_every_convolution():
    model = sketch(
        "vgg11",
        activation="tanh",
        kernel_initializer="he_uniform",
        weight_decay=1e-3,
        dropout=0.25,
        input_shape=SMALL,
    )
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    assert len(kernels) == 8 + 3
    for layer in kernels:
        assert isinstance(layer.kernel_initializer, keras.initializers.HeUniform)
        assert layer.kernel_regularizer.l2 == pytest.approx(1e-3)
    acts = [layer for layer in model.layers if layer.name.endswith("_act")]
    assert {layer.activation for layer in acts} == {keras.activations.tanh}
    rates = [x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)]
    assert rates == [0.25, 0.25]


def test_biases_and_penalties_as_keras_has_them():
    penalty = keras.regularizers.L1(1e-4)
    for name, options in (("alexnet", {}), ("xception", {"stem": "small"})):
        model = sketch(
            name, bias_initializer="ones", kernel_regularizer=penalty, **options
        )
        biased = [x for x in model.layers if getattr(x, "use_bias", False)]
        assert biased
        for layer in biased:
            assert isinstance(layer.bias_initializer, keras.initializers.Ones)
        for layer in model.layers:
            if hasattr(layer, "kernel_initializer"):
                assert layer.kernel_regularizer is penalty
    named = sketch("lenet5", kernel_regularizer="l2")
    assert named.get_layer("predictions").kernel_regularizer.l2 == pytest.approx(0.01)


@pytest.mark.parametrize(
    "initializer",
    [
        "he_normal",
        keras.initializers.HeNormal(),
        keras.initializers.HeNormal(seed=keras.random.SeedGenerator(1)),
        {"class_name": "HeNormal", "config": {}},
    ],
)
def test_kernels_of_one_shape_start_differently(initializer):
    model = build(
        "vgg16", include_top=False, input_shape=SMALL, kernel_initializer=initializer
    )
    first, second = (model.get_layer(f"stage3_conv{i}").kernel for i in (2, 3))
    assert float(keras.ops.max(keras.ops.abs(first - second))) > 0.01


def test_weight_decay_reaches_the_stem_of_two_dense():
    def stem(**options):
        model = sketch("inception_v1_two_dense", include_top=False, **options)
        return model.get_layer("stem_conv1")

    own = stem()
    assert own.kernel_regularizer.l2 == own.bias_regularizer.l2 == pytest.approx(5e-4)
    assert stem(weight_decay=1e-2).kernel_regularizer.l2 == pytest.approx(1e-2)


def test_no_dropout_at_all():
    model = sketch("vgg11", dropout=0.0, input_shape=SMALL)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)


def test_prelu_shares_its_slope_over_the_image():
    model = sketch("vgg11", activation="prelu", include_top=False, input_shape=SMALL)
    assert model.get_layer("stage2_conv1_act").alpha.shape == (1, 1, 128)
    own = sketch("small_resnet")
    assert own.get_layer("stage1_block1_act").alpha.shape == (6, 6, 256)
    shared = sketch("small_resnet", shared_slope=True)
    assert shared.count_params() == 8_613_834
    assert shared.get_layer("stage1_block1_act").alpha.shape == (1, 1, 256)


def test_what_a_block_adds_to_its_shortcut_is_small_at_first():
    damped, whole = build("small_resnet"), build("small_resnet", last_gamma=1.0)
    for model, start in (damped, 0.2), (whole, 1.0):
        gammas = {
            layer.name: np.unique(keras.ops.convert_to_numpy(layer.gamma)).tolist()
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        }
        last = [name for name in gammas if name.endswith("_conv3_bn")]
        assert len(last) == 13
        assert all(gammas.pop(name) == [pytest.approx(start)] for name in last)
        assert set(map(tuple, gammas.values())) == {(1.0,)}


def test_lenets_of_1998():
    model = sketch("lenet5", subsampling="trainable", activation="tanh")
    assert model.count_params() == 61_706 + 2 * 6 + 2 * 16
    assert model.get_layer("stage1_pool_act").activation is keras.activations.tanh
    average = sketch("lenet5", subsampling="average")
    assert isinstance(average.get_layer("stage1_pool"), keras.layers.AveragePooling2D)
    assert average.count_params() == 61_706


def test_mlp_by_its_arguments():
    model = sketch("mlp", depth=3, width=100, dropout=0.0)
    assert model.count_params() == 785 * 100 + 2 * 101 * 100 + 101 * 10
    assert build("mlp", include_top=False).output_shape == (None, 512)


def test_simple_cnn_by_its_arguments():
    model = sketch(
        "simple_cnn", filters=(8, 8, 16, 16), pools=2, dense=(), batch_norm=True
    )
    names = [
        layer.name
        for layer in model.layers
        if "conv" in layer.name or "pool" in layer.name
    ]
    assert [n for n in names if n.count("_") == 1] == [
        "stage1_conv1",
        "stage1_conv2",
        "stage1_pool",
        "stage2_conv3",
        "stage2_conv4",
        "stage2_pool",
    ]
    assert "stage2_conv4_bn" in names
    pooled = sketch(
        "simple_cnn", pools=0, global_pooling=True, input_shape=(None, None, 1)
    )
    assert pooled.output_shape == (None, 10)
    assert pooled.get_layer("head_pool").name == "head_pool"


def test_shapes_cnn_by_hand():
    first, second = 3 * 3 * 3 * 32 + 32, 3 * 3 * 32 * 64 + 64
    dense = 10 * 10 * 64 * 128 + 128
    assert cnnzoo.model_info("shapes_cnn").parameters == first + second + dense + 129 * 3


def test_a_spec_of_ones_own():
    tiny = replace(
        find("vgg16"),
        name="tiny",
        trunk=partial(vgg.trunk, filters=(4, 8), repeats=(1, 1)),
        head=pooled_head,
        min_size_floor=1,
    )
    model = build(tiny, input_shape=(9, 9, 3), classes=3)
    assert model.output_shape == (None, 3)
    assert model.cnnzoo.catalog_name is None
    with pytest.raises(cnnzoo.UsageError, match="tiny needs images of at least 4x4"):
        build(tiny, input_shape=(3, 3, 3))


def test_preprocessing_inside_equals_outside():
    keras.utils.set_random_seed(3)
    outside = build("resnet50", input_shape=SMALL, classes=5)
    inside = build("resnet50", input_shape=SMALL, classes=5, include_preprocessing=True)
    inside.set_weights(outside.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, *SMALL)).astype("float32")
    prepared = cnnzoo.preprocess_input(images, outside.cnnzoo.preprocessing)
    np.testing.assert_allclose(inside(images), outside(prepared), rtol=1e-4)


def test_building_does_not_change_global_state():
    keras.utils.set_random_seed(5)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    policy, layout = keras.config.dtype_policy(), keras.config.image_data_format()
    sketch("lenet5")
    after = np.random.get_state(legacy=False)["state"]["key"]
    assert (after == before).all()
    assert keras.config.dtype_policy() == policy
    assert keras.config.image_data_format() == layout


def test_a_seed_gives_the_same_weights_in_a_new_process():
    """Nothing that is imported for it draws numbers of its own."""
    code = (
        "import keras, cnnzoo\n"
        "for _ in range(2):\n"
        "    keras.utils.set_random_seed(0)\n"
        "    print(cnnzoo.LeNet5().get_weights()[0].sum())\n"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = found.stdout.split()
    assert first == second


def test_a_sketch_allocates_no_weights():
    """Keras gives it to all that it has noted when another scope of its own ends."""
    seen = sketch("simple_cnn")
    assert seen.count_params() == cnnzoo.model_info("simple_cnn").parameters
    with keras.StatelessScope():  # as where Keras infers a layer's shapes
        layer = keras.layers.Dense(3)
        layer.build((None, 4))
    assert layer.kernel._value is not None
    assert {weight._value for weight in seen.weights} == {None}
