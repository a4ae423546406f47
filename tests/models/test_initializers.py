"""Weights start as the papers and the references say, measured on what is drawn.

The table has its numbers from the papers, Caffe's prototxt files and the defaults of
keras.applications. Keras's he_normal is He's deviation of a normal distribution that is
cut at two of its own deviations, and made wider by as much as that takes away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import prod, sqrt
from typing import Any

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.models.catalog import SPECS

# Of values of deviation 1: their kurtosis, and the largest that there are.
KINDS = {
    "uniform": (1.8, sqrt(3)),
    "truncated": (2.37, 2 / 0.87962566),  # at two deviations of the normal distribution
    "normal": (3.0, np.inf),
}
MANY = 1000  # values, of which a normal distribution has some beyond 2.4 deviations
ERRORS = 6  # standard errors: of ten thousand kernels none is beyond by chance
Rule = Callable[[int, int], tuple[str, float]]  # fan-in and fan-out: kind, deviation


def glorot(fan_in: int, fan_out: int) -> tuple[str, float]:
    """Glorot & Bengio 2010, equation 16: uniform up to sqrt(6 / (in + out))."""
    return "uniform", sqrt(2 / (fan_in + fan_out))


def xavier(fan_in: int, _fan_out: int) -> tuple[str, float]:
    """Caffe's filler of that name: uniform up to sqrt(3 / in)."""
    return "uniform", sqrt(1 / fan_in)


def he(fan_in: int, _fan_out: int) -> tuple[str, float]:
    """He et al. 2015, arXiv 1502.01852, equation 10: deviation sqrt(2 / in)."""
    return "truncated", sqrt(2 / fan_in)


def gaussian(deviation: float) -> Rule:
    return lambda fan_in, fan_out: ("normal", deviation)


@dataclass(frozen=True)
class Start:
    """How the weights of networks start.

    Attributes:
        rule: of all kernels.
        source: where that is said.
        bias: of convolutions; those of dense layers are 0.
        last_gamma: of the last normalisation of each residual branch.
        told: what the family's docstring says where the source has more than that.
    """

    rule: Rule
    source: str
    bias: float = 0.0
    last_gamma: float = 1.0
    told: str = ""


RESNETS = (18, 34, "50_paper", "101_paper", "152_paper", "50_v1_5", "101_v1_5")
RESNETS += ("152_v1_5", "18_v2", "34_v2", "50_v2_timm", 20, 32, 44, 56, 110)
OF_KERAS = ("resnet50", "resnet101", "resnet152", "resnet50_v2", "resnet101_v2")
OF_KERAS += ("resnet152_v2", "inception_v3", "inception_resnet_v2", "xception")
OWN = ("lenet_gap", "mlp", "simple_cnn", "shapes_cnn")
UNNAMED = ("inception_v2", "bn_inception", "inception_v2_separable", "inception_v4")
UNNAMED += ("inception_resnet_v1",)
KKWEON = "kkweon's networks are Keras's, by default"
NIN = "the authors' definition for cuda-convnet"
STARTS = {
    **dict.fromkeys(OWN, Start(glorot, "own designs, Keras's default")),
    "lenet5": Start(glorot, "Keras's default", told="Weights start as Keras's"),
    "alexnet": Start(
        gaussian(0.01),
        "NIPS 2012, section 5; bvlc_alexnet",
        bias=0.1,
        told="hidden dense layers: deviation 0.005, biases 0.1",
    ),
    "caffenet": Start(
        gaussian(0.01), "bvlc_reference_caffenet", bias=1.0, told="its biases are 1"
    ),
    "alexnet_torchvision": Start(
        glorot, "Keras's default", told="its weights start as Keras's"
    ),
    "zfnet": Start(gaussian(0.01), "arXiv 1311.2901, section 3.1"),
    "zfnet512": Start(gaussian(0.01), "ZFNet's, since Caffe2's file has none"),
    "nin": Start(gaussian(0.05), NIN, told="Not verified"),
    "nin_cifar10": Start(gaussian(0.05), NIN),
    "nin_mnist": Start(gaussian(0.05), NIN),
    **{
        f"vgg{n}": Start(glorot, "arXiv 1409.1556, section 3.1: Glorot's")
        for n in (11, 13, 16, 19)
    },
    **{
        f"vgg{n}_bn": Start(
            glorot, "as without BN", told="torchvision's as He's by fan-out"
        )
        for n in (11, 13, 16, 19)
    },
    "small_vgg": Start(glorot, KKWEON),
    "very_small_vgg": Start(glorot, KKWEON),
    **dict.fromkeys(
        ("inception_v1", "inception_v1_two_dense"),
        Start(
            xavier,
            "bvlc_googlenet",
            bias=0.2,
            told="hidden dense layers in auxiliary heads at 0",
        ),
    ),
    "googlenet_bn": Start(
        gaussian(0.01), "torchvision: deviation 0.01, cut at 200 deviations"
    ),
    **dict.fromkeys(UNNAMED, Start(glorot, "Keras's default; the papers name none")),
    **dict.fromkeys(OF_KERAS, Start(glorot, "keras.applications: Keras's default")),
    "inception_v3_torchvision": Start(
        glorot, "Keras's default", told="deviation 0.1, cut at two"
    ),
    "xception_timm": Start(glorot, "Keras's default", told="timm's as He's by fan-out"),
    **{f"resnet{n}": Start(he, "arXiv 1512.03385, section 3.4") for n in RESNETS},
    "small_resnet": Start(glorot, KKWEON, last_gamma=0.2, told="small at first"),
}
SAMPLE = ("lenet5", "nin_mnist", "resnet20", "very_small_vgg", "alexnet", "inception_v1")


def test_the_table_has_the_catalog():
    assert set(STARTS) == set(SPECS)


@pytest.mark.parametrize("name", [name for name in STARTS if STARTS[name].told])
def test_other_starts_are_told(name: str):
    text = import_module(f"cnnzoo.models.{SPECS[name].family}").__doc__ or ""
    assert STARTS[name].told in " ".join(text.split())


@pytest.mark.parametrize(
    "name",
    [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.proof) for n in STARTS],
)
def test_start(name: str):
    keras.utils.set_random_seed(0)
    side = cnnzoo.model_info(name).min_size
    channels = SPECS[name].input_shape[2]
    options: dict[str, Any] = {"input_shape": (side, side, channels), "classes": 10}
    if name.startswith("inception_v1"):
        options |= {"input_shape": (79, 79, 3), "aux_heads": True}
    model = cnnzoo.build(name, **options)
    for layer in model.layers:
        for weight in layer.weights:
            check(STARTS[name], layer, weight.name, np.array(weight))


def check(start: Start, layer: keras.Layer, kind: str, value: np.ndarray) -> None:
    if "kernel" in kind:
        check_kernel(start.rule, f"{layer.name}/{kind}", value)
        return
    last = layer.name.endswith("_conv3_bn")
    convolution = isinstance(layer, keras.layers.Conv2D)
    expected = {
        "bias": start.bias if convolution else 0.0,
        "gamma": start.last_gamma if last else 1.0,
        "beta": 0.0,
        "moving_mean": 0.0,
        "moving_variance": 1.0,
        "alpha": 0.0,
    }[kind]
    np.testing.assert_array_equal(value, np.float32(expected), f"{layer.name}/{kind}")


def check_kernel(rule: Rule, name: str, value: np.ndarray) -> None:
    """Mean, deviation and kind of the distribution, by what chance leaves open."""
    window = prod(value.shape[:-2])
    kind, deviation = rule(window * value.shape[-2], window * value.shape[-1])
    kurtosis, largest = KINDS[kind]
    scaled, count = value.ravel().astype(np.float64) / deviation, value.size
    assert abs(scaled.mean()) <= ERRORS / sqrt(count), name
    error = sqrt((kurtosis - 1) / (4 * count))
    assert abs(scaled.std() - 1) <= ERRORS * error, (name, scaled.std())
    top = np.abs(scaled).max()
    assert top <= largest * (1 + 1e-6), (name, top)
    if count >= MANY:
        lower = {"uniform": 1.6, "truncated": 1.9, "normal": 2.4}[kind]
        assert top > lower, (name, top)
