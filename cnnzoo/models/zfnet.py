"""ZFNet: AlexNet with a finer look at the image, found by looking at its filters.

Zeiler & Fergus 2013, figure 3: the first two convolutions are smaller and closer, none
has groups. `zfnet` has the paper's maps of 110, 55, 26, 13 and 6 pixels at 224. What the
paper does not print is chosen to make these: one pixel of padding before the first
convolution, none before the second, pools that round up. It normalises after each of
the first two pools, "across feature maps", and names no constants: here they are
AlexNet's (k = 2, alpha 1e-4 not divided by the window). Its weights start at "0.01",
which is read as a deviation; its filters are renormalised in training, here they are not.

`zfnet512` is the network of Caffe2's model zoo and ONNX's: 512 maps in the last three
convolutions, no padding, normalisation before the pools, a last pool of 2x2, dense layers
of 4096 and 1024, no dropout. What it was fed is not verified; here it is Caffe's input.
"""

from dataclasses import replace
from functools import partial

from cnnzoo.layers.blocks import conv_relu, local_response_norm
from cnnzoo.layers.heads import dense_head
from cnnzoo.layers.initializers import normal
from cnnzoo.layers.pooling import identity, max_pool
from cnnzoo.models import alexnet
from cnnzoo.spec import Paper, Preprocess, Spec, Stem, with_stem

# alpha is divided by the window of five
contrast = partial(local_response_norm, alpha=5e-4, k=2.0)
closer = partial(alexnet.trunk, groups=(1, 1, 1, 1, 1), sizes=(7, 5), strides=(2, 2))


def configure(spec: Spec, *, stem: Stem = "paper") -> Spec:
    """`stem`: "small" for images of 28 to 64 pixels, whose first convolution has stride 1
    and no pool after it."""
    return with_stem(spec, stem, strides=(1, 2), stem_pool=identity)


ZFNET = Spec(
    name="zfnet",
    family="zfnet",
    trunk=partial(
        closer,
        padding=(1, "valid"),
        after_conv=("pool", "lrn"),
        norm=contrast,
    ),
    head=partial(dense_head, hidden=(4096, 4096)),
    conv=replace(conv_relu, dropout=0.5, kernel_initializer=normal(0.01)),
    input_shape=(224, 224, 3),
    classes=1000,
    preprocessing=Preprocess(mean=(123.0, 117.0, 104.0)),
    paper=Paper(
        "Visualizing and Understanding Convolutional Networks",
        2013,
        "https://arxiv.org/abs/1311.2901",
    ),
    differences="Paddings and the normalisation's constants are not printed: paddings "
    "give the figure's map sizes, constants are AlexNet's. The mean colour in place of a "
    "mean image; filters are not renormalised in training.",
    configure=configure,
)

ZFNET512 = replace(
    ZFNET,
    name="zfnet512",
    trunk=partial(
        closer,
        filters=(96, 256, 512, 512, 512),
        padding=("valid", "valid"),
        norm=contrast,
        pool=alexnet.floor_pool,
        final_pool=partial(max_pool, size=2),
    ),
    head=partial(dense_head, hidden=(4096, 1024)),
    conv=replace(ZFNET.conv, dropout=0.0),
    preprocessing=Preprocess(order="bgr", mean=(104.0, 117.0, 123.0)),
    parameters=87_250_536,
    macs=1_481_727_008,
    differences="As in Caffe2's model zoo: 512 maps in the last three convolutions, "
    "normalisation before the pools, a last pool of 2x2, dense layers of 4096 and 1024, "
    "no dropout. Its preprocessing is not verified.",
)

SPECS = [ZFNET, ZFNET512]
