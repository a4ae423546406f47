"""Heads: features to probabilities, (b, h, w, c) to (b, units).

Every head ends in the layer `predictions`; what stands before it is named `head_*`.
"""

from collections.abc import Sequence

from keras import KerasTensor, layers

from cnnzoo.blocks import Conv
from cnnzoo.errors import UsageError
from cnnzoo.spec import Activation


def classify(
    x: KerasTensor, units: int, activation: Activation, *, conv: Conv
) -> KerasTensor:
    """The classifier alone, on features that are already a vector, (b, n)."""
    return conv.dense(x, units, activation=activation, name="predictions")


def dense_head(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    hidden: Sequence[int] = (),
) -> KerasTensor:
    """Flattens the features and puts dense layers before the classifier.

    Args:
        hidden: the units of each dense layer; dropout follows each.

    Raises:
        UsageError: the image size is open, so the classifier's size is unknown.
    """
    if None in x.shape[1:]:
        raise UsageError(
            "a head that flattens needs images of one size: expected a height and a "
            "width in input_shape, got None; give both, or use include_top=False"
        )
    x = layers.Flatten(name="head_flatten")(x)
    return _hidden(x, units, activation, conv=conv, hidden=hidden)


def pooled_head(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    hidden: Sequence[int] = (),
) -> KerasTensor:
    """Averages the features over the image; dropout before the classifier."""
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    if not hidden:
        x = conv.drop(x, name="head_dropout")
    return _hidden(x, units, activation, conv=conv, hidden=hidden)


def _hidden(
    x: KerasTensor,
    units: int,
    activation: Activation,
    *,
    conv: Conv,
    hidden: Sequence[int],
) -> KerasTensor:
    for i, width in enumerate(hidden, start=1):
        x = conv.hidden(x, width, name=f"head_dense{i}")
    return classify(x, units, activation, conv=conv)
