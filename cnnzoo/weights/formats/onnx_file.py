"""ONNX: the initializers of a graph, as arrays of PyTorch's layout, and what feeds what.

Read with the extra `onnx`. A module is named by its kernel. Data outside the file are
refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnzoo.errors import UnsafeFileError, UsageError
from cnnzoo.system import files
from cnnzoo.weights.sources.onnx_zoo import module_name
from cnnzoo.weights.tensors import ArraySource, Tensor, damaged

ENDING = ".onnx"
ROLES: Mapping[str, tuple[str, ...]] = {  # of the inputs behind the first
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "PRelu": ("weight",),
}
AFTER = {"Mul": "scale", "Add": "bias"}  # of one value per channel behind a module
TO_CHANNELS_LAST = [0, 2, 3, 1]
COPIES = ("Identity", "Unsqueeze", "Reshape", "Cast")
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
        from onnx import numpy_helper
    except ImportError as error:
        raise UsageError(
            f"{path} is a file of ONNX, and the package that reads it is not installed; "
            "install it with: pip install 'cnnzoo[onnx]'"
        ) from error
    with files.refusing_damage(damaged(path, "is not a readable file of ONNX")):
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's own class
            raise ValueError(str(error)) from error
        if not model.graph.node:
            raise ValueError("no graph")
    for array in model.graph.initializer:
        if array.data_location == onnx.TensorProto.EXTERNAL:
            raise UnsafeFileError(
                f"{path} keeps {array.name[:80]!r} in another file; expected the numbers "
                "in the file itself, so save it with onnx.save(..., "
                "save_as_external_data=False)"
            )
    values = {
        array.name: Tensor(
            array.name,
            None,
            None,
            tuple(array.dims),
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(array.data_type)).name,
            partial(numpy_helper.to_array, array),
        )
        for array in model.graph.initializer
    }
    return _Reader(values).source(model.graph.node, str(path))


def _attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node that are used here."""
    return {
        a.name: list(a.ints) if a.ints else a.f if a.type == 1 else a.i
        for a in node.attribute
    }


class _Reader:
    """The modules of a graph, in its order.

    Args:
        values: Initializers by name; copies of them count as such.
    """

    def __init__(self, values: dict[str, Tensor]):
        self.values = values
        self.arrays: dict[str, Tensor] = {}
        self.graph: dict[str, tuple[str, ...]] = {}
        self.epsilons: dict[str, float] = {}
        self.channels_last: set[str] = set()
        self.front: dict[str, tuple[str, ...]] = {}  # of a tensor: modules that feed it
        self.in_keras_order: set[str] = set()  # tensors that are flattened (h, w, c)

    def source(self, nodes: Iterable[Any], name: str) -> ArraySource:
        for node in nodes:
            attributes = _attributes(node)
            if node.op_type in COPIES and node.input[0] in self.values:
                self.values[node.output[0]] = self.values[node.input[0]]
                continue
            self._order(node, attributes)
            self._module(node, attributes)
        return ArraySource(
            name,
            self.arrays,
            channels_last=frozenset(self.channels_last),
            epsilons=self.epsilons,
            graph=self.graph,
        )

    def _order(self, node: Any, attributes: Mapping) -> None:
        """Notes what is (h, w, c), as in graphs that come from TensorFlow."""
        turned = node.op_type == "Transpose" and (
            attributes.get("perm") == TO_CHANNELS_LAST
        )
        passed = node.op_type in PASSING and node.input[0] in self.in_keras_order
        if turned or passed:
            self.in_keras_order.update(node.output)

    def _module(self, node: Any, attributes: Mapping) -> None:
        """Notes the arrays of a node under the name of a module, if it has some."""
        front = (self.front.get(name, ()) for name in node.input)
        feeding = tuple(dict.fromkeys(unit for units in front for unit in units))
        given = [name for name in node.input if name in self.values]
        if node.op_type in ROLES and given:
            feeding = (self._named(node, given, attributes, feeding),)
        elif node.op_type in AFTER and given and len(feeding) == 1:
            self._merge(node.op_type, self.values[given[0]], feeding[0])
        for output in node.output:
            self.front[output] = feeding

    def _named(
        self, node: Any, given: Sequence[str], attributes: Mapping, feeding: tuple
    ) -> str:
        first = module_name(given[0])
        module = re.sub(r"[._]?(weight|kernel|gamma|scale|w)(:0)?$", "", first) or first
        module = module if module not in self.graph else f"{module}_{len(self.graph)}"
        for role, name in zip(ROLES[node.op_type], given, strict=False):
            array = self.values[name]
            if role == "weight" and node.op_type in ("Gemm", "MatMul"):
                if not attributes.get("transB"):
                    array = _transposed(array)
                if node.input[0] in self.in_keras_order:
                    self.channels_last.add(array.name)
            self.arrays[f"{module}.{role}"] = array
        if "epsilon" in attributes or node.op_type == "BatchNormalization":
            self.epsilons[module] = float(attributes.get("epsilon", 1e-5))
        self.graph[module] = feeding
        return module

    def _merge(self, kind: str, array: Tensor, module: str) -> None:
        """A scale or a shift behind a module: a bias, or what Caffe2 has behind BN."""
        norm = f"{module}.running_mean" in self.arrays
        role = "shift" if norm and kind == "Add" else AFTER[kind]
        self.arrays.setdefault(f"{module}.{role}", array)


def _transposed(array: Tensor) -> Tensor:
    return Tensor(
        array.name,
        None,
        None,
        tuple(reversed(array.shape)),
        array.dtype,
        lambda: array.read().T,
    )
