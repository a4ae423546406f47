"""GoogLeNet with BN, Inception V2 and V4 give the numbers of PyTorch networks.

The references are torchvision's and timm's own networks, and the definitions of
`torch_inceptions` where neither has one. Random state dicts go over by the names that
public files have.
"""

import keras
import numpy as np
import pytest
import torch
import torch_inceptions
from parity import Record, compare, images
from torch import Tensor, nn
from torch.nn import functional
from torch_inceptions import State, timm_name
from torch_weights import NameOf, convert, import_timm, import_torchvision, random_state

import cnnzoo
from cnnzoo.weights.sources.name_tables import name_table
from cnnzoo.zoo import sketch

torchvision, timm = import_torchvision(), import_timm()

proof = pytest.mark.proof
TORCHVISION = f"torchvision {torchvision.__version__.partition('+')[0]}"
TIMM = f"timm {timm.__version__}"
DEFINITION = "PyTorch definition"
BOUND = 1e-4
CLASSES = 50
GOOGLENET = name_table("torchvision", "googlenet_bn").name
LOGITS = {"classifier_activation": None, "classes": CLASSES}
FEATURES = {"include_top": False}


def run_module(module: nn.Module, x: np.ndarray, *hooked: str) -> list[Tensor]:
    """The logits for images (b, h, w, c), then the outputs of the named submodules."""
    kept = {}
    hooks = [
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: kept.update({name: output})
        )
        for name in hooked
    ]
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    for hook in hooks:
        hook.remove()
    heads = logits if isinstance(logits, list) else [logits]
    return [*heads, *(kept[name] for name in hooked)]


def twin(name: str, side: int, state: State, name_of: NameOf, **options) -> keras.Model:
    """Ours with the values of a public state dict, all of which it must take."""
    top = {} if options == FEATURES else LOGITS
    model = cnnzoo.build(name, input_shape=(side, side, 3), **top, **options)
    convert(model, state, name_of)
    return model


def check(
    record: Record,
    against: str,
    model: keras.Model,
    x: np.ndarray,
    expected: list[Tensor],
) -> None:
    """Compares all outputs, of which those behind the first are auxiliary."""
    found = model(x, training=False)
    found = found if isinstance(found, list) else [found]
    options = model.cnnzoo.options
    kind = "logits" if options["include_top"] else "features"
    words = "".join(
        f", {key}={options[key]}" for key in ("stem", "aux_heads") if key in options
    )
    for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        theirs = theirs.numpy()
        if theirs.ndim == 4:
            theirs = theirs.transpose(0, 2, 3, 1)
        head = f"aux{i} {kind}" if i else kind
        what = f"{head}{words}, {x.shape[1]} px"
        compare(record, model.cnnzoo.spec.name, what, against, ours, theirs, BOUND)


def without(state: State, *prefixes: str) -> State:
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


# GoogLeNet with BN -------------------------------------------------------------------


def googlenet(aux: bool) -> tuple[nn.Module, State]:
    module = torchvision.models.googlenet(
        num_classes=CLASSES, init_weights=False, aux_logits=aux, transform_input=False
    )
    return module, random_state(module, adds=False)


@pytest.mark.parametrize(
    "side", [75, pytest.param(224, marks=proof), pytest.param(231, marks=proof)]
)
@pytest.mark.parametrize("options", [{}, FEATURES], ids=["logits", "features"])
def test_googlenet_bn(record: Record, side: int, options: dict):
    module, state = googlenet(aux=False)
    x = images(side)
    logits, features = run_module(module, x, "inception5b")
    if options:
        state = without(state, "fc.")
    ours = twin("googlenet_bn", side, state, GOOGLENET, **options)
    check(record, TORCHVISION, ours, x, [features if options else logits])


@pytest.mark.parametrize("side", [231, pytest.param(224, marks=proof)])
def test_googlenet_bn_aux_heads(record: Record, side: int):
    """Behind the paper's pool, torchvision's adaptive one to 4x4 changes nothing."""
    module, state = googlenet(aux=True)
    x = images(side)
    logits, *maps = run_module(module, x, "inception4a", "inception4d")
    with torch.no_grad():
        aux = [
            getattr(module, name)(functional.avg_pool2d(x, 5, 3))
            for name, x in zip(("aux1", "aux2"), maps, strict=True)
        ]
    ours = twin("googlenet_bn", side, state, GOOGLENET, aux_heads=True)
    check(record, TORCHVISION, ours, x, [logits, *aux])


# Inception V2 ------------------------------------------------------------------------

CADENE = (torch_inceptions.cadene_name, torch_inceptions.without_biases)
V2 = {
    "bn_inception": (torch_inceptions.BNInception, *CADENE),
    "inception_v2": (torch_inceptions.NarrowInceptionV2, *CADENE),
    "inception_v2_separable": (
        torch_inceptions.SlimInceptionV2,
        torch_inceptions.slim_name,
        torch_inceptions.from_slim,
    ),
}


# Caffe's branches fit where the halving modules see even sides: at 69 and 229 pixels,
# where all sides in front of them are odd. TF-slim's fit everywhere; 75 pixels make 38,
# 19, 10, 5 and 3.
@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((name, 69) for name in V2),
        ("inception_v2_separable", 75),
        *(pytest.param(name, side, marks=proof) for name in V2 for side in (224, 229)),
    ],
)
def test_inception_v2(record: Record, name: str, side: int):
    definition, name_of, convert_state = V2[name]
    module = definition(CLASSES)
    state = convert_state(random_state(module, adds=False))
    x = images(side)
    ours = twin(name, side, state, name_of)
    check(record, DEFINITION, ours, x, run_module(module, x))


@pytest.mark.parametrize(
    ("side", "pooled"),
    [(133, 2), pytest.param(224, 4, marks=proof), pytest.param(229, 4, marks=proof)],
)
@pytest.mark.parametrize("name", ["bn_inception", "inception_v2"])
def test_inception_v2_aux_heads(record: Record, name: str, side: int, pooled: int):
    definition, name_of, convert_state = V2[name]
    module = definition(CLASSES, aux_side=pooled)
    state = convert_state(random_state(module, adds=False))
    x = images(side)
    ours = twin(name, side, state, name_of, aux_heads=True)
    check(record, DEFINITION, ours, x, run_module(module, x))


# Inception V4 ------------------------------------------------------------------------


def inception_v4() -> tuple[nn.Module, State]:
    module = timm.create_model("inception_v4", pretrained=False, num_classes=CLASSES)
    return module, random_state(module, adds=False)


@pytest.mark.parametrize(
    ("side", "options"),
    [
        (107, {}),
        pytest.param(299, {}, marks=proof),
        pytest.param(299, FEATURES, marks=proof),
        pytest.param(315, FEATURES, marks=proof),
    ],
)
def test_inception_v4(record: Record, side: int, options: dict):
    module, state = inception_v4()
    x = images(side)
    logits, features = run_module(module, x, "features")
    if options:
        state = without(state, "last_linear.")
    ours = twin("inception_v4", side, state, timm_name, **options)
    check(record, TIMM, ours, x, [features if options else logits])


def with_its_head(
    record: Record, module: nn.Module, state: State, side: int, **options
) -> None:
    """timm has no auxiliary head; TF-slim's stands behind its last block of stage 2."""
    head = torch_inceptions.SlimAux(1024, CLASSES)
    values = random_state(head, seed=1)
    state |= {f"aux.{name}": value for name, value in values.items()}
    x = images(side)
    logits, maps = run_module(module, x, "features.17")
    with torch.no_grad():
        aux = head.eval()(maps)
    ours = twin("inception_v4", side, state, timm_name, aux_heads=True, **options)
    check(record, f"{TIMM} and a PyTorch head", ours, x, [logits, aux])


@proof
def test_inception_v4_aux_head(record: Record):
    with_its_head(record, *inception_v4(), 299)


@proof
def test_inception_v4_with_a_small_stem(record: Record):
    """At 45 pixels, the smallest side with an auxiliary head, which sees 17x17."""
    module, state = inception_v4()
    for name in ("features.0.conv", "features.3.conv.conv", "features.5.conv.conv"):
        conv = module.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        conv.stride = (1, 1)
    for name in ("features.3.maxpool", "features.5.maxpool"):
        pool = module.get_submodule(name)
        assert isinstance(pool, nn.MaxPool2d)
        pool.stride = 1
    with_its_head(record, module, state, 45, stem="small")


# Options of all ----------------------------------------------------------------------

SMALLEST = {  # sides with auxiliary heads: with the paper's stem and with the small one
    "inception_v1": (79, 10),
    "inception_v1_two_dense": (65, 9),
    "googlenet_bn": (79, 10),
    "inception_v2": (71, 9),
    "bn_inception": (71, 9),
    "inception_v2_separable": (65, 9),
    "inception_v4": (299, 45),
}
AUX_PARAMETERS = {  # of all heads together, at the paper's size
    "inception_v1": 3_188_840 + 3_190_888,
    "googlenet_bn": 13_004_888 - 6_624_904 + 2 * 2 * 128,
}


@pytest.mark.parametrize("side", [28, 32, 64])
@pytest.mark.parametrize("name", SMALLEST)
def test_a_small_stem_keeps_maps(name: str, side: int):
    model = sketch(name, stem="small", input_shape=(side, side, 3))
    _, *sides, _ = model.get_layer("features").output.shape
    assert min(sides) >= 2


@pytest.mark.parametrize("name", SMALLEST)
def test_a_small_stem_has_the_same_weights(name: str):
    paper = sketch(name)
    small = sketch(name, stem="small", input_shape=(32, 32, 3))
    assert shapes(small) == shapes(paper)
    assert "stem_pool2" not in [layer.name for layer in small.layers]


def shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    return {weight.path: weight.shape for weight in model.weights}


@pytest.mark.parametrize("stem", ["paper", "small"])
@pytest.mark.parametrize(
    "name", ["inception_v1", *(pytest.param(n, marks=proof) for n in list(SMALLEST)[1:])]
)
def test_the_smallest_side_with_auxiliary_heads(name: str, stem: str):
    side = SMALLEST[name][stem == "small"]
    options = {"stem": stem, "aux_heads": True}
    model = sketch(name, input_shape=(side, side, 3), **options)
    last = len(model.outputs) - 1
    assert model.outputs[last].shape == (None, 1000)
    assert model.output_names == [
        "predictions",
        *(f"aux{i}_predictions" for i in range(1, last + 1)),
    ]
    with pytest.raises(cnnzoo.UsageError, match=rf"at least {side}x{side} pixels"):
        sketch(name, input_shape=(side - 1, side + 9, 3), **options)


@pytest.mark.parametrize("name", AUX_PARAMETERS)
def test_the_auxiliary_heads_parameters(name: str):
    with_heads = sketch(name, aux_heads=True).count_params()
    assert with_heads - sketch(name).count_params() == AUX_PARAMETERS[name]


def test_googlenet_with_its_heads_has_the_published_count():
    assert sketch("inception_v1", aux_heads=True).count_params() == 13_378_280


def test_an_unknown_stem_is_an_error():
    for name in SMALLEST:
        with pytest.raises(cnnzoo.UsageError, match="stem"):
            sketch(name, stem="large")
