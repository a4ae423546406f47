"""Layers without memory for their weights: a graph alone, to count, draw and measure."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state

PENDING = "uninitialized_variables"  # Keras's list of what is still to get its memory


@contextmanager
def weightless() -> Iterator[None]:
    """Layers that are built within it have shapes, and never get memory for weights.

    Keras notes them, and the next scope of its own to end, such as that in which it
    infers the shapes of somebody's layer, would give all of them their memory at last:
    gigabytes, after a look at the catalog. So they are taken off its list.
    """
    before = len(_pending())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del _pending()[before:]


def _pending() -> list:
    return global_state.get_global_attribute(PENDING, [], set_to_default=True)
