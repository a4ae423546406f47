"""Arrays of other libraries, in PyTorch's layout, as weights of a Keras model.

Kernels are transposed, and dense ones behind a flatten reordered from (c, h, w). What a
convolution's bias or a normalisation has and ours does not goes into its neighbour,
without a change of any output.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod

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
NORM_WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")
NORM_ROLES = ("weight", "bias", "running_mean", "running_var")
NORM = "_bn"  # the end of the name of a convolution's normalisation
Convert = Callable[[np.ndarray], np.ndarray]


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
            weights = layer.weights if layer.name in self.modules else ()
            for i, variable in enumerate(weights):
                tensor = (self._norm if is_norm else self._weight)(layer, variable)
                if tensor:
                    yield Key(layer.name, str(i)), tensor

    def _array(self, layer: str, role: str) -> Tensor | None:
        name = f"{self.modules.get(layer)}.{role}"
        self.used.add(name)
        return self.source.arrays.get(name)

    def _weight(self, layer: keras.Layer, variable: keras.Variable) -> Tensor | None:
        """A kernel, a bias or a slope."""
        array = self._array(layer.name, ROLES.get(variable.name, variable.name))
        if array is None or not variable.name.endswith("kernel"):
            return array
        shape, convert = self._kernel(layer, variable, array)
        norm = self.layers.get(f"{layer.name}{NORM}")
        gamma = None
        if norm and not norm.scale and variable.name != "depthwise_kernel":
            gamma = self._array(norm.name, "weight")
        if gamma is None:
            return _made(array, shape, "transposed", convert, array)
        return _made(
            array,
            shape,
            "transposed and multiplied by the scale behind it",
            lambda kernel, gamma: convert(kernel) * gamma,
            *(array, gamma),
        )

    def _kernel(
        self, layer: keras.Layer, variable: keras.Variable, array: Tensor
    ) -> tuple[tuple[int, ...], Convert]:
        """The shape of a kernel in Keras's layout, and what brings it there."""
        out, *rest = array.shape or (0,)
        if variable.name == "depthwise_kernel" and len(rest) == 3:  # (in * times, 1, ...)
            inputs = variable.shape[2]
            shape = (*rest[1:], inputs, out // inputs)
            return shape, lambda k: k.reshape(inputs, -1, *rest[1:]).transpose(2, 3, 0, 1)
        if len(rest) == 1:
            maps = self._flattened(layer, array.name)
            fits = maps and prod(maps) == rest[0]
            height, width, channels = maps if fits else (1, 1, rest[0])
        elif len(rest) == 3:
            channels, height, width = rest
        else:
            return array.shape, np.asarray
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
        arrays = {
            role: array
            for role in (*NORM_ROLES, "scale", "shift")
            if (array := self._array(layer.name, role))
        }
        conv = self.layers.get(layer.name.removesuffix(NORM))
        if conv is not layer and conv and not getattr(conv, "use_bias", True):
            front = self._array(conv.name, "bias")
            arrays |= {"front": front} if front else {}
        if not arrays.keys() & {"front", "running_mean"}:
            return None
        epsilon = self.source.epsilons.get(self.modules[layer.name], layer.epsilon)

        def convert(*values: np.ndarray) -> np.ndarray:
            given = dict(zip(arrays, values, strict=True))
            zero, one = np.zeros_like(values[-1]), np.ones_like(values[-1])
            scale = given.get("scale", one)
            gamma = given.get("weight", one) * scale
            beta = given.get("bias", zero) * scale + given.get("shift", zero)
            front = given.get("front", zero)
            if "running_mean" in given:
                mean = given["running_mean"] - front
                variance = given["running_var"] + np.float32(epsilon - layer.epsilon)
            else:
                mean, variance = -front, one - np.float32(layer.epsilon)
            return {
                "gamma": gamma,
                "beta": beta,
                "moving_mean": mean if layer.scale else mean * gamma,
                "moving_variance": variance,
            }[variable.name]

        main = arrays.get(NORM_ROLES[NORM_WEIGHTS.index(variable.name)])
        main = main or [*arrays.values()][-1]
        change = "" if arrays.keys() <= {*NORM_ROLES} else "merged with its neighbours"
        return _made(main, main.shape, change, convert, *arrays.values())


def _made(
    tensor: Tensor,
    shape: tuple[int, ...],
    change: str,
    convert: Callable[..., np.ndarray],
    *arrays: Tensor,
) -> Tensor:
    """A tensor that is computed from arrays when it is read."""

    def read() -> np.ndarray:
        return convert(*(array.read() for array in arrays))

    return Tensor(tensor.name, None, None, tuple(shape), tensor.dtype, read, change)
