"""State dicts with public tensor names, and how they go into a Keras network.

The conversion rules are those that any port needs: OIHW to HWIO, dense layers
transposed, and the first dense layer behind a flatten reordered from (c, h, w).
"""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import torch
from keras import layers

NameOf = Callable[[str], str | tuple[str, str] | None]
BN_KINDS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def import_torchvision():
    """torchvision's models, also where its compiled operators do not load.

    The wheel on the index is made for GPUs. On a machine without, the operators that it
    describes to PyTorch are missing; classification networks use none of them.
    """
    try:
        import torchvision
    except RuntimeError:
        stubs = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            stubs.define(
                f"{operator}(Tensor dets, Tensor scores, float threshold) -> Tensor"
            )
        import torchvision

        torchvision.stubs = stubs  # the definitions live as long as this object
    return torchvision


def import_timm():
    """timm, which imports torchvision."""
    import_torchvision()
    import timm

    return timm


def random_state(
    module: torch.nn.Module, seed: int = 0, *, adds: bool | None = None
) -> dict[str, np.ndarray]:
    """Draws every tensor, statistics included, gives it to the module, and returns all.

    The values keep signals at their size: kernels by their fan-in, scales near 1 (near
    0.6 where the network `adds` branches up, or else fifty blocks would overflow; None
    goes by the number of modules).
    """
    rng = np.random.default_rng(seed)
    if adds is None:
        adds = sum(name.count(".") > 0 for name, _ in module.named_modules()) > 60
    state = {}
    for name, tensor in module.state_dict().items():
        kind, shape = name.rsplit(".", 1)[-1], tuple(tensor.shape)
        if kind == "num_batches_tracked":
            value = np.zeros(shape, np.int64)
        elif kind == "weight" and len(shape) > 1:
            fan_in = np.prod(shape[1:])
            value = rng.standard_normal(shape) * (2 / fan_in) ** 0.5
            if len(shape) == 2:
                value *= 0.5
        elif kind == "weight":
            value = rng.uniform(0.7, 1.5, shape) * (0.6 if adds else 1.0)
        else:
            low, high = {
                "bias": (-0.1, 0.1),
                "running_mean": (-0.1, 0.1),
                "running_var": (0.5, 2.0),
            }[kind]
            value = rng.uniform(low, high, shape)
        state[name] = value if value.dtype == np.int64 else value.astype(np.float32)
    module.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    return state


def convert(model: keras.Model, state: Mapping[str, np.ndarray], name_of: NameOf) -> None:
    """Gives the model a state dict's values; every tensor must find its place."""
    assign(model, in_keras(model, state, name_of))


def assign(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Gives the model values by the paths of its weights, as `in_keras` names them."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([values[path(layer, weight)] for weight in layer.weights])


def path(layer: keras.Layer, weight: keras.Variable) -> str:
    return f"{layer.name}/{weight.name}"


def in_keras(
    model: keras.Model, state: Mapping[str, np.ndarray], name_of: NameOf
) -> dict[str, np.ndarray]:
    """A state dict's values, or their gradients, in the layouts of a Keras network.

    Every rule is linear and moves numbers only, so that it holds for gradients too. Every
    tensor must find its place.

    Args:
        name_of: a layer's name to the module's name in the state dict; for a separable
            convolution, to those of its depthwise and its pointwise half.

    Returns:
        The values by layer and weight, such as `stem_conv/kernel`.
    """
    used = {name for name in state if name.endswith("num_batches_tracked")}
    found: dict[str, np.ndarray] = {}

    def take(name: str) -> np.ndarray:
        assert name not in used, f"{name} was taken twice"
        used.add(name)
        return state[name]

    for layer in model.layers:
        if not layer.weights:
            continue
        name = name_of(layer.name)
        if isinstance(layer, layers.SeparableConv2D):
            halves = (f"{name}.conv1", f"{name}.pointwise")  # timm's
            depthwise, pointwise = name if isinstance(name, tuple) else halves
            values = [
                take(f"{depthwise}.weight").transpose(2, 3, 0, 1),
                take(f"{pointwise}.weight").transpose(2, 3, 1, 0),
            ]
        elif isinstance(layer, layers.BatchNormalization):
            values = [take(f"{name}.{BN_KINDS[w.name]}") for w in layer.weights]
        elif isinstance(layer, layers.Conv2D):
            values = [take(f"{name}.weight").transpose(2, 3, 1, 0)]
            values += [take(f"{name}.bias")] if layer.use_bias else []
        else:
            assert isinstance(layer, layers.Dense), layer
            kernel = take(f"{name}.weight")
            if maps := flattened(layer):
                kernel = from_channels_first(kernel, maps)
            values = [kernel.T, take(f"{name}.bias")]
        paths = [path(layer, weight) for weight in layer.weights]
        found.update(zip(paths, values, strict=True))
    assert set(state) == used, sorted(set(state) - used)[:5]
    return found


def flattened(layer: keras.Layer) -> tuple[int, int, int] | None:
    """The shape of the maps whose flat form the dense layer takes, if it does."""
    while layer := layer.input._keras_history.operation:
        if isinstance(layer, layers.Flatten):
            return layer.input.shape[1:]
        if not isinstance(layer, layers.Dropout):
            return None


def from_channels_first(kernel: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(units, c * h * w) to (units, h * w * c), for maps of `shape` (h, w, c)."""
    height, width, channels = shape
    maps = kernel.reshape(-1, channels, height, width)
    return maps.transpose(0, 2, 3, 1).reshape(len(kernel), -1)


def outputs(module: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """The outputs of the module in evaluation mode for images (b, h, w, c)."""
    module.eval()
    with torch.no_grad():
        outputs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return outputs.numpy()
