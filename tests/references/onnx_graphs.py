"""Networks as ONNX graphs, in the layout of the public files, with random values.

Tensors have the names that the ONNX model zoo took from Caffe2, and Caffe2 from Caffe:
`conv1_w_0`, `fc6_b_0`, `inception_3a/1x1_w_0`. Images come first (b, 3, h, w), kernels
are (out, in / groups, h, w), dense ones (out, in), read by a Gemm with transB. Each graph
has two outputs, `logits` and `prob_1`. Nothing here imports cnnzoo.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

CEIL = (0, 0, 1, 1)  # pads that let the last window hang over, as Caffe's pools do
FLOOR = (0, 0, 0, 0)
Array = np.ndarray
Network = Callable[["Graph", str, int], str]  # draws on a graph: images to logits
LAST = 0.02  # of the last weights, so that large signals spread the probabilities


class Graph:
    """An ONNX graph that is being drawn, and the values of its tensors.

    Args:
        prefix: what all public names start with.
        lrn: whether normalisations are drawn.
    """

    def __init__(self, *, prefix: str = "", lrn: bool = True, seed: int = 0):
        self.prefix = prefix
        self.has_lrn = lrn
        self.rng = np.random.default_rng(seed)
        self.values: dict[str, Array] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {}  # of a tensor: channels, side

    def node(self, kind: str, *inputs: str, shape: tuple[int, ...], **attributes) -> str:
        """Draws an operator and returns its output; `shape` is that of the output."""
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        self.shapes[output] = shape
        return output

    def value(self, name: str, value: Array) -> str:
        name = f"{self.prefix}{name}_0"
        assert name not in self.values
        self.values[name] = value.astype(np.float32)
        return name

    def kernel(self, name: str, *shape: int, scale: float = 1.0) -> str:
        deviation = scale * (2 / np.prod(shape[1:])) ** 0.5
        drawn = self.rng.standard_normal(shape, np.float32)
        return self.value(name, drawn * np.float32(deviation))

    def vector(self, name: str, size: int, low: float, high: float) -> str:
        return self.value(name, self.rng.uniform(low, high, size))

    def conv(
        self,
        x: str,
        name: str,
        filters: int,
        size: int,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
        *,
        bias: bool = True,
    ) -> str:
        channels, side = self.shapes[x]
        weights = [self.kernel(f"{name}_w", filters, channels // group, size, size)]
        weights += [self.vector(f"{name}_b", filters, -2, 2)] if bias else []
        return self.node(
            "Conv",
            x,
            *weights,
            shape=(filters, (side + 2 * pad - size) // stride + 1),
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=group,
        )

    def relu(self, x: str) -> str:
        return self.node("Relu", x, shape=self.shapes[x])

    def conv_relu(self, x: str, name: str, *geometry: int) -> str:
        return self.relu(self.conv(x, name, *geometry))

    def pool(self, x: str, size=3, stride=2, pads=CEIL, kind: str = "MaxPool") -> str:
        channels, side = self.shapes[x]
        return self.node(
            kind,
            x,
            shape=(channels, (side + pads[0] + pads[2] - size) // stride + 1),
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=pads,
        )

    def lrn(self, x: str, alpha: float = 1e-4, bias: float = 1.0) -> str:
        if not self.has_lrn:
            return x
        return self.node(
            "LRN", x, shape=self.shapes[x], size=5, alpha=alpha, beta=0.75, bias=bias
        )

    def concat(self, *branches: str) -> str:
        channels = sum(self.shapes[branch][0] for branch in branches)
        side = self.shapes[branches[0]][1]
        return self.node("Concat", *branches, shape=(channels, side), axis=1)

    def mean(self, x: str) -> str:
        """The public 7x7 pool, for maps of any size."""
        return self.pool(x, self.shapes[x][1], 1, FLOOR, "AveragePool")

    def dense(self, x: str, name: str, units: int, scale: float = 1.0) -> str:
        """A fully connected layer, on maps that are flattened (c, h, w)."""
        shape = self.shapes[x]
        inputs = shape[0] * (shape[1] ** 2 if len(shape) == 2 else 1)
        if len(shape) == 2:
            x = self.node("Flatten", x, shape=(inputs,), axis=1)
        weights = self.kernel(f"{name}_w", units, inputs, scale=scale)
        bias = self.vector(f"{name}_b", units, -2 * scale, 2 * scale)
        return self.node("Gemm", x, weights, bias, shape=(units,), transB=1)

    def model(self, side: int, units: int, network: Network) -> onnx.ModelProto:
        """The network for images of that side, in pixels."""
        images, size = f"{self.prefix}data_0", ["batch", 3, side, side]
        self.shapes[images] = (3, side)
        logits = network(self, images, units)
        self.nodes += [
            helper.make_node("Identity", [logits], ["logits"]),
            helper.make_node("Softmax", [logits], ["prob_1"], axis=1),
        ]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "network",
            [info(images, onnx.TensorProto.FLOAT, size)],
            [
                info(name, onnx.TensorProto.FLOAT, ["batch", units])
                for name in ("logits", "prob_1")
            ],
            [numpy_helper.from_array(v, name) for name, v in self.values.items()],
        )
        opsets = [helper.make_opsetid("", 12)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=7)


def run(model: onnx.ModelProto, images: Array) -> dict[str, Array]:
    """The outputs by name for images (b, h, w, c)."""
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    feed = {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2).copy()}
    return dict(zip(names, session.run(names, feed), strict=True))


# AlexNet and its kin -------------------------------------------------------------------


def dense_three(g: Graph, x: str, widths: tuple[int, int], units: int) -> str:
    """fc6, fc7 and fc8."""
    for i, width in enumerate(widths, start=6):
        x = g.relu(g.dense(x, f"fc{i}", width))
    return g.dense(x, "fc8", units, scale=LAST)


def alexnet(g: Graph, x: str, units: int) -> str:
    """bvlc_alexnet: normalises, then pools."""
    x = g.pool(g.lrn(g.conv_relu(x, "conv1", 96, 11, 4)))
    x = g.pool(g.lrn(g.conv_relu(x, "conv2", 256, 5, 1, 2, 2)))
    return last_of_alexnet(g, x, units)


def caffenet(g: Graph, x: str, units: int) -> str:
    """bvlc_reference_caffenet: pools, then normalises."""
    x = g.lrn(g.pool(g.conv_relu(x, "conv1", 96, 11, 4)))
    x = g.lrn(g.pool(g.conv_relu(x, "conv2", 256, 5, 1, 2, 2)))
    return last_of_alexnet(g, x, units)


def last_of_alexnet(g: Graph, x: str, units: int) -> str:
    x = g.conv_relu(x, "conv3", 384, 3, 1, 1)
    x = g.conv_relu(x, "conv4", 384, 3, 1, 1, 2)
    x = g.conv_relu(x, "conv5", 256, 3, 1, 1, 2)
    return dense_three(g, g.pool(x), (4096, 4096), units)


def zfnet512(g: Graph, x: str, units: int) -> str:
    """Caffe2's: no padding, pools that round down, the last one 2x2."""
    for name, filters, size in (("conv1", 96, 7), ("conv2", 256, 5)):
        x = g.conv_relu(x, name, filters, size, 2)
        x = g.pool(g.lrn(x, alpha=5e-4, bias=2.0), pads=FLOOR)
    for i in (3, 4, 5):
        x = g.conv_relu(x, f"conv{i}", 512, 3, 1, 1)
    return dense_three(g, g.pool(x, 2, pads=FLOOR), (4096, 1024), units)


# GoogLeNet -----------------------------------------------------------------------------

# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
GOOGLENET = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(g: Graph, x: str, units: int) -> str:
    """bvlc_googlenet, without its auxiliary classifiers."""
    x = g.lrn(g.pool(g.conv_relu(x, "conv1/7x7_s2", 64, 7, 2, 3)))
    x = g.conv_relu(x, "conv2/3x3_reduce", 64, 1)
    x = g.pool(g.lrn(g.conv_relu(x, "conv2/3x3", 192, 3, 1, 1)))
    for module, widths in GOOGLENET.items():
        name = f"inception_{module}"
        one, reduce3, three, reduce5, five, projection = widths
        small = g.conv_relu(x, f"{name}/3x3_reduce", reduce3, 1)
        large = g.conv_relu(x, f"{name}/5x5_reduce", reduce5, 1)
        pooled = g.pool(x, 3, 1, (1, 1, 1, 1))
        x = g.concat(
            g.conv_relu(x, f"{name}/1x1", one, 1),
            g.conv_relu(small, f"{name}/3x3", three, 3, 1, 1),
            g.conv_relu(large, f"{name}/5x5", five, 5, 1, 2),
            g.conv_relu(pooled, f"{name}/pool_proj", projection, 1),
        )
        if module in ("3b", "4e"):
            x = g.pool(x)
    return g.dense(g.mean(x), "loss3/classifier", units, scale=LAST)


# Inception V2 --------------------------------------------------------------------------

# 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool projection
INCEPTION_V2 = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),  # halves the image
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 96),
    "4d": (96, 128, 192, 160, 192, 96),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}


def conv_bn(g: Graph, x: str, name: str, *geometry: int) -> str:
    """Convolution, normalisation, and then a scale and a shift of their own."""
    x = g.conv(x, name, *geometry, bias=False)
    channels = g.shapes[x][0]

    def vector(part: str, low: float, high: float) -> str:
        return g.vector(f"{name}/{part}", channels, low, high)

    def per_channel(kind: str, x: str, weights: str) -> str:
        weights = g.node("Unsqueeze", weights, shape=(channels, 1), axes=[1, 2])
        return g.node(kind, x, weights, shape=g.shapes[x])

    x = g.node(
        "BatchNormalization",
        x,
        vector("bn_scale", 0.7, 1.5),
        vector("bn_bias", -0.5, 0.5),
        vector("bn_mean", -0.5, 0.5),
        vector("bn_var", 0.5, 2.0),
        shape=g.shapes[x],
        epsilon=1e-5,
    )
    x = per_channel("Mul", x, vector("bn/sc_w", 0.5, 1.2))
    return g.relu(per_channel("Add", x, vector("bn/sc_b", -0.5, 0.5)))


def inception_v2(g: Graph, x: str, units: int) -> str:
    """Caffe2's: average pools leave out their padding, as ONNX's do."""
    conv = partial(conv_bn, g)
    x = g.pool(conv(x, "conv1/7x7_s2", 64, 7, 2, 3))
    x = conv(x, "conv2/3x3_reduce", 64, 1)
    x = g.pool(conv(x, "conv2/3x3", 192, 3, 1, 1))
    for module, widths in INCEPTION_V2.items():
        name = f"inception_{module}"
        one, reduce3, three, reduce_double, double, projection = widths
        stride = 1 if one else 2
        single = conv(x, f"{name}/3x3_reduce", reduce3, 1)
        twice = conv(x, f"{name}/double3x3_reduce", reduce_double, 1)
        twice = conv(twice, f"{name}/double3x3a", double, 3, 1, 1)
        branches = [
            conv(single, f"{name}/3x3", three, 3, stride, 1),
            conv(twice, f"{name}/double3x3b", double, 3, stride, 1),
        ]
        if one:
            kind = "MaxPool" if module == "5b" else "AveragePool"
            pooled = g.pool(x, 3, 1, (1, 1, 1, 1), kind)
            branches.insert(0, conv(x, f"{name}/1x1", one, 1))
            branches.append(conv(pooled, f"{name}/pool_proj", projection, 1))
        else:
            branches.append(g.pool(x))
        x = g.concat(*branches)
    return g.dense(g.mean(x), "loss3/classifier", units, scale=0.5)
