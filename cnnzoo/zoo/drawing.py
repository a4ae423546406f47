"""What a Spec draws: a trunk that may end early, classifiers, auxiliary classifiers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import keras
from keras import KerasTensor, layers

from cnnzoo import graph, layer_names
from cnnzoo.errors import UsageError, check_known, unknown
from cnnzoo.layers.blocks import Activation, Conv
from cnnzoo.layers.heads import cut_head, is_sigmoid
from cnnzoo.spec import Spec


def cut_at(spec: Spec, cut: str | Sequence[str], pooling: str | None = None) -> Spec:
    """The network up to the layer `cut`, with a classifier on its means.

    Args:
        cut: Name of a layer; or of several, whose means over the image are concatenated.
        pooling: As in `cut_head`, for one layer.

    Raises:
        UsageError: The network has auxiliary classifiers. On drawing: the trunk has no
            such layer, or paths around it.
    """

    if spec.aux_heads:
        raise UsageError(
            f"{spec.name} was asked for auxiliary classifiers and for the cut {cut!r}, "
            "which some of them lie beyond; leave one of the two out"
        )
    trunk = partial(_trunk_to, spec=spec, cut=cut)  # unlike a closure, it can be pickled
    head = partial(cut_head, pooling=pooling)
    return replace(spec, trunk=trunk, head=head, parameters=None, macs=None)


def _trunk_to(
    x: KerasTensor, *, conv: Conv, spec: Spec, cut: str | Sequence[str]
) -> KerasTensor:
    whole = keras.Model(keras.utils.get_source_inputs(x), spec.trunk(x, conv=conv))
    names = {layer.name for layer in whole.layers}
    places = [name for name in graph.cut_points(whole) if name in names]

    def end(name: str) -> KerasTensor:
        drawn = name if name in places else layer_names.outside_contract(name)
        if drawn not in places:
            raise unknown(f"cut of {spec.name}", name, places)
        return whole.get_layer(drawn).output

    if isinstance(cut, str):
        return end(cut)
    means = [_mean(end(name), name) for name in dict.fromkeys(cut)]
    return layers.Concatenate(name=layer_names.MEANS)(means)


def _mean(x: KerasTensor, cut: str) -> KerasTensor:
    """The means over the image, (b, h, w, c) to (b, c); a vector is unchanged."""
    mean = layers.GlobalAveragePooling2D(name=layer_names.mean(cut))
    return mean(x) if len(x.shape) == 4 else x


def aux_inputs(
    features: KerasTensor,
    inputs: list[KerasTensor],
    spec: Spec,
    conv: Conv,
    dropout: float | None = None,
) -> list[KerasTensor]:
    """What each auxiliary classifier of the network sees, (b, n).

    Args:
        inputs: What `features` are made from.
        dropout: Rate in place of the classifiers' own, 0 to below 1.

    Raises:
        UsageError: The trunk has no layer of the name that a classifier is to see.
    """
    if not spec.aux_heads:
        return []
    trunk = keras.Model(inputs, features)
    names = [layer.name for layer in trunk.layers]
    ends = []
    for i, aux in enumerate(spec.aux_heads, start=1):
        check_known(f"layer for aux{i} of {spec.name}", aux.after, names)
        own = replace(conv, dropout=aux.dropout if dropout is None else dropout)
        x = trunk.get_layer(aux.after).output
        ends.append(aux.trunk(x, conv=own, name=layer_names.aux(i)))
    return ends


def classifiers(
    features: KerasTensor,
    aux: Sequence[KerasTensor],
    spec: Spec,
    classes: int,
    activation: Activation,
    *,
    conv: Conv,
) -> KerasTensor | list[KerasTensor]:
    """The head's output, or a list of it and the auxiliary classifiers' outputs.

    Two classes with a sigmoid need one unit.

    Args:
        aux: What the auxiliary classifiers see, from `aux_inputs`.
    """
    units = 1 if classes == 2 and is_sigmoid(activation) else classes
    predictions = spec.head(features, units, activation, conv=conv)
    others = [
        conv.dense(x, units, activation=activation, name=layer_names.aux_predictions(i))
        for i, x in enumerate(aux, start=1)
    ]
    return [predictions, *others] if others else predictions
