"""AlexNet and the Inceptions give the numbers of ONNX Runtime on public graphs.

The graphs have the tensor names and layouts of the files in the ONNX model zoo, and
random values. A name table and the conversion rules take these into the Keras network:
OIHW to HWIO, dense layers transposed, the first one behind a flatten reordered, and the
second scale and shift of Caffe2's Inception V2 folded into its normalisation.
"""

import re
from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_graphs
import pytest
from onnx_graphs import Graph
from parity import Record, compare, images, relative
from torch_weights import convert

import cnnzoo

proof = pytest.mark.proof
RUNTIME = "ONNX Runtime"
BOUND = 1e-4
PIXELS = 60.0  # deviation of the input where LRN's constants are made for that size
CLASSES = 50

ALEXNET = {
    "stem_conv": "conv1",
    "stage1_conv": "conv2",
    "stage2_conv1": "conv3",
    "stage2_conv2": "conv4",
    "stage2_conv3": "conv5",
    "head_dense1": "fc6",
    "head_dense2": "fc7",
    "predictions": "fc8",
}
INCEPTION = {
    "stem_conv1": "conv1/7x7_s2",
    "stem_reduce": "conv2/3x3_reduce",
    "stem_conv2": "conv2/3x3",
    "predictions": "loss3/classifier",
}
BRANCHES = {  # what another name has in Caffe2's Inception V2
    "double_3x3_reduce": "double3x3_reduce",
    "double_3x3_1": "double3x3a",
    "double_3x3_2": "double3x3b",
}
SUFFIXES = {  # of a tensor's public name, and what PyTorch calls the same
    "_w": ".weight",
    "_b": ".bias",
    "/bn_scale": "/bn.weight",
    "/bn_bias": "/bn.bias",
    "/bn_mean": "/bn.running_mean",
    "/bn_var": "/bn.running_var",
}
NETWORKS = {  # the graph, what its names start with, its table of names
    "alexnet": (onnx_graphs.alexnet, "", ALEXNET),
    "caffenet": (onnx_graphs.caffenet, "", ALEXNET),
    "zfnet512": (onnx_graphs.zfnet512, "gpu_0/", ALEXNET),
    "inception_v1": (onnx_graphs.googlenet, "", INCEPTION),
    "inception_v2": (onnx_graphs.inception_v2, "", INCEPTION),
}


def public_name(layer: str, table: Mapping[str, str]) -> str:
    """What the public files call the layer that is `layer` here."""
    layer, norm = layer.removesuffix("_bn"), layer.endswith("_bn")
    name = table.get(layer)
    if name is None:
        module = re.fullmatch(r"stage(\d)_block(\d)_(.+)", layer)
        assert module, f"no name for {layer}"
        letter = "abcde"[int(module[2]) - 1]
        branch = BRANCHES.get(module[3], module[3])
        name = f"inception_{int(module[1]) + 2}{letter}/{branch}"
    return f"{name}/bn" if norm else name


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
        parts = re.fullmatch(rf"{prefix}(.+?)({'|'.join(SUFFIXES)})_0", name)
        assert parts, f"no place for {name}"
        state[parts[1] + SUFFIXES[parts[2]]] = value
    return state


def pixels(name: str, side: int) -> np.ndarray:
    return images(side, scale=1.0 if name == "inception_v2" else PIXELS)


def expected_of(name: str, side: int, **options) -> tuple[dict, Graph]:
    """The graph's outputs for two images, and the graph, drawn under the options."""
    network, prefix, _table = NETWORKS[name]
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
    state, table = state_dict(graph.values, graph.prefix), NETWORKS[name][2]
    convert(ours, state, partial(public_name, table=table))
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
