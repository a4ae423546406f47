"""Images, random weights and the comparison for the parity tests."""

from collections.abc import Callable
from math import prod

import keras
import numpy as np

BOUND = 1e-5  # of the largest output: float32 rounding through a deep network
SPREAD = 1e-2  # how far two images' outputs are apart at least, likewise

Record = Callable[[str, str, str, float, float], None]


def images(
    side: int, channels: int = 3, scale: float = 1.0, count: int = 2
) -> np.ndarray:
    """Images that differ in colour, in brightness from side to side, and in noise."""
    rng = np.random.default_rng(side)
    noise = rng.normal(0, 0.5, (count, side, side, channels))
    colour = rng.normal(0, 0.5, (count, 1, 1, channels))
    ramp = np.linspace(-1, 1, side)
    ramps = np.stack([ramp[:, None] + 0 * ramp, -ramp[None, :] + 0 * ramp[:, None]])
    ramps = np.resize(ramps, (count, side, side))
    return (scale * (noise + colour + ramps[..., None])).astype(np.float32)


def randomise(model: keras.Model, seed: int = 0, classifier: float = 0.5) -> None:
    """Draws all weights, moving statistics included, so that signals keep their size.

    Where blocks add to the signal, normalisation is weaker, since fifty strong blocks
    would make it overflow; a weaker classifier spreads its probabilities over classes.
    """
    rng = np.random.default_rng(seed)
    adds = any(isinstance(layer, keras.layers.Add) for layer in model.layers)
    for layer in model.layers:
        for weight in layer.weights:
            value = draw(rng, weight.name, tuple(weight.shape))
            if adds and weight.name == "gamma":
                value *= np.float32(0.6)
            elif layer.name == "predictions":
                value *= np.float32(classifier)
            weight.assign(value)


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random values for a weight, by the kind that Keras gives it."""
    if kind.endswith("kernel"):
        inputs = prod(shape[:2] if kind == "depthwise_kernel" else shape[:-1])
        return rng.standard_normal(shape, np.float32) * np.float32((2 / inputs) ** 0.5)
    low, high = {
        "bias": (-0.2, 0.2),
        "gamma": (0.7, 1.5),
        "beta": (-0.1, 0.1),
        "moving_mean": (-0.1, 0.1),
        "moving_variance": (0.5, 2.0),
        "alpha": (0.0, 0.5),
    }[kind]
    return rng.uniform(low, high, shape).astype(np.float32)


def relative(found, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value."""
    found = np.asarray(found, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compare(
    record: Record,
    network: str,
    what: str,
    against: str,
    found,
    expected,
    bound: float = BOUND,
) -> None:
    """Asserts that the outputs for two images are those expected, and notes it.

    Args:
        network: the catalog name.
        what: which outputs, under which options, at which size.
        against: the reference.

    Outputs that hardly depend on the image, or that sit in one class, would make any two
    networks agree, so they are an error of the test.
    """
    expected = np.asarray(expected, np.float64)
    sizes = np.abs(expected.reshape(len(expected), -1))
    assert (sizes.max(1) < 0.5 * sizes.sum(1)).all()
    assert relative(expected[0], expected[1]) > SPREAD
    difference = relative(found, expected)
    record(network, what, against, difference, bound)
    assert difference <= bound
