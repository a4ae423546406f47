"""What users of keras.applications rely on, for every network of the catalog.

The graphs are drawn without memory for weights. `make test` takes a network of each of
the smaller families, `make proofs` all.
"""

import keras
import pytest

import cnnzoo
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.models.catalog import SPECS
from cnnzoo.zoo import build, sketch

LARGE = ("inception_v2", "inception_v3", "inception_v4", "inception_resnet", "zfnet")
FIRST = {
    spec.family: spec.name
    for spec in reversed(SPECS.values())
    if spec.family not in LARGE
}
NETWORKS = [
    name if name in FIRST.values() else pytest.param(name, marks=pytest.mark.proof)
    for name in SPECS
]
VECTORS = {"mlp"}  # their features are no maps
ONE_SIZE = {"mlp", "small_resnet"}  # each has weights for every pixel


def odd_shape(name: str, channels: int) -> tuple[int, int, int]:
    """An odd height and another odd width, a little above the smallest."""
    side = cnnzoo.model_info(name).min_size // 2 * 2 + 3
    return (side, side + 4, channels)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_top(name: str):
    """1 and 4 channels, odd sizes, every pooling."""
    maps = sketch(name, include_top=False, input_shape=odd_shape(name, 4))
    *sizes, channels = maps.output_shape[1:]
    assert maps.layers[-1].name == "features"
    assert all(size >= 1 for size in sizes)
    if name in VECTORS:
        assert sizes == []
        return
    for pooling in ("avg", "max"):
        shape = odd_shape(name, 1)
        model = sketch(name, include_top=False, input_shape=shape, pooling=pooling)
        assert model.output_shape == (None, channels)
        assert model.layers[-1].name == "head_pool"


@pytest.mark.parametrize("name", NETWORKS)
def test_open_sizes_without_top(name: str):
    arguments = {"include_top": False, "input_shape": (None, None, 3)}
    if name in ONE_SIZE:
        with pytest.raises(cnnzoo.UsageError, match="needs images of one"):
            sketch(name, **arguments)
    else:
        model = sketch(name, **arguments)
        assert model.input_shape == (None, None, None, 3)
        assert model.output_shape[:3] == (None, None, None)


@pytest.mark.parametrize("name", NETWORKS)
def test_input_tensor_classes_and_logits(name: str):
    images = keras.Input(odd_shape(name, 3), name="mine")
    scaled = keras.layers.Rescaling(1 / 255, name="scaled")(images)
    model = sketch(
        name, input_tensor=scaled, classes=11, classifier_activation=None, name="other"
    )
    assert [x.name for x in model.inputs] == ["mine"]
    assert model.get_layer("scaled").output is scaled
    assert model.output_shape == (None, 11)
    assert model.name == "other"
    assert model.get_layer("predictions").activation is keras.activations.linear


@pytest.mark.parametrize("name", NETWORKS)
def test_the_configuration_makes_the_same_graph(name: str):
    model = sketch(name, input_shape=odd_shape(name, 3), classifier_activation="sigmoid")
    with init_empty_weights():
        again = keras.Model.from_config(model.get_config())
    assert again.name == model.name == name
    assert facts(again) == facts(model)
    assert again.get_config() == model.get_config()
    assert again.get_layer("predictions").activation is keras.activations.sigmoid


def facts(model: keras.Model) -> list[tuple]:
    return [
        (layer.name, type(layer), layer.output.shape, layer.count_params())
        for layer in model.layers
    ]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (64, 64)}, "three whole numbers above 0"),
        ({"input_shape": (64, 64, 3, 1)}, "three whole numbers above 0"),
        ({"pooling": "median", "include_top": False}, 'expected "avg" or "max"'),
        ({"classes": 0}, "classes=0: expected a whole number of at least 1"),
        (
            {"include_top": False, "classifier_activation": None},
            "without its top has no classifier, .* with classifier_activation, so leave",
        ),
        ({"weights": "imagenet1k"}, "has no weights 'imagenet1k'; expected None"),
    ],
)
def test_one_sentence_for_bad_arguments(name: str, arguments: dict, message: str):
    with pytest.raises(cnnzoo.UsageError, match=message) as caught:
        build(name, **arguments)
    assert len(str(caught.value)) <= 1000


STEMS = [name for name, spec in SPECS.items() if "stem" in spec.own_options]


@pytest.mark.parametrize("name", STEMS)
def test_an_unknown_stem(name: str):
    with pytest.raises(cnnzoo.UsageError, match="unknown stem 'tiny'; known: paper, sm"):
        build(name, stem="tiny")  # pyright: ignore


def test_every_network_for_imagenet_has_a_stem():
    sizes = {spec.name for spec in SPECS.values() if spec.input_shape[0] >= 224}
    assert sizes <= set(STEMS)
