"""The catalog computes the same numbers on TensorFlow, JAX and PyTorch.

`make test-backends` runs this file once for each backend. TensorFlow comes first and
writes its outputs into `build/backends`; the others are held against these. Weights are
random, moving statistics included, and the same on all three: they are drawn with one
seed in the order of the layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.layers import GlobalAveragePooling2D
from parity import SPREAD, images, randomise, relative
from training import fit

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.inference import probabilities
from cnnzoo.layers import LocalResponseNormalization
from cnnzoo.layers.axes import channel_axis
from cnnzoo.layers.blocks import conv_relu, local_response_norm
from cnnzoo.models.catalog import SPECS
from cnnzoo.spec import AuxHead
from cnnzoo.train.recipe import Recipe
from cnnzoo.zoo import build

BACKEND = keras.backend.backend()
FOLDER = Path(__file__).parents[2] / "build" / "backends"
BOUND = 1e-4  # of the largest output
MORE = 5  # pixels above the smallest size, so that borders and roundings count


@dataclass(frozen=True)
class Case:
    """One network as it is compared: the least that `build` needs to draw it."""

    network: str
    layout: str = "channels_last"
    options: dict[str, Any] = field(default_factory=dict)
    side: int | None = None  # pixels; None for a little above the smallest

    @property
    def name(self) -> str:
        return "-".join([self.network, self.layout, *map(str, self.options.values())])


CASES = [
    *(Case(name) for name in SPECS),
    *(
        Case(name, "channels_first")
        for name in ("alexnet", "inception_v1", "shapes_cnn", "very_small_vgg")
    ),
    Case("inception_v1", options={"aux_heads": True}, side=107),
    Case("resnet18", options={"stem": "small"}, side=28),
    Case("resnet20", options={"shortcut": "B"}),
]


three_steps = partial(
    Recipe, epochs=3, batch_size=60, optimizer="sgd", precision="float32"
)


@contextmanager
def layout(data_format: str) -> Iterator[None]:
    keras.config.set_image_data_format(data_format)
    try:
        yield
    finally:
        keras.config.set_image_data_format("channels_last")


def agree(name: str, *found: np.ndarray) -> None:
    """Writes what TensorFlow computes, and holds the other backends' numbers against it.

    Numbers that hardly depend on the image would agree whatever the network does.
    """
    path = FOLDER / f"{name}.npz"
    if BACKEND == "tensorflow":
        assert all(relative(one[0], one[1]) > SPREAD for one in found)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, *found)
        return
    with np.load(path) as expected:
        assert len(found) == len(expected.files)
        for one, other in zip(found, expected.values(), strict=True):
            assert relative(one, other) <= BOUND


def outputs(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """The outputs of the model for images (b, h, w, c)."""
    if keras.config.image_data_format() == "channels_first":
        x = np.moveaxis(x, -1, 1)
    # JAX compiles a whole graph sooner than its operations one by one.
    y = model.predict(x, verbose=0) if BACKEND == "jax" else model(x, training=False)
    return [keras.ops.convert_to_numpy(one) for one in (y if type(y) is list else [y])]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_network(case: Case):
    info = cnnzoo.model_info(case.network)
    side, channels = case.side or info.min_size + MORE, info.input_shape[2]
    with layout(case.layout):
        last = (side, side, channels)
        model = build(
            case.network,
            input_shape=last if channel_axis() == -1 else (channels, side, side),
            classes=10,
            classifier_activation=None,
            kernel_initializer="zeros",  # JAX compiles any other for each shape
            **case.options,
        )
        randomise(model)
        agree(case.name, *outputs(model, images(side, channels)))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("groups", [2, 5])
def test_grouped_convolution(data_format: str, groups: int):
    with layout(data_format):
        shape = (11, 8, 10) if data_format == "channels_last" else (10, 11, 8)
        inputs = keras.Input(shape)
        x = conv_relu(inputs, 20, 3, strides=2, padding=1, groups=groups, name="grouped")
        model = keras.Model(inputs, x)
        randomise(model)
        x = np.random.default_rng(0).normal(0, 1, (2, 11, 8, 10)).astype("float32")
        agree(f"grouped{groups}-{data_format}", *outputs(model, x))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("alpha", "k"), [(1e-4, 1.0), (2.0, 2.0)])
def test_local_response_normalisation(data_format: str, alpha: float, k: float):
    with layout(data_format):
        shape = (6, 5, 12) if data_format == "channels_last" else (12, 6, 5)
        inputs = keras.Input(shape)
        model = keras.Model(
            inputs, local_response_norm(inputs, alpha=alpha, k=k, name="lrn")
        )
        x = np.random.default_rng(0).normal(0, 3, (2, 6, 5, 12)).astype("float32")
        agree(f"lrn{k}-{data_format}", *outputs(model, x))


def test_gradient_of_local_response_normalisation():
    """Weights trained through it are the same."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            layers.Conv2D(12, 3, padding="same"),
            LocalResponseNormalization(alpha=0.5),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    randomise(model)
    before = model.get_weights()
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 3, (8, 6, 5, 3)), rng.normal(0, 1, (8, 2))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(x, y, epochs=5, shuffle=False, verbose=0)
    trained = model.get_weights()
    assert all(
        relative(new, old) > 0.01 for new, old in zip(trained, before, strict=True)
    )
    agree("lrn-gradient", *trained)


@pytest.fixture(scope="module")
def digits() -> Images:
    """Sixty digits, six of each."""
    hundreds = load_embedded("train").split(0.1, seed=0)[1]
    return hundreds.split(0.1, seed=0)[1]


def test_a_network_takes_the_same_steps(digits: Images, tmp_path: Path):
    """Whole batches, so that no order counts; batch norm moves its statistics too."""
    model = build(
        replace(SPECS["shapes_cnn"], input_shape=(28, 28, 1)),
        classes=10,
        dropout=0.0,
        include_preprocessing=True,
    )
    randomise(model)
    recipe = Recipe(
        epochs=3, batch_size=60, optimizer="sgd", learning_rate=0.01, precision="float32"
    )
    history = fit(model, digits, digits, tmp_path, recipe)
    assert history["loss"][-1] < history["loss"][0]
    losses = np.array([history["loss"], history["val_loss"]])
    agree("steps", losses.T, probabilities(model, digits))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_training_saving_loading(data_format: str, digits: Images, tmp_path: Path):
    keras.utils.set_random_seed(0)
    recipe = Recipe(epochs=6, batch_size=10, learning_rate=3e-3)
    with layout(data_format):
        model = build("simple_cnn", filters=(8, 16), pools=2, include_preprocessing=True)
        history = fit(model, digits, digits, tmp_path, recipe)
        assert history["loss"][-1] < history["loss"][0] / 2
        again = cnnzoo.load(tmp_path / "model.keras")
        best = int(np.argmin(history["val_loss"]))
        accuracy = cnnzoo.evaluate(again, digits).accuracy
        assert accuracy == pytest.approx(history["val_accuracy"][best])
    assert relative(probabilities(again, digits), probabilities(model, digits)) <= BOUND


def test_training_with_an_auxiliary_classifier(digits: Images, tmp_path: Path):
    """The same three steps, and each loss under its own name."""
    helper = AuxHead("stage1_pool", lambda x, conv, name: GlobalAveragePooling2D()(x))
    model = build(
        replace(SPECS["lenet5"], aux_heads=(helper,)), include_preprocessing=True
    )
    randomise(model)
    recipe = Recipe(
        epochs=3, batch_size=60, optimizer="sgd", learning_rate=0.1, precision="float32"
    )
    history = fit(model, digits, digits, tmp_path, recipe)
    losses = np.array([history[name] for name in ("loss", "aux1_loss", "total_loss")])
    agree("helped", losses.T, probabilities(model, digits))


def test_a_file_that_tensorflow_wrote(digits: Images):
    path = FOLDER / "written.keras"
    if BACKEND == "tensorflow":
        model = build("lenet5", include_preprocessing=True)
        randomise(model)
        FOLDER.mkdir(parents=True, exist_ok=True)
        cnnzoo.save(model, path)
    agree("written", probabilities(cnnzoo.load(path), digits))
