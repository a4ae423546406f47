"""Arrays of other libraries, in PyTorch's layout, as weights of a Keras model.

Kernels are transposed, and dense ones behind a flatten reordered from (c, h, w). What a
convolution's bias or a normalisation has and ours does not goes into its neighbour,
without a change of any output.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isclose, prod

import keras
import numpy as np
from keras import layers

from cnnzoo.graph.data_format import to_channels_last
from cnnzoo.graph.keras_internals import producer
from cnnzoo.weights.tensors import ArraySource, Key, Tensor

ROLES = {  # of Keras's weights: PyTorch's names
    "kernel": "weight",
    "depthwise_kernel": "conv1.weight",  # the two halves of timm's Xception
    "pointwise_kernel": "pointwise.weight",
    "bias": "bias",
    "alpha": "weight",
}
NORM_ROLES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
BEHIND = ("scale", "shift")  # of Caffe2, behind a normalisation
MERGED = "merged with its neighbours"
SHIFTED = "adjusted to another epsilon"
NORM = "_bn"  # the end of the name of a convolution's normalisation


class Conversion:
    """The arrays of a source as tensors for a model.

    Args:
        modules: Their module for each of our layers.

    Attributes:
        used: Names of the arrays that have a place in the model.
    """

    def __init__(
        self, model: keras.Model, source: ArraySource, modules: Mapping[str, str]
    ):
        self.model, self.source, self.modules = model, source, modules
        self.layers = {layer.name: layer for layer in model.layers if layer.weights}
        self.used: set[str] = set()

    def tensors(self) -> Iterator[tuple[Key, Tensor]]:
        """A tensor for each weight of the model that the source has."""
        for layer in self.layers.values():
            is_norm = isinstance(layer, layers.BatchNormalization)
            for i, variable in enumerate(layer.weights):
                tensor = (self._norm if is_norm else self._weight)(layer, variable)
                if tensor:
                    yield Key(layer.name, str(i)), tensor

    def _array(self, layer: str, role: str) -> Tensor | None:
        name = f"{self.modules.get(layer)}.{role}"
        self.used.add(name)
        return self.source.arrays.get(name)

    def _weight(self, layer: keras.Layer, variable: keras.Variable) -> Tensor | None:
        """A kernel, a bias or a slope."""
        array = self._array(layer.name, ROLES.get(str(variable.name), ""))
        if array is None or not variable.name.endswith("kernel"):
            return array
        shape, convert = self._kernel(layer, variable, array)
        norm, change = self.layers.get(f"{layer.name}{NORM}"), "transposed"
        gamma = None
        if norm and not norm.scale and variable.name != "depthwise_kernel":
            gamma = self._array(norm.name, "weight")
            change += " and multiplied by the scale behind it" if gamma else ""

        def read() -> np.ndarray:
            kernel = convert(array.read())
            return kernel * gamma.read() if gamma else kernel

        return replace(array, shape=shape, change=change, read=read)

    def _kernel(
        self, layer: keras.Layer, variable: keras.Variable, array: Tensor
    ) -> tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]:
        """The shape of a kernel in Keras's layout, and what brings it there."""
        out, *rest = array.shape or (0,)
        if variable.name == "depthwise_kernel" and len(rest) == 3:  # (in * times, 1, ...)
            inputs = variable.shape[2]
            shape = (*rest[1:], inputs, out // inputs)
            return shape, lambda k: k.reshape(inputs, -1, *rest[1:]).transpose(2, 3, 0, 1)
        if len(rest) not in (1, 3):
            return array.shape, np.asarray
        channels, height, width = (*rest, 1, 1)[:3]
        maps = self._flattened(layer, array.name)
        if maps and len(rest) == 1 and prod(maps) == channels:
            height, width, channels = maps
        theirs, shape = (out, channels, height, width), (height, width, channels, out)
        if isinstance(layer, layers.Dense):
            shape = (height * width * channels, out)
        return shape, lambda k: k.reshape(theirs).transpose(2, 3, 1, 0).reshape(shape)

    def _flattened(self, layer: keras.Layer, array: str) -> tuple[int, ...]:
        """The maps (h, w, c) that a dense layer takes flat, which are (c, h, w) there."""
        if array in self.source.channels_last or not isinstance(layer, layers.Dense):
            return ()
        while not isinstance(before := producer(layer.input), layers.Flatten):
            if not isinstance(before, layers.Dropout):
                return ()
            layer = before
        return to_channels_last(self.model, tuple(before.input.shape[1:]))

    def _norm(self, layer: keras.Layer, variable: keras.Variable) -> Tensor | None:
        """A weight of a normalisation, which takes over its convolution's bias.

        Where theirs is in the kernel in front, only the bias is left of it.
        """
        conv = self.layers.get(layer.name.removesuffix(NORM))
        conv = None if conv is layer else conv
        taken = {
            "weight": layer.scale or conv,  # a scale may go into the kernel
            "scale": layer.scale,
            **dict.fromkeys(("bias", "shift"), layer.center),
        }
        roles = [r for r in (*NORM_ROLES.values(), *BEHIND) if taken.get(r, True)]
        arrays = {role: self._array(layer.name, role) for role in roles}
        if conv and not getattr(conv, "use_bias", True):
            arrays["front"] = self._array(conv.name, "bias")
        given = {role: array for role, array in arrays.items() if array}
        if not given.keys() & {"front", "running_mean"}:
            return None
        module = self.modules.get(layer.name, "")
        epsilon = self.source.epsilons.get(module, layer.epsilon)

        def read() -> np.ndarray:
            v = {role: array.read() for role, array in given.items()}
            one = np.ones_like([*v.values()][-1])
            v = dict.fromkeys(("bias", "shift", "front", "running_mean"), 0 * one) | v
            v = dict.fromkeys(("weight", "scale"), one) | v
            gamma = v["weight"] * v["scale"]
            mean = v["running_mean"] - v["front"]
            variance = v.get("running_var", one - np.float32(epsilon))
            return {
                "gamma": gamma,
                "beta": v["bias"] * v["scale"] + v["shift"],
                "moving_mean": mean if layer.scale else mean * gamma,
                "moving_variance": variance + np.float32(epsilon - layer.epsilon),
            }[variable.name]

        array = given.get(NORM_ROLES[variable.name]) or [*given.values()][-1]
        change = MERGED if given.keys() - NORM_ROLES.values() else ""
        if variable.name == "moving_variance" and not isclose(epsilon, layer.epsilon):
            change = change or SHIFTED
        return replace(array, change=change, read=read)
