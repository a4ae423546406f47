"""Networks give the numbers of their references, with the same random weights.

The references are definitions in NumPy that stand apart from cnnzoo:
`reference_googlenet` and `reference_nets`. Weights go over by name.
"""

from functools import partial

import keras
import numpy as np
import pytest
import reference_googlenet
import reference_nets
from numpy_layers import Weights, softmax
from parity import BOUND, Record, compare, draw, images, randomise, relative

import cnnzoo

proof = pytest.mark.proof

LOGITS = {"classifier_activation": None}


def weighted(model: keras.Model) -> dict[str, keras.Layer]:
    return {layer.name: layer for layer in model.layers if layer.weights}


# GoogLeNet, Caffe's and the one with two dense layers --------------------------------

GOOGLENETS = {
    "inception_v1": reference_googlenet.logits,
    "inception_v1_two_dense": reference_googlenet.two_dense_logits,
}
CLASSES = 50
NUMPY = "NumPy definition"
PIXELS = 60.0  # deviation of Caffe's input; LRN's constants are made for that size


def googlenet_weights(two_dense: bool, aux_side: int = 0) -> Weights:
    rng = np.random.default_rng(1)
    values = {}
    shapes = reference_googlenet.shapes(CLASSES, two_dense, aux_side)
    for layer, shape in shapes.items():
        kernel = draw(rng, "kernel", shape)
        if len(shape) == 2:
            kernel *= 0.1  # or else all probabilities would be 0 or 1
        bias = draw(rng, "bias", shape[-1:])
        values[layer] = {"kernel": kernel, "bias": 10 * bias}
    return Weights(values)


def googlenet(
    name: str, side: int, aux_side: int = 0, **options
) -> tuple[keras.Model, Weights]:
    """Ours, and the weights that it and the reference have."""
    weights = googlenet_weights(name.endswith("two_dense"), aux_side)
    ours = cnnzoo.build(name, input_shape=(side, side, 3), classes=CLASSES, **options)
    names = {layer: reference_googlenet.name_in_caffe(layer) for layer in weighted(ours)}
    assert sorted(names.values()) == sorted(weights.values)
    for layer, name in names.items():
        kernel, bias = weights.values[name].values()
        if name.endswith("/fc"):  # Caffe flattens channels first
            maps = kernel.reshape(128, aux_side, aux_side, -1)
            kernel = maps.transpose(1, 2, 0, 3).reshape(kernel.shape)
        ours.get_layer(layer).set_weights([kernel, bias])
    return ours, weights


@pytest.mark.parametrize("name", GOOGLENETS)
# 85 px make odd and even sides before the pools, 64 px even ones only.
@pytest.mark.parametrize(
    ("side", "options"),
    [
        (64, {}),
        (85, LOGITS),
        pytest.param(224, LOGITS, marks=proof),
        pytest.param(231, {}, marks=proof),
    ],
)
def test_googlenet(record: Record, name: str, side: int, options: dict):
    ours, weights = googlenet(name, side, **options)
    x = images(side, scale=PIXELS)
    expected = GOOGLENETS[name](x.astype(np.float64), weights)
    assert weights.used == set(weights.values)
    if not options:
        expected = softmax(expected)
    what = f"{'logits' if options else 'probabilities'}, {side} px"
    compare(record, name, what, NUMPY, ours(x, training=False), expected)


@pytest.mark.parametrize("name", GOOGLENETS)
@pytest.mark.parametrize(
    ("side", "aux_side"), [(133, 2), pytest.param(224, 4, marks=proof)]
)
def test_googlenet_aux_heads(record: Record, name: str, side: int, aux_side: int):
    ours, weights = googlenet(name, side, aux_side, aux_heads=True, **LOGITS)
    x = images(side, scale=PIXELS)
    two_dense = name.endswith("two_dense")
    expected = reference_googlenet.with_aux(x.astype(np.float64), weights, two_dense)
    assert weights.used == set(weights.values)
    heads = ("logits", "aux1 logits", "aux2 logits")
    for head, found, logits in zip(heads, ours(x, training=False), expected, strict=True):
        compare(record, name, f"{head}, {side} px", NUMPY, found, logits)


@pytest.mark.parametrize("name", GOOGLENETS)
def test_googlenet_needs_its_lrn(name: str):
    weights = googlenet_weights(two_dense=name.endswith("two_dense"))
    x = images(64, scale=PIXELS).astype(np.float64)
    reference = GOOGLENETS[name]
    without = reference(x, weights, normalise=lambda x: x)
    assert relative(without, reference(x, weights)) > 1000 * BOUND


def test_two_dense_penalises_its_stem():
    ours, weights = googlenet("inception_v1_two_dense", 64)
    stem = ("conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3")
    squares = sum((w.astype(float) ** 2).sum() for n in stem for w in weights[n].values())
    assert float(sum(ours.losses)) == pytest.approx(5e-4 * squares, rel=1e-5)


# The other networks in NumPy ---------------------------------------------------------


def case(name: str, reference, side: int, channels: int = 3, *, marks=(), **options):
    words = [*(f"{key}={value}" for key, value in options.items()), "logits"]
    label = f"{', '.join(words)}, {side} px"
    shape, id = (side, side, channels), f"{name}, {label}"
    return pytest.param(name, reference, shape, options, label, marks=marks, id=id)


def vgg_case(name: str, convolutions: tuple[int, ...], side: int, **options):
    epsilon = 1e-5 if name.endswith("bn") else None
    reference = partial(
        reference_nets.vgg, convolutions=convolutions, dense=2, epsilon=epsilon
    )
    return case(name, reference, side, **options)


def kkweon_case(name: str, dense: int):
    """A VGG of kkweon's, with Keras's own BN epsilon."""
    reference = partial(
        reference_nets.vgg, convolutions=(2, 2, 3, 3), dense=dense, epsilon=1e-3
    )
    return case(name, reference, 28, 1)


def resnet_case(name: str, repeats: tuple[int, ...], side: int, **options):
    reference = partial(
        reference_nets.resnet, repeats=repeats, bottleneck=name.endswith("paper")
    )
    return case(name, reference, side, **options)


SUBSAMPLING = ("max", "average", "trainable")
LENETS = {how: partial(reference_nets.lenet5, subsampling=how) for how in SUBSAMPLING}
LENET_1998 = partial(LENETS["trainable"], activation="tanh")
RESNETS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50_paper": (3, 4, 6, 3),
    "resnet101_paper": (3, 4, 23, 3),
    "resnet152_paper": (3, 8, 36, 3),
}
VGGS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg11_bn": (1, 1, 2, 2, 2),
    "vgg13_bn": (2, 2, 2, 2, 2),
    "vgg16_bn": (2, 2, 3, 3, 3),
    "vgg19_bn": (2, 2, 4, 4, 4),
}
CASES = [
    *(case("lenet5", LENETS[how], 28, 1, subsampling=how) for how in SUBSAMPLING),
    case("lenet5", LENET_1998, 28, 1, subsampling="trainable", activation="tanh"),
    case("lenet_gap", reference_nets.lenet_gap, 28, 1),
    case("lenet_gap", reference_nets.lenet_gap, 33, 1),
    case("mlp", reference_nets.mlp, 28, 1),
    case("simple_cnn", reference_nets.simple_cnn, 28, 1),
    case("shapes_cnn", reference_nets.simple_cnn, 24, classes=10),
    kkweon_case("small_vgg", dense=1),
    kkweon_case("very_small_vgg", dense=2),
    case("small_resnet", reference_nets.small_resnet, 28, 1),
    case("small_resnet", reference_nets.small_resnet, 28, 1, shared_slope=True),
    vgg_case("vgg11_bn", VGGS["vgg11_bn"], 64),
    resnet_case("resnet18", RESNETS["resnet18"], 64),
    *(vgg_case(name, VGGS[name], 75, marks=proof) for name in VGGS),
    *(
        resnet_case(name, RESNETS[name], side, marks=proof)
        for name in RESNETS
        for side in (75, 224)
    ),
]


@pytest.mark.parametrize(("name", "reference", "shape", "options", "label"), CASES)
def test_numpy(record: Record, name: str, reference, shape, options, label: str):
    ours = cnnzoo.build(name, input_shape=shape, **LOGITS, **options)
    randomise(ours)
    weights = Weights(
        {
            layer: {weight.name: weight.numpy() for weight in drawn.weights}
            for layer, drawn in weighted(ours).items()
        }
    )
    x = images(shape[0], shape[2])
    expected = reference(x.astype(np.float64), weights)
    assert weights.used == set(weights.values)
    compare(record, name, label, NUMPY, ours(x, training=False), expected)
