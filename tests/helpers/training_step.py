"""A network's training steps, the same steps in PyTorch, and their comparison.

Ours are those of users: compiled as `cnnzoo.train` compiles, by stock Keras optimizers,
through `train_on_batch`. Theirs are PyTorch's autograd and its SGD, or Adam by hand, from
the same weights on the same images.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_weights import path

from cnnzoo.train.compilation import compile_model
from cnnzoo.train.recipe import Recipe

State = dict[str, np.ndarray]
STEPS = 2  # with the second one, momentum shows
RATE, MOMENTUM, DECAY = 1 / 128, 0.875, 0.5  # exact in float32 too
SGD = Recipe(optimizer="sgd", learning_rate=RATE, momentum=MOMENTUM, weight_decay=DECAY)
ADAM = Recipe(optimizer="adam", learning_rate=RATE, weight_decay=DECAY)


@dataclass
class Twin:
    """A network in PyTorch with the weights of one of ours.

    Attributes:
        module: images (b, c, h, w) to logits, or to a tuple of them, the main ones first.
        in_ours: a state dict, or gradients by its names, in the layouts of ours.
        against: the name of the reference.
        loss_weights: of the classifiers, in the order of the logits.
        penalty: what is added to the loss.
    """

    module: nn.Module
    in_ours: Callable[[State], State]
    against: str
    loss_weights: tuple[float, ...] = (1.0, 0.3, 0.3)
    penalty: Callable[[nn.Module], Tensor | float] = lambda module: 0.0


@dataclass
class Steps:
    """What two steps did, by the paths of our weights.

    Attributes:
        losses: before the first and before the second step.
        gradients: those of the first step.
        start, end: weights and moving statistics before and after all steps.
    """

    losses: list[float] = field(default_factory=list)
    gradients: State = field(default_factory=dict)
    start: State = field(default_factory=dict)
    end: State = field(default_factory=dict)

    def changes(self) -> State:
        return {name: self.end[name] - value for name, value in self.start.items()}

    def after(self) -> State:
        return self.end


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Keras's networks, losses and optimizers compute in this type within."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


# Ours --------------------------------------------------------------------------------


def values(model: keras.Model) -> State:
    return {
        path(layer, weight): np.array(weight, np.float64)
        for layer in model.layers
        for weight in layer.weights
    }


def our_steps(
    model: keras.Model,
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    eager: bool,
) -> Steps:
    """`eager`: without a graph, which TensorFlow draws in minutes where it is deep."""
    compile_model(model, recipe, len(images))
    model.run_eagerly = eager
    steps = Steps(start=values(model))
    for step in range(STEPS):
        model.reset_metrics()
        logs = model.train_on_batch(
            images, [labels] * len(model.outputs), return_dict=True
        )
        steps.losses.append(float(logs["loss"]))
        if step == 0 and recipe.optimizer == "sgd":
            steps.gradients = gradients(model)
    steps.end = values(model)
    return steps


def gradients(model: keras.Model) -> State:
    """Those of the first step, from the velocity that SGD with momentum begins with."""
    velocities = {
        id(weight): np.array(velocity, np.float64)
        for weight, velocity in zip(
            model.trainable_weights, model.optimizer.momentums, strict=True
        )
    }
    return {
        path(layer, weight): velocities[id(weight)] / -RATE
        for layer in model.layers
        for weight in layer.trainable_weights
    }


# Theirs ------------------------------------------------------------------------------


def their_steps(
    twin: Twin, recipe: Recipe, images: np.ndarray, labels: np.ndarray
) -> Steps:
    module = twin.module.double().train()
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float64))
    y = torch.from_numpy(labels)
    counts = count_values(module)
    before = state_of(module)
    optimizer = {"sgd": sgd, "adam": adam}[recipe.optimizer](module)
    steps = Steps(start=twin.in_ours(before))
    for step in range(STEPS):
        outputs = module(x)
        heads = [outputs] if isinstance(outputs, Tensor) else outputs
        each = torch.stack([functional.cross_entropy(logits, y) for logits in heads])
        weights = torch.tensor(twin.loss_weights[: len(heads)], dtype=torch.float64)
        loss = each @ weights + twin.penalty(module)
        module.zero_grad()
        loss.backward()
        steps.losses.append(float(loss.detach()))
        if step == 0:
            steps.gradients = twin.in_ours(gradients_of(module))
        optimizer(step)
    steps.end = twin.in_ours(by_n(state_of(module), before, counts, module))
    return steps


def state_of(module: nn.Module) -> State:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def gradients_of(module: nn.Module) -> State:
    """By the names of the state dict; zeros for what has none."""
    found = {name: np.zeros_like(value) for name, value in state_of(module).items()}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} does not reach the loss"
        found[name] = parameter.grad.numpy().copy()
    return found


def kernels(module: nn.Module) -> list[nn.Parameter]:
    """What decays: weights of convolutions and dense layers; no bias, scale or slope."""
    return [
        parameter
        for name, parameter in module.named_parameters()
        if parameter.ndim > 1 and not name.endswith("alpha")
    ]


def sgd(module: nn.Module) -> Callable[[int], None]:
    """Kernels decay by themselves (Loshchilov & Hutter 2017, algorithm 1), then step."""
    optimizer = torch.optim.SGD(
        module.parameters(), RATE, momentum=MOMENTUM, nesterov=True
    )

    def step(_number: int) -> None:
        for kernel in kernels(module):
            kernel -= RATE * DECAY * kernel
        optimizer.step()

    return torch.no_grad()(step)


def adam(module: nn.Module) -> Callable[[int], None]:
    """Kingma & Ba 2014, section 2, with their epsilon hat, as Keras has it.

    PyTorch's own Adam adds epsilon elsewhere. TensorFlow takes the powers of the betas
    from their float32 values, also where networks compute in float64.
    """
    parameters = [*module.parameters()]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]

    def step(number: int) -> None:
        first, second = (
            1 - float(np.float32(beta)) ** (number + 1) for beta in (0.9, 0.999)
        )
        for kernel in kernels(module):
            kernel -= RATE * DECAY * kernel
        for parameter, (m, v) in zip(parameters, moments, strict=True):
            gradient = parameter.grad
            assert gradient is not None
            m.lerp_(gradient, 1 - 0.9)
            v.lerp_(gradient**2, 1 - 0.999)
            parameter -= RATE * second**0.5 / first * m / (v.sqrt() + 1e-7)

    return torch.no_grad()(step)


def norms(module: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """PyTorch's own normalisations, whose moving variance divides by n - 1."""
    named = module.named_modules()
    return {name: part for name, part in named if isinstance(part, nn.BatchNorm2d)}


def count_values(module: nn.Module) -> dict[str, int]:
    """The number of values a channel in a batch, of each normalisation; filled by use."""
    counts: dict[str, int] = {}

    def note(name: str, _norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        counts[name] = x.numel() // x.shape[1]

    for name, norm in norms(module).items():
        norm.register_forward_pre_hook(partial(note, name))
    return counts


def by_n(
    state: State, before: State, counts: Mapping[str, int], module: nn.Module
) -> State:
    """The state, with the moving variances that divide by n in place of n - 1.

    After k steps with momentum m, a moving variance is (1 - m)^k of what it was, and the
    rest comes from the batches.
    """
    found = dict(state)
    for name, norm in norms(module).items():
        key, n = f"{name}.running_var", counts[name]
        assert norm.momentum is not None
        kept = (1 - norm.momentum) ** STEPS * before[key]
        found[key] = kept + (state[key] - kept) * (n - 1) / n
    return found


# Comparison --------------------------------------------------------------------------


def scale(name: str, expected: State) -> float:
    """The largest of a tensor; of a bias, or of the kernel beside it if that is larger.

    Where BN comes next, it takes the bias out again, and rounding is all that is left.
    """
    layer, kind = name.split("/")
    names = [name]
    if kind == "bias":
        beside = (f"{layer}/{kernel}" for kernel in ("kernel", "pointwise_kernel"))
        names += [kernel for kernel in beside if kernel in expected]
    return max(float(np.abs(expected[name]).max()) for name in names)


def differences(found: State, expected: State) -> dict[str, float]:
    """The largest of each tensor, relative to the largest value expected there."""
    worst = {}
    for name, value in found.items():
        of = scale(name, expected)
        assert of > 0, f"nothing changes {name}"
        worst[name] = float(np.abs(value - expected[name]).max()) / of
    return worst


def split(values: State) -> tuple[State, State]:
    """Weights, and moving statistics."""
    moving = {name: v for name, v in values.items() if "/moving_" in name}
    return {name: v for name, v in values.items() if name not in moving}, moving
