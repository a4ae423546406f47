"""ONNX files as weights: the zoo's names, no names at all, and graphs of TensorFlow's.

Expected outputs are ONNX Runtime's on the same file.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_graphs
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import Graph
from parity import images, relative

import cnnzoo
from cnnzoo.weights.formats.onnx_file import read_source
from cnnzoo.weights.loading import load_weights

BOUND = 1e-4
CLASSES = 12
NETWORKS = {
    "alexnet": (onnx_graphs.alexnet, "", 95),
    "caffenet": (onnx_graphs.caffenet, "", 95),
    "zfnet512": (onnx_graphs.zfnet512, "gpu_0/", 96),
    "inception_v1": (onnx_graphs.googlenet, "", 64),
    "inception_v2": (onnx_graphs.inception_v2, "", 64),
}


def written(name: str) -> onnx.ModelProto:
    network, prefix, side = NETWORKS[name]
    return Graph(prefix=prefix).model(side, CLASSES, network)


def ours(name: str, side: int, **options: Any) -> keras.Model:
    shape = (side, side, 3)
    options = {"classifier_activation": None, "classes": CLASSES, **options}
    return cnnzoo.build(name, input_shape=shape, **options)


def same(model: keras.Model, theirs: onnx.ModelProto, side: int, scale=60.0) -> None:
    x = images(side, scale=scale)
    expected = onnx_graphs.run(theirs, x)["logits"]
    found = np.asarray(model(x, training=False))
    assert relative(found, expected) <= BOUND
    assert relative(expected[0], expected[1]) > 0.01


def without_names(model: onnx.ModelProto) -> None:
    """Numbers for names, as exporters give them."""
    numbers = {array.name: f"val_{i}" for i, array in enumerate(model.graph.initializer)}
    for array in model.graph.initializer:
        array.name = numbers[array.name]
    for node in model.graph.node:
        node.input[:] = [numbers.get(name, name) for name in node.input]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("inception_v1", True),
        ("inception_v1", False),
        *(
            pytest.param(name, named, marks=pytest.mark.proof)
            for name in NETWORKS
            for named in (True, False)
            if name != "inception_v1"
        ),
    ],
)
def test_the_zoo(name: str, named: bool, tmp_path: Path):
    theirs, side = written(name), NETWORKS[name][2]
    if not named:
        without_names(theirs)
    onnx.save(theirs, tmp_path / "a.onnx")
    model = ours(name, side)
    report = load_weights(model, tmp_path / "a.onnx")
    known = named and name.startswith("inception")
    assert ("names of the ONNX model zoo" in report.notes) == known
    same(model, theirs, side, scale=1.0 if name == "inception_v2" else 60.0)


def tf2onnx(weights: dict[str, np.ndarray], side: int) -> onnx.ModelProto:
    """VGG11 as tf2onnx exports it: OIHW kernels, and a flatten of (h, w, c)."""
    nodes, x, arrays = [], "turned", {}
    nodes.append(helper.make_node("Transpose", ["images"], [x], perm=[0, 3, 1, 2]))
    for name, kernel in weights.items():
        if not name.endswith("kernel"):
            continue
        layer, bias = name.split("/")[0], weights[name.replace("kernel", "bias")]
        w, b = (
            f"functional_1/{layer}_1/{end}"
            for end in ("convolution/ReadVariableOp:0", "Bias")
        )
        if kernel.ndim == 4:
            arrays |= {w: kernel.transpose(3, 2, 0, 1), b: bias}
            nodes.append(helper.make_node("Conv", [x, w, b], [layer], pads=[1] * 4))
            nodes.append(helper.make_node("Relu", [layer], [f"{layer}_relu"]))
            x = f"{layer}_relu"
            if layer[-1] == "2" or layer[5] in "12":
                nodes.append(
                    helper.make_node(
                        "MaxPool",
                        [x],
                        [f"{layer}_pool"],
                        kernel_shape=[2, 2],
                        strides=[2, 2],
                    )
                )
                x = f"{layer}_pool"
        else:
            if not any(node.op_type == "Reshape" for node in nodes):
                nodes.append(
                    helper.make_node("Transpose", [x], ["last"], perm=[0, 2, 3, 1])
                )
                arrays["shape"] = np.array([-1, kernel.shape[0]], np.int64)
                nodes.append(helper.make_node("Reshape", ["last", "shape"], ["flat"]))
                x = "flat"
            arrays |= {w: kernel, b: bias}
            nodes.append(helper.make_node("MatMul", [x, w], [f"{layer}_mul"]))
            nodes.append(helper.make_node("Add", [f"{layer}_mul", b], [layer]))
            x = layer
            if layer != "predictions":
                nodes.append(helper.make_node("Relu", [x], [f"{layer}_relu"]))
                x = f"{layer}_relu"
    nodes.append(helper.make_node("Identity", [x], ["logits"]))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [info("images", TensorProto.FLOAT, ["n", side, side, 3])],
        [info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=7)


def test_graphs_of_tensorflow(tmp_path: Path):
    side = 64
    source, model = ours("vgg11", side), ours("vgg11", side)
    weights = {
        f"{layer.name}/{weight.name}": np.asarray(weight)
        for layer in source.layers
        for weight in layer.weights
    }
    onnx.save(tf2onnx(weights, side), tmp_path / "vgg.onnx")
    report = load_weights(model, tmp_path / "vgg.onnx")
    assert "no known names, so layers by order and shape" in report.notes
    for one, two in zip(source.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_data_outside_the_file(tmp_path: Path):
    theirs, path = written("inception_v1"), tmp_path / "a.onnx"
    onnx.save(theirs, path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(cnnzoo.UnsafeFileError, match="keeps 'conv1/7x7_s2_w_0' in anoth"):
        load_weights(ours("inception_v1", 64), path)


def test_constants_in_nodes(tmp_path: Path):
    theirs = written("inception_v1")
    onnx.save(theirs, tmp_path / "a.onnx")
    named = [(array.name, array) for array in theirs.graph.initializer]
    nodes = [helper.make_node("Constant", [], [name], value=a) for name, a in named]
    nodes += theirs.graph.node
    theirs.graph.ClearField("initializer")
    theirs.graph.ClearField("node")
    theirs.graph.node.extend(nodes)
    onnx.save(theirs, tmp_path / "b.onnx")
    one, two = (read_source(tmp_path / f"{name}.onnx").arrays for name in "ab")
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(two[name].read(), array.read())


def test_another_network(tmp_path: Path):
    onnx.save(written("alexnet"), tmp_path / "a.onnx")
    model = cnnzoo.build("inception_v1", include_top=False)
    with pytest.raises(cnnzoo.WeightFileError, match="is missing"):
        load_weights(model, tmp_path / "a.onnx")
