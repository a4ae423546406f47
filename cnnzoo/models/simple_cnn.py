"""SimpleCNN: N convolutions, M pools, K dense layers, all of them arguments.

The network that courses and tutorials begin with. No paper. `shapes_cnn` is a row of it
that tells circles, rectangles and triangles of 24x24 pixels apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.errors import UsageError
from cnnzoo.layers.blocks import Conv, conv_bn, conv_relu
from cnnzoo.layers.heads import dense_head, pooled_head
from cnnzoo.layers.pooling import max_pool
from cnnzoo.spec import Spec


def trunk(
    x: KerasTensor, *, conv: Conv, filters: Sequence[int], pools: int
) -> KerasTensor:
    """Images (b, h, w, c) to features (b, ..., filters[-1]).

    The pools are spread over the convolutions as evenly as they go, the last one after
    the last convolution; each ends a stage.
    """
    stage = 1
    for i, width in enumerate(filters, start=1):
        x = conv(x, width, 3, padding="valid", name=f"stage{stage}_conv{i}")
        if i * pools // len(filters) > (i - 1) * pools // len(filters):
            x = max_pool(x, 2, name=f"stage{stage}_pool")
            stage += 1
    return x


def configure(
    spec: Spec,
    *,
    filters: Sequence[int] = (32, 64),
    pools: int = 1,
    dense: Sequence[int] = (128,),
    batch_norm: bool = False,
    global_pooling: bool = False,
) -> Spec:
    """Convolutions, pools and dense layers in any number.

    Args:
        filters: Filters of each 3x3 convolution, at least one.
        pools: Number of 2x2 max-pools, from 0 to the number of convolutions.
        dense: Units of each dense layer before the classifier.
        batch_norm: Whether batch normalisation follows each convolution.
        global_pooling: Whether the image is averaged instead of flattened.

    Raises:
        UsageError: No convolution, more pools than convolutions, or a width below 1.
    """
    filters, dense = tuple(filters), tuple(dense)
    if not filters or not 0 <= pools <= len(filters) or min((*filters, *dense)) < 1:
        raise UsageError(
            "simple_cnn needs at least one convolution, at most as many pools as "
            "convolutions, and widths of at least 1; got "
            f"filters={filters}, pools={pools}, dense={dense}"
        )
    head = pooled_head if global_pooling else dense_head
    return replace(
        spec.with_trunk(filters=filters, pools=pools),
        head=partial(head, hidden=dense),
        conv=conv_bn if batch_norm else conv_relu,
    )


SIMPLE_CNN = Spec(
    name="simple_cnn",
    family="simple_cnn",
    trunk=partial(trunk, filters=(32, 64), pools=1),
    head=partial(dense_head, hidden=(128,)),
    conv=conv_relu,
    input_shape=(28, 28, 1),
    classes=10,
    preprocessing="unit",
    differences="A network of our own for first steps.",
    configure=configure,
)

SHAPES_CNN = replace(
    SIMPLE_CNN,
    name="shapes_cnn",
    input_shape=(24, 24, 3),
    classes=3,
    differences="A row of simple_cnn for the example with drawn shapes.",
    configure=None,
)

SPECS = [SIMPLE_CNN, SHAPES_CNN]
