"""GoogLeNet with batch normalisation, as torchvision has it.

The network of https://arxiv.org/abs/1409.4842 with BN of epsilon 1e-3 in place of biases
and of local response normalisation, 3x3 where the paper has 5x5, a pool of 2x2 after 4e,
and dropout 0.2; torchvision's weights are a port of TF-slim's. Differs from torchvision:
the auxiliary heads pool 5x5 with stride 3 as the paper's do, where torchvision's average
the map to 4x4 cells that overlap unevenly. Theirs are not trained.
"""

from dataclasses import replace
from functools import partial

from cnnzoo.layers.blocks import batch_norm, conv_bn
from cnnzoo.layers.initializers import normal
from cnnzoo.layers.pooling import ceil_max_pool, identity, max_pool
from cnnzoo.models.inception_v1 import INCEPTION_V1, trunk
from cnnzoo.spec import Spec

SPECS: list[Spec] = [
    replace(
        INCEPTION_V1,
        name="googlenet_bn",
        family="googlenet_bn",
        trunk=partial(
            trunk,
            normalise=identity,
            size=3,
            pools=(ceil_max_pool, partial(max_pool, size=2, padding="same")),
        ),
        conv=replace(
            conv_bn,
            norm=partial(batch_norm, momentum=0.9),
            use_bias=False,
            dropout=0.2,
            kernel_initializer=normal(0.01),
        ),
        preprocessing="tf",
        parameters=6_624_904,
        macs=None,
        differences="Batch normalisation for biases and local response normalisation, "
        "3x3 convolutions for 5x5, a pool of 2x2 after 4e. Auxiliary heads pool as the "
        "paper's, where torchvision's average to 4x4.",
    )
]
