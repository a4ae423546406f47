"""reset_classifier(): the same trunk with a classifier for other classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras

from cnnzoo import graph
from cnnzoo.errors import UsageError
from cnnzoo.layer_names import FEATURES, outside_contract
from cnnzoo.metadata import metadata_of
from cnnzoo.zoo import build


def reset_classifier(
    model: keras.Model,
    classes: int | None = None,
    *,
    class_names: Sequence[str] | None = None,
    cut: str | Sequence[str] | None = None,
    pooling: Literal["avg"] | None = None,
    pretrained: bool = True,
) -> keras.Model:
    """A new network of the same trunk, flat, with a new classifier.

    The model itself stays as it is. The new one takes pixels of 0 to 255: its
    preprocessing is inside.

    Args:
        model: Model from `build`, `load` or `adopt`.
        classes: Number of classes; None for as many as there are names.
        class_names: One name per class, in the order of the outputs.
        cut: Layer or layers of the trunk where the new network ends, as `build` takes
            them; None for where the model ends, and its own kind of classifier.
        pooling: Of the map at one cut, as `build` takes it.
        pretrained: Whether the trunk keeps the weights of the model.

    Raises:
        UsageError: Neither classes nor names are given, or the model has no such cut.
    """
    if classes is None and not class_names:
        raise UsageError(
            f"a new classifier for {model.name!r} needs its number of classes; pass "
            "classes= or class_names="
        )
    if isinstance(class_names, str):
        raise UsageError(
            f"{model.name!r} got the text {class_names[:80]!r} as classes; expected a "
            f"number or a list of names, so pass [{class_names[:80]!r}, ...]"
        )
    metadata = metadata_of(model)
    if metadata.on_tensor:
        raise UsageError(
            f"model {model.name!r} stands on layers of yours (input_tensor), which are "
            "not built again; build it without them, and load its weights"
        )
    options: dict[str, Any] = dict(metadata.options)
    options.pop("aux_heads", None)  # they served the classes that were
    if cut or pooling or not (options["cut"] and options["include_top"]):
        options |= {"cut": cut or options["cut"], "pooling": pooling}
    options |= {
        "include_top": True,
        "classes": classes,
        "class_names": class_names,
        "classifier_activation": "softmax",
        "include_preprocessing": True,
        "preprocessing": metadata.preprocessing,
        "geometry": metadata.geometry,
    }
    new = build(metadata.catalog_name or metadata.spec, **options)
    if pretrained:
        _copy_trunk(model, new)
    return new


def _copy_trunk(old: keras.Model, new: keras.Model) -> None:
    """Copies the weights of all layers up to the features, in place."""
    known = {outside_contract(layer.name): layer for layer in old.layers if layer.weights}
    inside = set(graph.ancestors(new, FEATURES))
    for layer in new.layers:
        if not layer.weights or layer.name not in inside:
            continue
        if layer.name not in known:
            raise UsageError(
                f"model {old.name!r} ends before the layer {layer.name!r}; choose an "
                "earlier cut, or give the whole network"
            )
        layer.set_weights(known[layer.name].get_weights())
