"""AlexNet and the Inceptions give the numbers of ONNX Runtime on public graphs.

The graphs have the tensor names and layouts of the files in the ONNX model zoo, and
random values. A name table and the conversion rules take these into the Keras network:
OIHW to HWIO, dense layers transposed, the first one behind a flatten reordered, and the
second scale and shift of Caffe2's Inception V2 folded into its normalisation.
"""

from collections.abc import Mapping

import numpy as np
import onnx_graphs
import pytest
from onnx_graphs import Graph
from parity import Record, compare, images, relative
from torch_weights import convert

import cnnzoo
from cnnzoo.weights.sources.onnx_zoo import NAMES, module_name

proof = pytest.mark.proof
RUNTIME = "ONNX Runtime"
BOUND = 1e-4
PIXELS = 60.0  # deviation of the input where LRN's constants are made for that size
CLASSES = 50

NETWORKS = {  # the graph, and what its names start with
    "alexnet": (onnx_graphs.alexnet, ""),
    "caffenet": (onnx_graphs.caffenet, ""),
    "zfnet512": (onnx_graphs.zfnet512, "gpu_0/"),
    "inception_v1": (onnx_graphs.googlenet, ""),
    "inception_v2": (onnx_graphs.inception_v2, ""),
}


def folded(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values with the scale and shift behind each normalisation put into it.

    `s * (gamma * x + beta) + b` is `(s * gamma) * x + (s * beta + b)`.
    """
    values = dict(values)
    for name in [name for name in values if name.endswith("/bn/sc_w_0")]:
        layer = name.removesuffix("/bn/sc_w_0")
        scale, shift = values.pop(name), values.pop(f"{layer}/bn/sc_b_0")
        values[f"{layer}/bn_scale_0"] = scale * values[f"{layer}/bn_scale_0"]
        values[f"{layer}/bn_bias_0"] = scale * values[f"{layer}/bn_bias_0"] + shift
    return values


def state_dict(values: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The values under the names that PyTorch would give them."""
    state = {}
    for name, value in folded(values).items():
        public = name.removeprefix(prefix)
        assert module_name(public) != public, f"no place for {name}"
        state[module_name(public)] = value
    return state


def pixels(name: str, side: int) -> np.ndarray:
    return images(side, scale=1.0 if name == "inception_v2" else PIXELS)


def expected_of(name: str, side: int, **options) -> tuple[dict, Graph]:
    """The graph's outputs for two images, and the graph, drawn under the options."""
    network, prefix = NETWORKS[name]
    graph = Graph(prefix=prefix, **options)
    model = graph.model(side, CLASSES, network)
    return onnx_graphs.run(model, pixels(name, side)), graph


def same_as_runtime(record: Record, name: str, side: int, output: str) -> None:
    activation = {"logits": None, "probabilities": "softmax"}[output]
    ours = cnnzoo.build(
        name,
        input_shape=(side, side, 3),
        classes=CLASSES,
        classifier_activation=activation,
    )
    expected, graph = expected_of(name, side)
    convert(ours, state_dict(graph.values, graph.prefix), NAMES[name].name)
    found = ours(pixels(name, side), training=False)
    theirs = expected["logits" if activation is None else "prob_1"]
    compare(record, name, f"{output}, {side} px", RUNTIME, found, theirs, BOUND)


# Sides whose maps before the pools are even, where Caffe's pools round up.
@pytest.mark.parametrize(
    ("name", "side", "output"),
    [
        ("alexnet", 95, "probabilities"),
        ("caffenet", 95, "logits"),
        ("zfnet512", 96, "logits"),
        ("inception_v1", 64, "logits"),
        ("inception_v2", 64, "logits"),
    ],
)
def test_onnx(record: Record, name: str, side: int, output: str):
    same_as_runtime(record, name, side, output)


@proof
@pytest.mark.parametrize("output", ["logits", "probabilities"])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_at_the_papers_size(record: Record, name: str, output: str):
    side = cnnzoo.model_info(name).input_shape[0]
    same_as_runtime(record, name, side, output)


@proof
@pytest.mark.parametrize("name", ["alexnet", "caffenet", "zfnet512", "inception_v1"])
def test_onnx_at_another_size(record: Record, name: str):
    same_as_runtime(record, name, 199, "logits")


@pytest.mark.parametrize("name", ["alexnet", "zfnet512", "inception_v1"])
def test_normalisation_matters(name: str):
    """Without its LRN, a network fails the comparisons above."""
    side = 96
    found, _ = expected_of(name, side, lrn=False)
    expected, _ = expected_of(name, side)
    assert relative(found["logits"], expected["logits"]) > 100 * BOUND
