"""MLP: dense layers on the pixels, the baseline that a convolutional network must beat.

The dense networks of LeCun et al. 1998, section III.C, and of the Keras examples: two
hidden layers of 512 units, dropout 0.2. Depth, width, dropout and initialiser are
arguments. Differs from 1998: ReLU and softmax.
"""

from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.errors import UsageError
from cnnzoo.layers.blocks import Conv, conv_relu
from cnnzoo.layers.heads import classify, flatten
from cnnzoo.spec import Spec


def trunk(x: KerasTensor, *, conv: Conv, depth: int, width: int) -> KerasTensor:
    """Images (b, h, w, c) of one size to features (b, width)."""
    x = flatten(x, name="stem_flatten")
    for stage in range(1, depth + 1):
        x = conv.hidden(x, width, name=f"stage{stage}_dense")
    return x


def configure(spec: Spec, *, depth: int = 2, width: int = 512) -> Spec:
    """`depth` hidden layers of `width` units each."""
    if depth < 1 or width < 1:
        raise UsageError(
            f"mlp needs at least one hidden layer of one unit; got depth={depth}, "
            f"width={width}"
        )
    return spec.with_trunk(depth=depth, width=width)


MLP = Spec(
    name="mlp",
    family="mlp",
    trunk=partial(trunk, depth=2, width=512),
    head=classify,
    conv=replace(conv_relu, dropout=0.2),
    input_shape=(28, 28, 1),
    classes=10,
    preprocessing="unit",
    differences="A baseline of our own choice of depth, width and dropout.",
    configure=configure,
)

SPECS = [MLP]
