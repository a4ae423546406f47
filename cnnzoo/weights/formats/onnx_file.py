"""ONNX: the initializers of a graph, as arrays of PyTorch's layout, and what feeds what.

Read with the extra `onnx`. A module is named by its kernel. Data outside the file are
refused.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnzoo.errors import UnsafeFileError, not_installed
from cnnzoo.system import files
from cnnzoo.weights.tensors import POOL, ArraySource, Tensor, damaged

ENDING = ".onnx"
ROLES: Mapping[str, tuple[str, ...]] = {  # of the inputs behind the first
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "PRelu": ("weight",),
}
KERNEL = re.compile(r"[._]?(weight|kernel|gamma|scale|w)(_0)?(:0)?$")  # Caffe2 adds _0
AFTER = {"Mul": "scale", "Add": "bias"}  # of one value per channel behind a module
POOLS = ("MaxPool", "AveragePool")
TO_CHANNELS_LAST = [0, 2, 3, 1]
COPIES = ("Identity", "Unsqueeze", "Reshape", "Cast")
SHAPING = ("Clip", "Dropout", "Pad", "Resize", "Upsample")  # of floats, but no weights
PASSING = ("Reshape", "Flatten", "Squeeze", "Dropout", "Identity", "Relu")


def read_source(path: Path) -> ArraySource:
    """Reads the arrays of a file.

    Raises:
        UsageError: The package `onnx` is not installed.
        UnsafeFileError: Arrays are in other files.
        WeightFileError: The file is damaged, or no graph.
    """
    try:
        import onnx
    except ImportError as error:
        raise not_installed("onnx", "onnx", path) from error
    with files.refusing_damage(damaged(path, "is not a readable file of ONNX")):
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's own class
            raise ValueError(str(error)) from error
        if not model.graph.node:
            raise ValueError("no graph")
        arrays = [*model.graph.initializer]
        for node in model.graph.node:
            for value in node.attribute if node.op_type == "Constant" else ():
                if value.name == "value":
                    value.t.name = node.output[0]
                    arrays.append(value.t)
        graph = _Graph({a.name: _tensor(a, path) for a in arrays})
        for node in model.graph.node:
            graph.add(node)
    return graph.source(str(path))


def _tensor(array: Any, path: Path) -> Tensor:
    from onnx import TensorProto, helper, numpy_helper

    if array.data_location == TensorProto.EXTERNAL:
        raise UnsafeFileError(
            f"{path} keeps {array.name[:80]!r} in another file; expected the numbers "
            "in the file itself, so save it with onnx.save(..., "
            "save_as_external_data=False)"
        )

    def read() -> np.ndarray:
        with files.refusing_damage(damaged(path, f"has a broken {array.name[:80]!r}")):
            return numpy_helper.to_array(array)

    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(array.data_type)).name
    return Tensor(array.name, tuple(array.dims), dtype, read)


class _Graph:
    """The modules of a graph, in its order.

    Args:
        values: Initializers by name; copies of them count as such.
    """

    def __init__(self, values: dict[str, Tensor]):
        self.values = values
        self.arrays: dict[str, Tensor] = {}
        self.parents: dict[str, tuple[str, ...]] = {}
        self.epsilons: dict[str, float] = {}
        self.channels_last: set[str] = set()  # kernels behind a flatten of (h, w, c)
        self.front: dict[str, tuple[str, ...]] = {}  # of a tensor: what feeds it
        self.turned: set[str] = set()  # tensors (b, h, w, c), or flattened so

    def source(self, name: str) -> ArraySource:
        return ArraySource(
            name,
            self.arrays,
            channels_last=frozenset(self.channels_last),
            epsilons=self.epsilons,
            graph=self.parents,
        )

    def add(self, node: Any) -> None:
        """Notes the arrays of a node under the name of a module, if it has some."""
        kind, first = node.op_type, [*node.input, ""][0]
        if kind in COPIES and first in self.values:
            self.values[node.output[0]] = self.values[first]
            return
        attributes = {
            a.name: list(a.ints) if a.ints else a.f if a.type == a.FLOAT else a.i
            for a in node.attribute
        }
        turning = kind == "Transpose" and attributes.get("perm") == TO_CHANNELS_LAST
        if turning or (kind in PASSING and first in self.turned):
            self.turned.update(node.output)
        given = [self.values[name] for name in node.input if name in self.values]
        units = (unit for name in node.input for unit in self.front.get(name, ()))
        feeding = tuple(dict.fromkeys(units))
        if kind in AFTER and given and len(feeding) == 1:
            self._merge(kind, given[0], feeding[0])
        elif kind in ROLES and given:
            name = self._module(kind, first, given, attributes)
            self.parents[name] = feeding
            feeding = (name,)
        elif kind in POOLS and POOL not in feeding:
            feeding = (*feeding, POOL)
        elif kind not in SHAPING:
            for array in given:
                if "float" in array.dtype:
                    self._keep(array.name, array)
        self.front |= dict.fromkeys(node.output, feeding)

    def _module(
        self, kind: str, first: str, given: list[Tensor], attributes: Mapping
    ) -> str:
        """The name of a module, whose arrays are noted."""
        kernel, *others = given
        module = KERNEL.sub("", kernel.name) or kernel.name
        module = module if module not in self.parents else f"{module}_{len(self.parents)}"
        if kind in ("Gemm", "MatMul"):
            if not attributes.get("transB"):
                turned, read = tuple(reversed(kernel.shape)), kernel.read
                kernel = replace(kernel, shape=turned, read=lambda: read().T)
            if first in self.turned:
                self.channels_last.add(kernel.name)
        for role, array in zip(ROLES[kind], (kernel, *others), strict=False):
            self._keep(f"{module}.{role}", array)
        if kind == "BatchNormalization":
            self.epsilons[module] = float(attributes.get("epsilon", 1e-5))
        return module

    def _merge(self, kind: str, array: Tensor, module: str) -> None:
        """A scale or a shift behind a module: a bias, or what Caffe2 has behind BN."""
        norm = f"{module}.running_mean" in self.arrays
        role = "shift" if norm and kind == "Add" else AFTER[kind]
        self._keep(f"{module}.{role}", array)

    def _keep(self, name: str, array: Tensor) -> None:
        """Notes an array; where a name is taken, under one that no model has."""
        while name in self.arrays:
            name = f"{name}_again"
        self.arrays[name] = array
