"""The image sizes that a network takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import KerasTensor

from cnnzoo import graph
from cnnzoo.errors import UsageError
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.layers.axes import channel_axis, to_keras_format
from cnnzoo.models import catalog, index
from cnnzoo.spec import Spec
from cnnzoo.zoo import arguments
from cnnzoo.zoo.drawing import aux_inputs

LARGEST_SIDE = 4096  # pixels; no classic network needs images larger than this


def smallest_side(spec: Spec) -> int:
    """The smallest height and width that the network takes, computed from its graph."""
    with init_empty_weights():
        images = keras.Input(
            to_keras_format((LARGEST_SIDE, LARGEST_SIDE, spec.input_shape[2]))
        )
        features = spec.trunk(images, conv=spec.conv)
        aux = aux_inputs(features, [images], spec, spec.conv)
        trunk = keras.Model(images, [features, *aux])
    return max(spec.min_size_floor, graph.smallest_side(trunk))


def check(spec: Spec, images: KerasTensor) -> None:
    """Compares images below the paper's size with the computed minimum."""
    height, width = _pixels(images)
    side = min((side for side in (height, width) if side is not None), default=None)
    if side is None or side >= min(spec.input_shape[:2]):
        return
    known = catalog.SPECS.get(spec.name) is spec
    smallest = index.model_info(spec.name).min_size if known else spec.min_size_floor
    if side < smallest:
        raise arguments.too_small(spec, height, width, smallest)


@contextmanager
def large_enough(spec: Spec, images: KerasTensor) -> Iterator[None]:
    """Where a layer is left with no pixels, the error says what the network needs."""
    try:
        yield
    except UsageError:
        raise
    except ValueError as error:
        height, width = _pixels(images)
        if height is None or width is None:
            raise
        smallest = smallest_side(spec)
        if min(height, width) >= smallest:
            raise
        raise arguments.too_small(spec, height, width, smallest) from error


def _pixels(images: KerasTensor) -> tuple[int | None, int | None]:
    """Height and width of images in Keras's layout."""
    rows = 2 if channel_axis() == 1 else 1
    return images.shape[rows], images.shape[rows + 1]
