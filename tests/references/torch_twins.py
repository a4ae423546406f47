"""The PyTorch twin of every network of the catalog, to train beside it.

Twins are torchvision's and timm's own networks, brought to our form by their attributes
where keras.applications' form is meant; the definitions of `torch_*`; and those of
`reference_*` on the layers of `torch_layers`. Their momentum of batch normalisation is
that of the reference; Keras's 0.99 is PyTorch's 0.01.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import keras
import reference_googlenet
import reference_nets
import torch
import torch_classic
import torch_inceptions
import torch_late_inceptions
import torch_resnets
from parity import randomise
from torch import Tensor, nn
from torch.nn import functional
from torch_late_inceptions import without_stem_strides
from torch_layers import Network
from torch_weights import (
    NameOf,
    convert,
    import_timm,
    import_torchvision,
    in_keras,
    path,
    random_state,
)
from training_step import State, Twin

from cnnzoo.weights.sources import timm as timm_names
from cnnzoo.weights.sources import torchvision as torchvision_names

torchvision, timm = import_torchvision(), import_timm()
TORCHVISION = f"torchvision {torchvision.__version__.partition('+')[0]}"
TIMM = f"timm {timm.__version__}"
DEFINITION = "PyTorch definition"
CLASSES = 10
PIXELS = 20.0  # deviation of images that LRN's constants change visibly
Maker = Callable[[keras.Model], Twin]


@dataclass(frozen=True)
class Case:
    """How a network is built to be trained beside its twin.

    Attributes:
        make: makes the twin of one of ours, and gives both the same random weights.
        side: of the images, in pixels; the smallest with maps of 2x2 for the head.
        channels: of the images.
        scale: of the images, where LRN's constants are made for some size of values.
        options: more options of `cnnzoo.build`.
    """

    make: Maker
    side: int
    channels: int = 3
    scale: float = 1.0
    options: tuple[tuple[str, Any], ...] = ()


# Definitions over named weights ------------------------------------------------------


def defined(
    definition: Callable[..., Tensor],
    *,
    momentum: float = 0.99,
    name_of: Callable[[str], str] = str,
    penalty: Callable[[nn.Module], Tensor | float] = lambda module: 0.0,
    **options: Any,
) -> Maker:
    """A definition that numpy_layers runs too; `options` are its own."""

    def make(model: keras.Model) -> Twin:
        randomise(model)
        layers = [layer for layer in model.layers if layer.weights]
        values = {
            name_of(layer.name): {w.name: w.numpy() for w in layer.weights}
            for layer in layers
        }
        module = Network(partial(definition, **options), values, momentum)

        def in_ours(state: State) -> State:
            return {
                path(layer, weight): state[f"{name_of(layer.name)}/{weight.name}"]
                for layer in layers
                for weight in layer.weights
            }

        return Twin(module, in_ours, DEFINITION, penalty=penalty)

    return make


# Modules -----------------------------------------------------------------------------


def same(state: State) -> State:
    return state


def module(
    build: Callable[[], nn.Module],
    name_of: NameOf,
    against: str = DEFINITION,
    *,
    edit: Callable[[State], State] = same,
    adds: bool | None = None,
) -> Maker:
    """A PyTorch module; `edit` brings its state dict to the shapes of ours."""

    def make(model: keras.Model) -> Twin:
        twin = build()
        for part in twin.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        convert(model, edit(random_state(twin, adds=adds)), name_of)
        return Twin(twin, lambda state: in_keras(model, edit(state), name_of), against)

    return make


def norms(module: nn.Module, **attributes: float) -> nn.Module:
    """The module, all of whose batch normalisations have these attributes."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            vars(part).update(attributes)
    return module


def without_scales(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_parameter("weight", None)
    return module


def add_head(module: nn.Module, after: str, channels: int) -> nn.Module:
    """The module, which then also gives the logits of TF-slim's auxiliary head."""
    maps: dict[str, Tensor] = {}
    module.add_module("aux", torch_inceptions.SlimAux(channels, CLASSES))
    module.get_submodule(after).register_forward_hook(
        lambda part, inputs, output: maps.update(x=output)
    )
    module.register_forward_hook(
        lambda part, inputs, output: (output, part.aux(maps["x"]))
    )
    return module


# Classic -----------------------------------------------------------------------------


def caffe(build: Callable[..., nn.Module], **options: Any) -> Maker:
    """Five convolutions and three dense layers, with the names that Caffe gave them."""
    names = {
        "stem_conv": "conv1",
        "stage1_conv": "conv2",
        **{f"stage2_conv{i}": f"conv{i + 2}" for i in (1, 2, 3)},
        **{f"head_dense{i}": f"fc{i + 5}" for i in (1, 2)},
        "predictions": "fc8",
    }
    return module(partial(build, CLASSES, side=2, **options), names.__getitem__)


def nin(build: Callable[[int], nn.Module], stages: int) -> Maker:
    names = {"head_conv": f"cccp{stages}_2"}
    for stage in range(1, stages + 1):
        names[f"stage{stage}_conv1"] = f"conv{stage}"
        names |= {f"stage{stage}_conv{i + 1}": f"cccp{stage}_{i}" for i in (1, 2)}
    return module(partial(build, CLASSES), names.__getitem__)


def of_torchvision(name: str, first_dense: int) -> Maker:
    """AlexNet or a VGG, on maps of 2x2 that no pool blows up to torchvision's size.

    `first_dense`: the number of the first dense layer among those of the classifier.
    """

    def build() -> nn.Module:
        with torch.device("meta"):  # no memory for the layer that is exchanged
            twin = torchvision.models.get_model(
                name.removesuffix("_torchvision"), num_classes=CLASSES
            )
            twin.avgpool = nn.Identity()
            channels = 512 if first_dense == 0 else 256
            twin.classifier[first_dense] = nn.Linear(channels * 2 * 2, 4096)
        return twin.to_empty(device="cpu")

    return module(build, torchvision_names.NAMES[name].name, TORCHVISION)


# Inceptions --------------------------------------------------------------------------


def googlenet(two_dense: bool) -> Maker:
    def penalty(module: nn.Module) -> Tensor:
        """The L2 penalty of 5e-4 on the stem's kernels and biases."""
        named = module.named_parameters()
        stem = [w for name, w in named if name.startswith("conv")]
        return 5e-4 * sum(((w**2).sum() for w in stem), start=torch.zeros(()))

    return defined(
        reference_googlenet.with_aux,
        name_of=reference_googlenet.name_in_caffe,
        two_dense=two_dense,
        **({"penalty": penalty} if two_dense else {}),
    )


class PaperAux(nn.Module):
    """torchvision's auxiliary head behind the paper's pool, here of 5x5 pixels to 1."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.conv, self.fc1, self.fc2 = head.conv, nn.Linear(128, 1024), head.fc2

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(functional.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(self.fc1(x).relu())


def googlenet_bn() -> nn.Module:
    twin = torchvision.models.googlenet(
        num_classes=CLASSES, init_weights=False, aux_logits=True, transform_input=False
    )
    twin.aux1, twin.aux2 = PaperAux(twin.aux1), PaperAux(twin.aux2)
    twin.register_forward_hook(lambda part, inputs, heads: (heads[0], *heads[:0:-1]))
    return twin


class Cadene(torch_inceptions.BNInception):
    bias = False  # of convolutions, which BN takes out again


class Caffe2(torch_inceptions.NarrowInceptionV2):
    bias = False


def scaled_slim(state: State) -> State:
    """TF-slim's eight filters a channel, one by one in PyTorch."""
    name = f"{torch_inceptions.SlimInceptionV2.DEPTHWISE}.weight"
    return state | {name: state[name].reshape(3, 8, 7, 7)}


def inception_v3(*, aux: bool) -> nn.Module:
    twin = torchvision.models.inception_v3(
        num_classes=CLASSES, init_weights=False, aux_logits=aux, transform_input=False
    )
    if aux:
        without_stem_strides(twin, ("Conv2d_1a_3x3.conv",), ("maxpool1", "maxpool2"))
    return twin


class Borderless(nn.Module):
    """torchvision's Inception V3 as keras.applications has it: average pools leave the
    border out, BN has no scale and Keras's momentum."""

    def __init__(self, *, aux: bool):
        super().__init__()
        self.inner = norms(without_scales(inception_v3(aux=aux)), momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        inside = partial(functional.avg_pool2d, count_include_pad=False)
        with patch.object(functional, "avg_pool2d", inside):
            return self.inner(x)


INCEPTION_V3 = torchvision_names.NAMES["inception_v3_torchvision"].name
XCEPTION = timm_names.NAMES["xception_timm"].name


def inception_v4(*, aux: bool) -> nn.Module:
    twin = timm.create_model("inception_v4", pretrained=False, num_classes=CLASSES)
    if not aux:
        return twin
    convs = ("features.0.conv", "features.3.conv.conv", "features.5.conv.conv")
    without_stem_strides(twin, convs)
    for name in ("features.3.maxpool", "features.5.maxpool"):
        twin.get_submodule(name).stride = 1
    return add_head(twin, "features.17", 1024)


def inception_resnet_v1(*, aux: bool) -> nn.Module:
    twin = torch_late_inceptions.InceptionResNetV1(CLASSES, 1 if aux else 2)
    twin = add_head(twin, "repeat_1", 896) if aux else twin
    return norms(without_scales(twin), momentum=0.01)


def inception_resnet_v2(*, aux: bool) -> nn.Module:
    name = "inception_resnet_v2"
    twin = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    if aux:
        without_stem_strides(twin, ("conv2d_1a.conv",), ("maxpool_3a", "maxpool_5a"))
        add_head(twin, "repeat_1", 1088)
    return norms(without_scales(twin), momentum=0.01)


def heads(
    build: Callable[..., nn.Module], name_of: NameOf, against: str, side: int, small: int
) -> dict[str, Case]:
    """A late Inception with the paper's stem; with the small one and a second head."""

    def make(aux: bool) -> Maker:
        return module(partial(build, aux=aux), name_of, against, adds=False)

    options = (("stem", "small"), ("aux_heads", True))
    return {
        "": Case(make(False), side),
        "heads": Case(make(True), small, options=options),
    }


class SamePool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = torch_inceptions.window(x, 3, 2, -torch.inf)
        return functional.max_pool2d(x, 3, 2)


def xception(*, of_keras: bool) -> nn.Module:
    twin = timm.create_model("legacy_xception", pretrained=False, num_classes=CLASSES)
    if of_keras:
        norms(twin, eps=1e-3, momentum=0.01)
        for block in (twin.block1, twin.block2, twin.block3, twin.block12):
            block.rep[-1] = SamePool()
    return twin


# ResNets -----------------------------------------------------------------------------


def resnet(like: str, *, stride_first: bool = False, of_keras: bool = False) -> Maker:
    """torchvision's, or with the paper's stride in the first 1x1, or Keras's with biases
    and its epsilon and momentum."""

    def build() -> nn.Module:
        twin = torchvision.models.get_model(like, num_classes=CLASSES)
        for part in twin.modules():
            if stride_first and hasattr(part, "conv3"):
                part.conv1.stride, part.conv2.stride = part.conv2.stride, (1, 1)
            if of_keras and isinstance(part, nn.Conv2d):
                part.bias = nn.Parameter(torch.zeros(part.out_channels))
        return norms(twin, eps=1.001e-5, momentum=0.01) if of_keras else twin

    return module(build, torchvision_names.NAMES["resnet18"].name, TORCHVISION)


def timm_resnet_v2(name: str) -> Maker:
    def edit(state: State) -> State:
        """timm's classifier, a 1x1 convolution, as the dense layer it is."""
        head = "head.fc.weight"
        return state | {head: state[head][:, :, 0, 0]}

    build = partial(timm.create_model, name, pretrained=False, num_classes=CLASSES)
    return module(build, timm_names.NAMES["resnet18_v2"].name, TIMM, edit=edit)


def cifar_resnet(blocks: int) -> Maker:
    name_of = torchvision_names.NAMES["resnet20"].name
    return module(
        partial(torch_resnets.cifar_resnet, blocks, "A"),
        lambda layer: f"module.{name_of(layer)}",
    )


# The catalog -------------------------------------------------------------------------

AUX = (("aux_heads", True),)
KKWEON = partial(defined, reference_nets.vgg, convolutions=(2, 2, 3, 3), epsilon=1e-3)
V2_KERAS = partial(defined, reference_nets.keras_resnet_v2)
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CASES = {
    "lenet5": Case(defined(reference_nets.lenet5), 28, 1),
    "lenet_gap": Case(defined(reference_nets.lenet_gap), 28, 1),
    "mlp": Case(defined(reference_nets.mlp), 28, 1),
    "simple_cnn": Case(defined(reference_nets.simple_cnn), 28, 1),
    "shapes_cnn": Case(defined(reference_nets.simple_cnn), 24),
    "alexnet": Case(caffe(torch_classic.alexnet), 95, scale=PIXELS),
    "caffenet": Case(caffe(torch_classic.alexnet, pool_first=True), 95, scale=PIXELS),
    "alexnet_torchvision": Case(of_torchvision("alexnet_torchvision", 1), 95),
    "zfnet": Case(caffe(torch_classic.zfnet), 107, scale=PIXELS),
    "zfnet512": Case(caffe(torch_classic.zfnet512), 96, scale=PIXELS),
    "nin": Case(nin(torch_classic.nin, 4), 79),
    "nin_cifar10": Case(nin(torch_classic.nin_cifar10, 3), 16),
    "nin_mnist": Case(nin(torch_classic.nin_mnist, 3), 16, 1),
    **{f"vgg{n}": Case(of_torchvision(f"vgg{n}", 0), 64) for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": Case(of_torchvision(f"vgg{n}_bn", 0), 64) for n in (11, 13, 16, 19)},
    "small_vgg": Case(KKWEON(dense=1), 28, 1),
    "very_small_vgg": Case(KKWEON(dense=2), 28, 1),
    "inception_v1": Case(googlenet(False), 79, scale=PIXELS, options=AUX),
    "inception_v1_two_dense": Case(googlenet(True), 65, scale=PIXELS, options=AUX),
    "googlenet_bn": Case(
        module(
            googlenet_bn,
            torchvision_names.NAMES["googlenet_bn"].name,
            TORCHVISION,
            adds=False,
        ),
        79,
        options=AUX,
    ),
    "bn_inception": Case(
        module(partial(Cadene, CLASSES, 2), torch_inceptions.cadene_name, adds=False),
        133,
        options=AUX,
    ),
    "inception_v2": Case(
        module(partial(Caffe2, CLASSES, 2), torch_inceptions.cadene_name, adds=False),
        133,
        options=AUX,
    ),
    "inception_v2_separable": Case(
        module(
            partial(torch_inceptions.ScaledInceptionV2, CLASSES),
            torch_inceptions.slim_name,
            edit=scaled_slim,
            adds=False,
        ),
        64,
    ),
}
CASES |= {
    "resnet18": Case(resnet("resnet18"), 64),
    "resnet34": Case(resnet("resnet34"), 64),
    **{
        name: case
        for n, repeats in DEPTHS.items()
        for name, case in {
            f"resnet{n}_v1_5": Case(resnet(f"resnet{n}"), 64),
            f"resnet{n}_paper": Case(resnet(f"resnet{n}", stride_first=True), 64),
            f"resnet{n}": Case(
                resnet(f"resnet{n}", stride_first=True, of_keras=True), 64
            ),
            f"resnet{n}_v2": Case(V2_KERAS(repeats=repeats), 64),
        }.items()
    },
    "resnet18_v2": Case(timm_resnet_v2("resnetv2_18"), 64),
    "resnet34_v2": Case(timm_resnet_v2("resnetv2_34"), 64),
    "resnet50_v2_timm": Case(timm_resnet_v2("resnetv2_50"), 64),
    **{f"resnet{6 * n + 2}": Case(cifar_resnet(n), 8) for n in (3, 5, 7, 9, 18)},
    "small_resnet": Case(defined(reference_nets.small_resnet), 28, 1),
    "xception": Case(module(partial(xception, of_keras=True), XCEPTION, TIMM), 71),
    "xception_timm": Case(module(partial(xception, of_keras=False), XCEPTION, TIMM), 33),
}
for name, found in {
    "inception_v3": heads(
        Borderless,
        lambda layer: f"inner.{INCEPTION_V3(layer)}",
        f"{TORCHVISION}, pools without border",
        107,
        41,
    ),
    "inception_v3_torchvision": heads(inception_v3, INCEPTION_V3, TORCHVISION, 107, 41),
    "inception_v4": heads(inception_v4, torch_inceptions.timm_name, TIMM, 107, 45),
    "inception_resnet_v1": heads(
        inception_resnet_v1, torch_late_inceptions.timm_resnet_name, DEFINITION, 107, 43
    ),
    "inception_resnet_v2": heads(
        inception_resnet_v2, torch_late_inceptions.timm_resnet_name, TIMM, 107, 41
    ),
}.items():
    CASES |= {" ".join((name, *filter(None, (k,)))): v for k, v in found.items()}
