"""SmallResNet: the first three stages of ResNet50, with PReLU, for 28x28 digits.

`resnet.py` of https://github.com/kkweon/mnist-competition. Its PReLU learns a slope for
each pixel, so a model is tied to its image size; `shared_slope=True` learns one a
channel. One PReLU more stands before the sum of a block that keeps its shape. Differs:
the 2x2 average pool before the classifier is a global one, the same at 28x28.
"""

from dataclasses import replace
from functools import partial

from keras import KerasTensor

from cnnzoo.blocks import Conv, conv_bn_prelu, prelu, prelu_per_pixel
from cnnzoo.heads import pooled_head
from cnnzoo.models.resnet import bottleneck, trunk
from cnnzoo.pools import max_pool
from cnnzoo.spec import Paper, Spec


def branch(
    x: KerasTensor, filters: int, strides: int, *, conv: Conv, name: str
) -> KerasTensor:
    """`bottleneck`; where it keeps the shape, an activation stands before the sum."""
    added = bottleneck(x, filters, strides, conv=conv, name=name)
    if added.shape != x.shape:
        return added
    return conv.activate(added, name=f"{name}_conv3")


def variant(spec: Spec, *, shared_slope: bool = False) -> Spec:
    """`shared_slope`: whether PReLU has one slope a channel."""
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
    paper=Paper(
        "mnist-competition (software)",
        2017,
        "https://github.com/kkweon/mnist-competition",
    ),
    parameters=8_764_426,
    differences="The 2x2 average pool before the classifier is a global one, which "
    "is the same at 28x28.",
    variant=variant,
)

SPECS = [SMALL_RESNET]
