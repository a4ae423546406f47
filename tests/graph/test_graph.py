"""Properties of a built graph, compared with sums computed by hand."""

import keras
import pytest
from keras import layers

import cnnzoo
from cnnzoo import graph
from cnnzoo.graph.keras_internals import graph_nodes, init_empty_weights
from cnnzoo.zoo import build, find, sketch
from cnnzoo.zoo.input_size import LARGEST_SIDE, smallest_side


def diamond() -> keras.Model:
    """A small graph with a fork: images, a, (b, c and d), joined, out."""
    images = keras.Input((9, 9, 2), name="images")
    a = layers.Conv2D(4, 3, name="stage1_a")(images)
    b = layers.Conv2D(4, 5, padding="same", name="stage1_b")(a)
    c = layers.DepthwiseConv2D(3, padding="same", name="stage1_c")(a)
    d = layers.Conv2D(4, 1, name="stage1_d")(c)
    joined = layers.Add(name="stage1_joined")([b, d])
    pooled = layers.MaxPooling2D(2, name="stage2_pool")(joined)
    flat = layers.Flatten(name="head_flatten")(pooled)
    return keras.Model(images, layers.Dense(3, name="predictions")(flat))


def test_macs_by_hand():
    rows = {row.name: row for row in graph.layer_rows(diamond())}
    assert rows["stage1_a"].macs == 7 * 7 * 3 * 3 * 2 * 4
    assert rows["stage1_b"].macs == 7 * 7 * 5 * 5 * 4 * 4
    assert rows["stage1_c"].macs == 7 * 7 * 3 * 3 * 4
    assert rows["predictions"].macs == 3 * 3 * 4 * 3
    assert rows["stage1_joined"].macs == 0
    assert graph.macs(diamond()) == sum(row.macs or 0 for row in rows.values())


def test_grouped_and_separable_macs():
    images = keras.Input((6, 6, 4))
    grouped = keras.Model(images, layers.Conv2D(8, 3, groups=2, padding="same")(images))
    assert graph.macs(grouped) == 6 * 6 * 3 * 3 * (4 // 2) * 8
    both = keras.Model(images, layers.SeparableConv2D(8, 3, padding="same")(images))
    assert graph.macs(both) == 6 * 6 * (3 * 3 * 4 + 4 * 8)


def test_open_sizes_have_no_macs():
    images = keras.Input((None, None, 4))
    assert graph.macs(keras.Model(images, layers.Conv2D(8, 3)(images))) is None


def test_long_and_dilated_windows():
    images = keras.Input((40, 40, 1))
    x = layers.Conv2D(1, (1, 7), name="row")(images)
    x = layers.Conv2D(1, (7, 1), strides=2, name="column")(x)
    x = layers.Conv2D(1, 3, dilation_rate=4, name="dilated")(x)
    rows = {r.name: r.receptive_field for r in graph.layer_rows(keras.Model(images, x))}
    assert rows["row"] == (1, 7)
    assert rows["column"] == (7, 7)
    assert rows["dilated"] == (7 + 8 * 2, 7 + 8 * 2)


def test_a_model_inside_another():
    inner = keras.Sequential(
        [keras.Input((12, 12, 1)), layers.Conv2D(2, 3, strides=2), layers.Conv2D(2, 3)]
    )
    images = keras.Input((12, 12, 1))
    outer = keras.Model(images, layers.MaxPooling2D(2)(inner(images)))
    assert graph.macs(inner) == 5 * 5 * 9 * 2 + 3 * 3 * 9 * 2 * 2
    assert graph.macs(outer) == graph.macs(inner)
    assert [row.receptive_field for row in graph.layer_rows(outer)] == [
        (1, 1),
        (7, 7),
        (9, 9),
    ]


def test_a_model_of_two_outputs_inside_another():
    a = keras.Input((12, 12, 1))
    inner = keras.Model(a, [layers.Conv2D(1, 3)(a), layers.Conv2D(1, 5)(a)])
    images = keras.Input((12, 12, 1))
    small, large = inner(images)
    for tensor, side in ((small, 3), (large, 5)):
        model = keras.Model(images, layers.MaxPooling2D(2)(tensor))
        assert graph.layer_rows(model)[-1].receptive_field == (side + 1, side + 1)


def test_models_that_cannot_be_read():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(cnnzoo.UsageError, match="has no graph to read"):
        graph.macs(Own())
    images = keras.Input((4,))
    two = keras.Model(images, [layers.Dense(1)(images), layers.Dense(2)(images)])
    with pytest.raises(cnnzoo.UsageError, match=r"one input and one output.* 1 and 2"):
        graph.cut_points(two)


def test_an_operation_with_two_outputs():
    images = keras.Input((6, 6, 4))
    left, right = keras.ops.split(images, 2, axis=-1)
    model = keras.Model(
        images,
        layers.Concatenate()([layers.Conv2D(2, 3)(left)[:, :4], right[:, 1:5, 1:5]]),
    )
    assert graph.layer_rows(model)[-1].receptive_field == (3, 3)


def test_cut_points_of_a_fork():
    assert graph.cut_points(diamond()) == [
        "images",
        "stage1_a",
        "stage1_joined",
        "stage2_pool",
        "head_flatten",
        "predictions",
    ]


def test_every_cut_point_cuts():
    """Front and tail can be built at each cut, and together equal the model."""
    model = build("resnet18", input_shape=(33, 33, 3), classes=4)
    images = keras.random.uniform((2, 33, 33, 3))
    expected = model(images)
    tensors = {node.operation.name: node.outputs[0] for node in graph_nodes(model)}
    cuts = graph.cut_points(model)
    assert "stage2_block1_add" in cuts
    assert "stage2_block1_conv2" not in cuts
    for name in cuts[1:-1:7]:
        front = keras.Model(model.inputs, tensors[name])
        tail = keras.Model(tensors[name], model.outputs[0])
        assert float(keras.ops.max(abs(tail(front(images)) - expected))) == 0


def test_ancestors():
    assert graph.ancestors(diamond(), "stage1_d") == [
        "images",
        "stage1_a",
        "stage1_c",
        "stage1_d",
    ]
    with pytest.raises(cnnzoo.UsageError, match="did you mean 'stage1_d'"):
        graph.ancestors(diamond(), "stage1_dd")


def test_receptive_field_by_hand():
    rows = {row.name: row.receptive_field for row in graph.layer_rows(diamond())}
    assert rows["images"] == (1, 1)
    assert rows["stage1_a"] == (3, 3)
    assert rows["stage1_b"] == (7, 7)
    assert rows["stage1_c"] == rows["stage1_d"] == (5, 5)
    assert rows["stage1_joined"] == (7, 7)
    assert rows["stage2_pool"] == (8, 8)
    assert rows["predictions"] is None


@pytest.mark.parametrize(
    ("name", "layer", "pixels"),
    [  # published: Araujo, Norris & Sim 2019, https://doi.org/10.23915/distill.00021
        ("vgg16", "stage5_pool", 212),
        ("resnet50_paper", "stage4_block3_act", 483),
        ("resnet101_paper", "stage4_block3_act", 1027),
        ("resnet152_paper", "stage4_block3_act", 1507),
    ],
)
def test_published_receptive_fields(name, layer, pixels):
    rows = graph.layer_rows(sketch(name))
    assert {row.name: row.receptive_field for row in rows}[layer] == (pixels, pixels)


def test_stages_end_behind_their_pools():
    stages = graph.stages(sketch("vgg16"))
    assert [tuple(tensor.shape[1:]) for tensor in stages.values()] == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 256),
        (14, 14, 512),
        (7, 7, 512),
    ]


def test_output_shapes_at_another_size():
    shapes = graph.output_shapes(diamond(), (13, 11, 2))
    assert shapes["stage1_a"] == (11, 9, 4)
    assert shapes["stage2_pool"] == (5, 4, 4)


@pytest.mark.parametrize("name", ["lenet5", "small_resnet", "inception_v1", "simple_cnn"])
def test_smallest_side_is_what_building_finds(name):
    """The smallest side can be built, and smaller ones cannot."""
    spec = find(name)
    smallest = smallest_side(spec)
    assert smallest == cnnzoo.model_info(name).min_size

    def builds(side: int) -> bool:
        images = keras.Input((side, side, 1))
        try:
            with init_empty_weights():
                return 0 not in spec.trunk(images, conv=spec.conv).shape[1:]
        except ValueError:
            return False

    around = range(max(1, smallest - 3), smallest + 9)
    assert [side for side in around if builds(side)] == list(around)[-9:]


def test_smallest_side_of_a_graph_that_skips_sizes():
    """Two branches that round differently agree on every other size only up to 9."""
    images = keras.Input((LARGEST_SIDE, LARGEST_SIDE, 1))
    x = layers.Conv2D(1, 9)(images)
    assert graph.smallest_side(keras.Model(images, x)) == 9
    joined = layers.Concatenate()(
        [layers.MaxPooling2D(2)(images), layers.AveragePooling2D(2)(images)]
    )
    assert graph.smallest_side(keras.Model(images, joined)) == 2
