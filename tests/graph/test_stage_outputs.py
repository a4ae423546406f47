"""features(): stages as outputs, their channels and strides."""

import keras
import numpy as np
import pytest
from parity import images, randomise

import cnnzoo
from cnnzoo import graph
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.graph.stage_outputs import Feature, features
from cnnzoo.models.catalog import SPECS
from cnnzoo.zoo import build, sketch

SIDE = 224  # pixels, divisible by 32
# Every window there is padded to keep the image, but for what its stride takes.
PADDED = ("vgg", "resnet", "resnet_v2", "cifar_resnet", "inception_v1", "inception_v2")

# One of each kind in the sample of `make test`; all of them in `make proofs`.
SAMPLE = ("mlp", "lenet5", "alexnet", "nin_cifar10", "vgg11", "inception_v1")
SAMPLE += ("inception_v3", "xception", "resnet18", "resnet20", "resnet50_v2")
SOME = [
    name if name in SAMPLE else pytest.param(name, marks=pytest.mark.proof)
    for name in SPECS
]


@pytest.mark.parametrize("name", SOME)
def test_channels_and_strides_are_those_of_the_maps(name):
    """Images that are two steps larger give maps that are two pixels larger."""
    channels = cnnzoo.model_info(name).input_shape[2]
    model = sketch(name, input_shape=(SIDE, SIDE, channels), include_top=False)
    found = features(model)
    assert [feature.name for feature in found.feature_info] == list(graph.stages(model))
    ends = graph.output_shapes(model, (SIDE, SIDE, channels))
    for feature, output in zip(found.feature_info, found.outputs, strict=True):
        assert feature.channels == output.shape[-1]
        assert ends[feature.layer] == output.shape[1:]
        if feature.stride is None:
            assert len(output.shape) == 2
            continue
        more = 2 * feature.stride
        larger = graph.output_shapes(model, (SIDE + more, SIDE, channels))[feature.layer]
        assert larger == (output.shape[1] + 2, *output.shape[2:])
        if SPECS[name].family in PADDED:
            assert output.shape[1] == output.shape[2] == SIDE // feature.stride


@pytest.fixture(scope="module")
def resnet() -> keras.Model:
    model = build("resnet18", input_shape=(64, 64, 3), classes=5)
    randomise(model)
    return model


def test_by_hand(resnet):
    assert features(resnet, ("stage4", "stage2")).feature_info == (
        Feature("stage4", "stage4_block2_act", channels=512, stride=32),
        Feature("stage2", "stage2_block2_act", channels=128, stride=8),
    )


def test_outputs_are_the_networks_own(resnet):
    x = images(64)
    names = ["stage1_block2_act", "stage4_block2_act", "stage3_block2_act"]
    tensors = {node.operation.name: node.outputs[0] for node in graph_nodes(resnet)}
    inside = keras.Model(resnet.inputs, [tensors[name] for name in names])
    found = features(resnet, ("stage1", "stage4", "stage3")).predict(x, verbose=0)
    for one, other in zip(found, inside.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    one = features(resnet, "stage4").predict(x, verbose=0)
    np.testing.assert_array_equal(one, found[1])
    assert [f.name for f in features(resnet, "stage4").feature_info] == ["stage4"]


def test_all_stages_are_the_default(resnet):
    assert [tuple(output.shape[1:]) for output in features(resnet).outputs] == [
        (16, 16, 64),
        (8, 8, 128),
        (4, 4, 256),
        (2, 2, 512),
    ]


def test_weights_are_shared_and_train():
    model = build("very_small_vgg", classes=3)
    found = features(model, ("stage1", "stage2"))
    shared = {id(weight) for weight in model.weights}
    assert {id(weight) for weight in found.weights} <= shared
    before = [weight.numpy() for weight in found.trainable_weights]
    maps = [np.zeros((4, *output.shape[1:]), "float32") for output in found.outputs]
    found.compile("sgd", ["mse", "mse"])
    found.fit(images(28, 1)[[0, 1, 0, 1]], maps, verbose=0)
    after = [weight.numpy() for weight in found.trainable_weights]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    # The model itself trains as before.
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images(28, 1), np.array([0, 1]), verbose=0)
    assert (model.weights[0].numpy() != after[0]).any()


def test_a_model_from_a_file(resnet, tmp_path):
    path = cnnzoo.save(resnet, tmp_path / "model.keras")
    x = images(64)
    expected = features(resnet, "stage3").predict(x, verbose=0)
    info = features(resnet).feature_info
    ours = cnnzoo.load(path)
    np.testing.assert_array_equal(
        features(ours, "stage3").predict(x, verbose=0), expected
    )
    theirs = keras.saving.load_model(path)
    assert features(ours).feature_info == features(theirs).feature_info == info


def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        model = sketch("resnet18", input_shape=(3, 64, 96))
    finally:
        keras.config.set_image_data_format("channels_last")
    found = features(model, ("stage2", "stage4"))
    assert [f.channels for f in found.feature_info] == [128, 512]
    assert [f.stride for f in found.feature_info] == [8, 32]
    assert [tuple(output.shape[1:]) for output in found.outputs] == [
        (128, 8, 12),
        (512, 2, 3),
    ]


def test_with_auxiliary_classifiers():
    model = sketch("inception_v1", aux_heads=True)
    info = features(model).feature_info
    assert info == features(sketch("inception_v1")).feature_info
    assert [(f.channels, f.stride) for f in info] == [(480, 16), (832, 32), (1024, 32)]


def test_any_layer(resnet):
    names = ("stem_conv", "stage2", "features", "head_pool", "predictions")
    found = features(resnet, names)
    assert found.feature_info == (
        Feature("stem_conv", "stem_conv", channels=64, stride=2),
        Feature("stage2", "stage2_block2_act", channels=128, stride=8),
        Feature("features", "features", channels=512, stride=32),
        Feature("head_pool", "head_pool", channels=512, stride=None),
        Feature("predictions", "predictions", channels=5, stride=None),
    )
    x = images(64)
    outputs = found(x, training=False)
    np.testing.assert_array_equal(outputs[-1], resnet(x, training=False))
    front = keras.Model(resnet.inputs[0], resnet.get_layer("stem_conv").output)
    np.testing.assert_array_equal(outputs[0], front(x, training=False))


def test_layers_of_a_network_without_stages():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=2, name="a")]
    one = features(keras.Sequential(layers), "a")
    assert one.output_shape == (None, 3, 3, 4)
    assert one.feature_info == (Feature("a", "a", channels=4, stride=2),)
    with pytest.raises(cnnzoo.UsageError, match="unknown stage or layer of few 'b'"):
        features(keras.Sequential(layers, name="few"), "b")


def test_invalid_arguments(resnet):
    with pytest.raises(
        cnnzoo.UsageError, match="unknown stage or layer of resnet18 'stage5'; did"
    ):
        features(resnet, ("stage1", "stage5"))
    with pytest.raises(
        cnnzoo.UsageError, match=r"features need a stage of stage1, .*\(\)"
    ):
        features(resnet, ())
    bare = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="bare")
    with pytest.raises(cnnzoo.UsageError, match="model 'bare' has no stages"):
        features(bare)
