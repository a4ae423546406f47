"""SmallResNet: the first three stages of ResNet50, with PReLU, for 28x28 digits.

`resnet.py` of https://github.com/kkweon/mnist-competition. Its PReLU learns a slope for
each pixel, so a model is tied to its image size; `shared_slope=True` learns one per
channel. One PReLU more stands before the sum of a block that keeps its shape. Differs:
the 2x2 average pool before the classifier is a global one, the same at 28x28, and what a
block adds to its shortcut is small at first; `last_gamma=1` begins as the original does.
"""

from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.layers.blocks import Conv, batch_norm, conv_bn_prelu, prelu, prelu_per_pixel
from cnnzoo.layers.heads import pooled_head
from cnnzoo.layers.initializers import constant
from cnnzoo.layers.pooling import max_pool
from cnnzoo.models.resnet import bottleneck, trunk
from cnnzoo.models.vgg import COMPETITION
from cnnzoo.spec import Spec

# Goyal et al. 2017 (https://arxiv.org/abs/1706.02677, section 5.1) begin with 0, where a
# branch whose PReLU has the slope 0 would stay. docs/mnist.md has what it is worth.
LAST_GAMMA = 0.2


def branch(
    x: KerasTensor,
    filters: int,
    strides: int,
    *,
    conv: Conv,
    name: str,
    last_gamma: float = LAST_GAMMA,
) -> KerasTensor:
    """`bottleneck`; where it keeps the shape, an activation stands before the sum."""
    norm = partial(batch_norm, gamma_initializer=constant(last_gamma))
    final_conv = replace(conv, norm=norm)
    added = bottleneck(x, filters, strides, conv=conv, final_conv=final_conv, name=name)
    if added.shape != x.shape:
        return added
    return conv.activate(added, name=f"{name}_conv3")


def configure(
    spec: Spec, *, shared_slope: bool = False, last_gamma: float = LAST_GAMMA
) -> Spec:
    """The row with these differences.

    Args:
        shared_slope: Whether PReLU has one slope per channel.
        last_gamma: Scale with which the last batch normalisation of each block's branch
            begins; the original's is 1.
    """
    spec = spec.with_trunk(branch=partial(branch, last_gamma=last_gamma))
    return replace(spec, conv=replace(spec.conv, act=prelu)) if shared_slope else spec


SMALL_RESNET = Spec(
    name="small_resnet",
    family="small_resnet",
    trunk=partial(
        trunk,
        width=256,
        repeats=(3, 4, 6),
        branch=branch,
        stem_pool=partial(max_pool, size=3, strides=2),
    ),
    head=pooled_head,
    conv=replace(conv_bn_prelu, act=prelu_per_pixel),
    input_shape=(28, 28, 1),
    classes=10,
    preprocessing="samplewise",
    paper=COMPETITION,
    parameters=8_764_426,
    differences="The 2x2 average pool before the classifier is a global one, which "
    "is the same at 28x28. The last BN of a block's branch begins with a scale of 0.2.",
    configure=configure,
)

SPECS = [SMALL_RESNET]
