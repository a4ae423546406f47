"""A network that ends early: its trunk up to a cut, and a classifier on that."""

from dataclasses import replace

import keras
from keras import KerasTensor

from cnnzoo import graph
from cnnzoo.errors import UsageError, unknown
from cnnzoo.layers.blocks import Conv
from cnnzoo.layers.heads import quarters_head
from cnnzoo.spec import Spec


def truncated(spec: Spec, cut: str) -> Spec:
    """The network up to the layer `cut`, with a classifier on the means of its quarters.

    Raises:
        UsageError: on drawing, where the trunk has no such layer, or paths around it.
    """

    def trunk(x: KerasTensor, *, conv: Conv) -> KerasTensor:
        whole = keras.Model(keras.utils.get_source_inputs(x), spec.trunk(x, conv=conv))
        places = [name for name in graph.cut_points(whole) if _has(whole, name)]
        if cut not in places:
            raise unknown(f"cut of {spec.name}", cut, places)
        return whole.get_layer(cut).output

    if spec.aux_heads:
        raise UsageError(
            f"{spec.name} was asked for auxiliary classifiers and for the cut {cut!r}, "
            "behind which some of them stand; leave one of the two out"
        )
    return replace(spec, trunk=trunk, head=quarters_head, parameters=None, macs=None)


def _has(model: keras.Model, name: str) -> bool:
    return any(layer.name == name for layer in model.layers)
