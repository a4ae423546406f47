"""How a network's twin in PyTorch is made, from a definition or from a module.

Their momentum of batch normalisation is that of the reference; Keras's 0.99 is PyTorch's
0.01.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import torch_inceptions
from parity import randomise
from torch import Tensor, nn
from torch_layers import Network
from torch_weights import (
    NameOf,
    convert,
    import_timm,
    import_torchvision,
    in_keras,
    path,
    random_state,
)
from training_step import State, Twin

torchvision, timm = import_torchvision(), import_timm()
TORCHVISION = f"torchvision {torchvision.__version__.partition('+')[0]}"
TIMM = f"timm {timm.__version__}"
DEFINITION = "PyTorch definition"
CLASSES = 10
PIXELS = 20.0  # deviation of images that LRN's constants change visibly
Maker = Callable[[keras.Model], Twin]


@dataclass(frozen=True)
class Case:
    """How a network is built to be trained beside its twin.

    Attributes:
        make: makes the twin of one of ours, and gives both the same random weights.
        side: of the images, in pixels; the smallest with maps of 2x2 for the head.
        channels: of the images.
        scale: of the images, where LRN's constants are made for some size of values.
        options: more options of `cnnzoo.build`.
    """

    make: Maker
    side: int
    channels: int = 3
    scale: float = 1.0
    options: tuple[tuple[str, Any], ...] = ()


# Definitions over named weights ------------------------------------------------------


def defined(
    definition: Callable[..., Any],
    *,
    momentum: float = 0.99,
    name_of: Callable[[str], str] = str,
    penalty: Callable[[nn.Module], Tensor | float] = lambda module: 0.0,
    **options: Any,
) -> Maker:
    """A definition that numpy_layers runs too; `options` are its own."""

    def make(model: keras.Model) -> Twin:
        randomise(model)
        layers = [layer for layer in model.layers if layer.weights]
        values = {
            name_of(layer.name): {w.name: w.numpy() for w in layer.weights}
            for layer in layers
        }
        module = Network(partial(definition, **options), values, momentum)

        def in_ours(state: State) -> State:
            return {
                path(layer, weight): state[f"{name_of(layer.name)}/{weight.name}"]
                for layer in layers
                for weight in layer.weights
            }

        return Twin(module, in_ours, DEFINITION, penalty=penalty)

    return make


# Modules -----------------------------------------------------------------------------


def same(state: State) -> State:
    return state


def module(
    build: Callable[[], nn.Module],
    name_of: NameOf,
    against: str = DEFINITION,
    *,
    edit: Callable[[State], State] = same,
    adds: bool | None = None,
) -> Maker:
    """A PyTorch module; `edit` brings its state dict to the shapes of ours."""

    def make(model: keras.Model) -> Twin:
        twin = build()
        for part in twin.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        convert(model, edit(random_state(twin, adds=adds)), name_of)
        return Twin(twin, lambda state: in_keras(model, edit(state), name_of), against)

    return make


def norms(module: nn.Module, **attributes: float) -> nn.Module:
    """The module, all of whose batch normalisations have these attributes."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            vars(part).update(attributes)
    return module


def without_scales(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_parameter("weight", None)
    return module


def add_head(module: nn.Module, after: str, channels: int) -> nn.Module:
    """The module, which then also gives the logits of TF-slim's auxiliary head."""
    maps: list[Tensor] = []
    head = torch_inceptions.SlimAux(channels, CLASSES)

    def keep(_part: nn.Module, _inputs: tuple, output: Tensor) -> None:
        maps.append(output)

    def append(_part: nn.Module, _inputs: tuple, logits: Tensor) -> tuple[Tensor, Tensor]:
        return logits, head(maps.pop())

    module.add_module("aux", head)
    module.get_submodule(after).register_forward_hook(keep)
    module.register_forward_hook(append)
    return module
