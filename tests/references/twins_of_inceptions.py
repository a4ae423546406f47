"""The twins of GoogLeNet, of the Inceptions after it and of Xception."""

from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import numpy as np
import reference_googlenet
import torch
import torch_inceptions
import torch_late_inceptions
from torch import Tensor, nn
from torch.nn import functional
from torch_late_inceptions import without_stem_strides
from torch_weights import NameOf
from training_step import State
from twins import (
    CLASSES,
    DEFINITION,
    PIXELS,
    TIMM,
    TORCHVISION,
    Case,
    Maker,
    add_head,
    defined,
    module,
    norms,
    timm,
    torchvision,
    without_scales,
)

from cnnzoo.weights.sources.name_tables import name_table


def stem_penalty(module: nn.Module) -> Tensor:
    """The L2 penalty of 5e-4 on the kernels and biases of the stem."""
    named = module.named_parameters()
    squares = [(weight**2).sum() for name, weight in named if name.startswith("conv")]
    return 5e-4 * torch.stack(squares).sum()


GOOGLENET = partial(
    defined,
    reference_googlenet.with_aux,
    name_of=reference_googlenet.name_in_caffe,
)


class PaperAux(nn.Module):
    """torchvision's auxiliary head behind the paper's pool, here of 5x5 pixels to 1."""

    def __init__(self, conv: nn.Module, classifier: nn.Module):
        super().__init__()
        self.conv, self.fc1, self.fc2 = conv, nn.Linear(128, 1024), classifier

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(functional.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(self.fc1(x).relu())


def googlenet_bn() -> nn.Module:
    twin = torchvision.models.googlenet(
        num_classes=CLASSES, init_weights=False, aux_logits=True, transform_input=False
    )
    for name in ("aux1", "aux2"):
        head = getattr(twin, name)
        setattr(twin, name, PaperAux(head.conv, head.fc2))
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


AUX = (("aux_heads", True),)
INCEPTION_V3 = name_table("torchvision", "inception_v3_torchvision").name
XCEPTION = name_table("timm", "xception_timm").name


def inception_v4(*, aux: bool) -> nn.Module:
    twin = timm.create_model("inception_v4", pretrained=False, num_classes=CLASSES)
    if not aux:
        return twin
    convs = ("features.0.conv", "features.3.conv.conv", "features.5.conv.conv")
    without_stem_strides(twin, convs)
    for name in ("features.3.maxpool", "features.5.maxpool"):
        twin.get_submodule(name).stride = 1
    return add_head(twin, "features.17", 1024)


def like_tf_slim(module: nn.Module) -> nn.Module:
    """BN without scales and with Keras's momentum; factors in float32, as Keras's
    Rescaling has them in any type."""
    for part in module.modules():
        if "scale" in vars(part):
            vars(part)["scale"] = float(np.float32(vars(part)["scale"]))
    return norms(without_scales(module), momentum=0.01)


def inception_resnet_v1(*, aux: bool) -> nn.Module:
    twin = torch_late_inceptions.InceptionResNetV1(CLASSES, 1 if aux else 2)
    twin = add_head(twin, "repeat_1", 896) if aux else twin
    return like_tf_slim(twin)


def inception_resnet_v2(*, aux: bool) -> nn.Module:
    name = "inception_resnet_v2"
    twin = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    if aux:
        without_stem_strides(twin, ("conv2d_1a.conv",), ("maxpool_3a", "maxpool_5a"))
        add_head(twin, "repeat_1", 1088)
    return like_tf_slim(twin)


def heads(
    name: str,
    build: Callable[..., nn.Module],
    name_of: NameOf,
    against: str,
    side: int,
    small: int,
) -> dict[str, Case]:
    """A late Inception with the paper's stem; with the small one and a second head."""

    def make(aux: bool) -> Maker:
        return module(partial(build, aux=aux), name_of, against, adds=False)

    options = (("stem", "small"), *AUX)
    return {
        name: Case(make(False), side),
        f"{name} heads": Case(make(True), small, options=options),
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


INCEPTIONS = {
    "inception_v1": Case(GOOGLENET(), 79, scale=PIXELS, options=AUX),
    "inception_v1_two_dense": Case(
        GOOGLENET(two_dense=True, penalty=stem_penalty), 65, scale=PIXELS, options=AUX
    ),
    "googlenet_bn": Case(
        module(
            googlenet_bn,
            name_table("torchvision", "googlenet_bn").name,
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
    **heads(
        "inception_v3",
        Borderless,
        lambda layer: f"inner.{INCEPTION_V3(layer)}",
        f"{TORCHVISION}, pools without border",
        107,
        41,
    ),
    **heads("inception_v3_torchvision", inception_v3, INCEPTION_V3, TORCHVISION, 107, 41),
    **heads("inception_v4", inception_v4, torch_inceptions.timm_name, TIMM, 107, 45),
    **heads(
        "inception_resnet_v1",
        inception_resnet_v1,
        torch_late_inceptions.timm_resnet_name,
        DEFINITION,
        107,
        43,
    ),
    **heads(
        "inception_resnet_v2",
        inception_resnet_v2,
        torch_late_inceptions.timm_resnet_name,
        TIMM,
        107,
        41,
    ),
    "xception": Case(module(partial(xception, of_keras=True), XCEPTION, TIMM), 71),
    "xception_timm": Case(module(partial(xception, of_keras=False), XCEPTION, TIMM), 49),
}
