"""Training steps of every network equal PyTorch's, from the same weights and images.

Compared are the losses, every gradient, what two steps change in every weight, by SGD
with Nesterov momentum and by Adam, with weight decay on kernels alone, and the moving
statistics of batch normalisation. Dropout is off. Each network's twin is in
`torch_twins`; what both do and how it is compared is in `training_step`.

All networks are compared in float64, in which nothing but a mistake makes a difference:
in float32 a value within rounding of 0 passes a ReLU on one side only. Some of those in
which none does are compared in float32 too, in which users train and cnnzoo's fast paths
for convolutions and BN run. Steps are eager, since TensorFlow draws the graph of a deep
network in minutes; some are in the graph that `fit` makes.
"""

from collections.abc import Iterable
from unittest.mock import Mock

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from parity import Record, images
from torch_twins import CASES, CLASSES
from training_step import (
    ADAM,
    SGD,
    State,
    Steps,
    differences,
    floats,
    our_steps,
    split,
    their_steps,
)

import cnnzoo
from cnnzoo.fast import batch_norm, winograd
from cnnzoo.train.recipe import Recipe

BOUND = 1e-4  # in float32; of Adam, which divides small gradients by their own size
EXACT = 1e-6  # in float64
COUNT = 4  # images
LABELS = np.arange(COUNT) * 3 % CLASSES


def marked(*sample: str, names: Iterable[str] = CASES) -> list:
    """The cases, of which `make test` runs the sample alone."""
    proof = pytest.mark.proof
    return [n if n in sample else pytest.param(n, marks=proof) for n in names]


@pytest.fixture(autouse=True)
def _one_thread():
    """PyTorch's threads would wait for those of TensorFlow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def steps(
    case: str, recipe: Recipe, *, eager: bool = True, **options
) -> tuple[keras.Model, Steps, Steps, str]:
    """Our network, what its steps and those of its twin did, and the twin's name."""
    name, given = case.split()[0], CASES[case]
    shape = (given.side, given.side, given.channels)
    options = {**dict(given.options), **options}
    ours = cnnzoo.build(name, input_shape=shape, classes=CLASSES, dropout=0.0, **options)
    twin = given.make(ours)
    x = images(given.side, given.channels, given.scale, COUNT)
    found = our_steps(ours, recipe, x, LABELS, eager=eager)
    return ours, found, their_steps(twin, recipe, x, LABELS), twin.against


def nothing(*row: object) -> None:
    """Records nothing."""


def compare(
    record: Record, case: str, recipe: Recipe, dtype: str, bound: float, **options
) -> None:
    """Asserts that all is the same, and records the largest differences."""
    with floats(dtype):
        ours, found, expected, against = steps(case, recipe, **options)
    # The change of a weight is exact in float64 only; in float32 its own digits round it.
    after = Steps.changes if dtype == "float64" else Steps.after
    weights, moving = split(after(found))
    their_weights, their_moving = split(after(expected))
    kind = {"sgd": "SGD", "adam": "Adam"}[recipe.optimizer]
    given = CASES[case]
    options = [f"{key}={value}" for key, value in given.options]
    for what, values, theirs in (
        ("gradients", found.gradients, expected.gradients),
        ("moving statistics", moving, their_moving),
        ("weights", weights, their_weights),
        ("losses", losses(found), losses(expected)),
    ):
        if not values:
            continue
        by_name = differences(values, theirs)
        worst = max(by_name, key=by_name.__getitem__)
        if what == "weights" or (kind == "SGD" and what != "losses"):
            words = [f"training with {kind}: {what}", *options, f"{given.side} px", dtype]
            record(ours.name, ", ".join(words), against, by_name[worst], bound)
        wrong = [name for name in by_name if not by_name[name] <= bound]  # or NaN
        assert not wrong, f"{what}: {by_name}"


def losses(steps: Steps) -> State:
    return {f"step{i}/loss": np.array(loss) for i, loss in enumerate(steps.losses)}


def test_every_network_has_a_twin():
    assert {case.split()[0] for case in CASES} == set(cnnzoo.list_models())


# Classifiers give logits where steps are eager: there, Keras clips probabilities.


@pytest.mark.parametrize(
    "case", marked("lenet5", "lenet5 prelu", "inception_v1", "resnet20")
)
def test_sgd(record: Record, case: str):
    compare(record, case, SGD, "float64", EXACT, classifier_activation=None)


@pytest.mark.parametrize("case", marked("lenet5"))
def test_adam(record: Record, case: str):
    compare(record, case, ADAM, "float64", BOUND, classifier_activation=None)


IN_FLOAT32 = ("lenet5", "very_small_vgg", "resnet20")
FAST = (  # what computes on a CPU in Keras's place
    (winograd, "convolve"),
    (batch_norm, "_exact"),
    (tf.raw_ops, "ResourceApplyKerasMomentum"),
)


@pytest.mark.parametrize("case", marked("very_small_vgg", names=IN_FLOAT32))
def test_fast_paths(record: Record, case: str, monkeypatch: pytest.MonkeyPatch):
    spies = {}
    for module, name in FAST:
        spies[name] = Mock(wraps=getattr(module, name))
        monkeypatch.setattr(module, name, spies[name])
    compare(record, case, SGD, "float32", BOUND, classifier_activation=None)
    own = {"ResourceApplyKerasMomentum"} if case == "lenet5" else set(spies)
    assert {name for name, spy in spies.items() if spy.called} == own


@pytest.mark.parametrize("case", marked("lenet5", names=IN_FLOAT32))
def test_in_the_graph(case: str):
    compare(nothing, case, SGD, "float32", BOUND, eager=False)
