"""AlexNet, ZFNet and Network in Network in PyTorch, as torch.nn modules of their own.

They are written from the papers and the public definition files, with PyTorch's own
pools, paddings and normalisation, and share no line with cnnzoo. Module names are
Caffe's (conv1, cccp1, fc6). Each gives logits.
"""

from collections import OrderedDict

from torch import nn


def named(*modules: tuple[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def convolution(
    name: str, inputs: int, filters: int, size: int, stride=1, padding=0, groups=1
):
    conv = nn.Conv2d(inputs, filters, size, stride, padding, groups=groups)
    return [(name, conv), (f"{name}_relu", nn.ReLU())]


def ceil_pool(name: str):
    return (name, nn.MaxPool2d(3, 2, ceil_mode=True))


def dense_three(inputs: int, widths: tuple[int, int], classes: int):
    return [
        ("flatten", nn.Flatten()),
        ("fc6", nn.Linear(inputs, widths[0])),
        ("relu6", nn.ReLU()),
        ("fc7", nn.Linear(*widths)),
        ("relu7", nn.ReLU()),
        ("fc8", nn.Linear(widths[1], classes)),
    ]


def alexnet(classes: int, side: int = 6, *, pool_first: bool = False) -> nn.Sequential:
    """bvlc_alexnet, or bvlc_reference_caffenet, which pools first; 6 pixels at 227."""

    def both(i: int):
        norm = (f"norm{i}", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
        pair = [norm, ceil_pool(f"pool{i}")]
        return reversed(pair) if pool_first else pair

    return named(
        *convolution("conv1", 3, 96, 11, stride=4),
        *both(1),
        *convolution("conv2", 96, 256, 5, padding=2, groups=2),
        *both(2),
        *convolution("conv3", 256, 384, 3, padding=1),
        *convolution("conv4", 384, 384, 3, padding=1, groups=2),
        *convolution("conv5", 384, 256, 3, padding=1, groups=2),
        ceil_pool("pool5"),
        *dense_three(256 * side * side, (4096, 4096), classes),
    )


def zfnet(classes: int, side: int = 6) -> nn.Sequential:
    """Figure 3 of arXiv 1311.2901; the last maps have `side` pixels, 6 at 224.

    The paper's normalisation has no constants; these are AlexNet's k = 2, alpha = 1e-4,
    of which PyTorch divides the second by the window.
    """
    return named(
        *convolution("conv1", 3, 96, 7, stride=2, padding=1),
        ceil_pool("pool1"),
        ("norm1", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
        *convolution("conv2", 96, 256, 5, stride=2),
        ceil_pool("pool2"),
        ("norm2", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
        *convolution("conv3", 256, 384, 3, padding=1),
        *convolution("conv4", 384, 384, 3, padding=1),
        *convolution("conv5", 384, 256, 3, padding=1),
        ceil_pool("pool5"),
        *dense_three(256 * side * side, (4096, 4096), classes),
    )


def zfnet512(classes: int, side: int = 6) -> nn.Sequential:
    """Caffe2's: no padding, pools that round down, the last one 2x2."""
    return named(
        *convolution("conv1", 3, 96, 7, stride=2),
        ("norm1", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
        ("pool1", nn.MaxPool2d(3, 2)),
        *convolution("conv2", 96, 256, 5, stride=2),
        ("norm2", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
        ("pool2", nn.MaxPool2d(3, 2)),
        *convolution("conv3", 256, 512, 3, padding=1),
        *convolution("conv4", 512, 512, 3, padding=1),
        *convolution("conv5", 512, 512, 3, padding=1),
        ("pool5", nn.MaxPool2d(2)),
        *dense_three(512 * side * side, (4096, 1024), classes),
    )


def mlpconv(number: int, channels: tuple[int, ...], size: int, stride=1, padding=0):
    """A convolution and 1x1 ones; `channels` starts with those of the input."""
    inputs, filters, *ones = channels
    modules = convolution(f"conv{number}", inputs, filters, size, stride, padding)
    for i, width in enumerate(ones, start=1):
        modules += convolution(f"cccp{number}_{i}", filters, width, 1)
        filters = width
    return modules


def mean_of_maps():
    return [("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]


def nin(classes: int) -> nn.Sequential:
    """The network for ImageNet in Caffe's model zoo; 224 pixels make 54, 27, 13, 6."""
    return named(
        *mlpconv(1, (3, 96, 96, 96), 11, stride=4),
        ceil_pool("pool1"),
        *mlpconv(2, (96, 256, 256, 256), 5, padding=2),
        ceil_pool("pool2"),
        *mlpconv(3, (256, 384, 384, 384), 3, padding=1),
        ceil_pool("pool3"),
        *mlpconv(4, (384, 1024, 1024, classes), 3, padding=1),
        *mean_of_maps(),
    )


def nin_cifar10(classes: int) -> nn.Sequential:
    """The authors' definition for cuda-convnet."""
    return named(
        *mlpconv(1, (3, 192, 160, 96), 5, padding=2),
        ceil_pool("pool1"),
        *mlpconv(2, (96, 192, 192, 192), 5, padding=2),
        ceil_pool("pool2"),
        *mlpconv(3, (192, 192, 192, classes), 3, padding=1),
        *mean_of_maps(),
    )


def nin_mnist(classes: int) -> nn.Sequential:
    return named(
        *mlpconv(1, (1, 96, 64, 48), 5, padding=2),
        ceil_pool("pool1"),
        *mlpconv(2, (48, 128, 96, 48), 5, padding=2),
        ceil_pool("pool2"),
        *mlpconv(3, (48, 128, 96, classes), 5, padding=2),
        *mean_of_maps(),
    )
