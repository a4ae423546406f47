"""GoogLeNet in NumPy or PyTorch, as Caffe's `bvlc_googlenet` is, with Caffe's names.

Szegedy et al. 2014, table 1. Written apart from cnnzoo, which it does not import:
`logits` is Caffe's network, `two_dense_logits` the widespread Keras form of it;
`with_aux` adds the logits of the auxiliary classifiers, for either.
"""

import re
from collections.abc import Callable

from numpy_layers import Array, Weights

MODULES = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOL_BEFORE = ("4a", "5a")  # the modules that a pool of stride 2 stands before

AUX = {"loss1": "4a", "loss2": "4d"}  # the auxiliary classifiers and what they see

Step = Callable[[Array], Array]


def shapes(
    classes: int, two_dense: bool = False, aux_side: int = 0
) -> dict[str, tuple[int, ...]]:
    """The kernel's shape of each layer with weights, by Caffe's name.

    `aux_side` is that of the pooled maps in the auxiliary classifiers; 0 for none.
    """
    found: dict[str, tuple[int, ...]] = {
        "conv1/7x7_s2": (7, 7, 3, 64),
        "conv2/3x3_reduce": (1, 1, 64, 64),
        "conv2/3x3": (3, 3, 64, 192),
    }
    channels = 192
    for module, (one, reduce3, three, reduce5, five, projection) in MODULES.items():
        found |= {
            f"inception_{module}/1x1": (1, 1, channels, one),
            f"inception_{module}/3x3_reduce": (1, 1, channels, reduce3),
            f"inception_{module}/3x3": (3, 3, reduce3, three),
            f"inception_{module}/5x5_reduce": (1, 1, channels, reduce5),
            f"inception_{module}/5x5": (5, 5, reduce5, five),
            f"inception_{module}/pool_proj": (1, 1, channels, projection),
        }
        channels = one + three + five + projection
        for aux, seen in AUX.items():
            if aux_side and seen == module:
                found[f"{aux}/conv"] = (1, 1, channels, 128)
                found[f"{aux}/fc"] = (aux_side * aux_side * 128, 1024)
                found[f"{aux}/classifier"] = (1024, classes)
    if two_dense:
        found["dense"], channels = (channels, 1000), 1000
    return {**found, "loss3/classifier": (channels, classes)}


def name_in_caffe(layer: str) -> str:
    """What Caffe calls the layer that is `layer` in cnnzoo."""
    fixed = {
        "stem_conv1": "conv1/7x7_s2",
        "stem_reduce": "conv2/3x3_reduce",
        "stem_conv2": "conv2/3x3",
        "head_dense": "dense",
        "predictions": "loss3/classifier",
    }
    if layer in fixed:
        return fixed[layer]
    if layer.startswith("aux"):
        part = {"conv": "conv", "dense": "fc", "predictions": "classifier"}
        return f"loss{layer[3]}/{part[layer[5:]]}"
    module = re.fullmatch(r"stage(\d)_block(\d)_(.+)", layer)
    assert module, f"no name for {layer}"
    letter = "abcde"[int(module[2]) - 1]
    return f"inception_{int(module[1]) + 2}{letter}/{module[3]}"


def features(
    x: Array, w: Weights, *, normalise: Step, pool: Step, stem_pad: int | str
) -> dict[str, Array]:
    """What each module gives; the last (b, h / 32, w / 32, 1024) for (b, h, w, c)."""
    x = w.relu(w.conv(x, "conv1/7x7_s2", stride=2, pad=stem_pad))
    x = normalise(pool(x))
    x = w.relu(w.conv(x, "conv2/3x3_reduce", pad=0))
    x = w.relu(w.conv(x, "conv2/3x3", pad=1))
    x = pool(normalise(x))
    found = {}
    for module in MODULES:
        if module in POOL_BEFORE:
            x = pool(x)
        found[module] = x = inception(x, w, f"inception_{module}")
    return found


def inception(x: Array, w: Weights, module: str) -> Array:
    three = w.relu(w.conv(x, f"{module}/3x3_reduce", pad=0))
    five = w.relu(w.conv(x, f"{module}/5x5_reduce", pad=0))
    pooled = w.caffe_max_pool(x, 3, 1, pad=1)
    branches = [
        w.relu(w.conv(x, f"{module}/1x1", pad=0)),
        w.relu(w.conv(three, f"{module}/3x3", pad=1)),
        w.relu(w.conv(five, f"{module}/5x5", pad=2)),
        w.relu(w.conv(pooled, f"{module}/pool_proj", pad=0)),
    ]
    return w.concat(branches)


def aux_logits(maps: dict[str, Array], w: Weights, aux: str) -> Array:
    x = w.average_pool(maps[AUX[aux]], 5, 3)
    x = w.relu(w.conv(x, f"{aux}/conv", pad=0))
    x = w.caffe_flatten(x)
    return w.dense(w.relu(w.dense(x, f"{aux}/fc")), f"{aux}/classifier")


def caffe_features(
    x: Array, w: Weights, normalise: Step | None = None
) -> dict[str, Array]:
    def pool(x: Array) -> Array:
        return w.caffe_max_pool(x, 3, 2)

    return features(x, w, normalise=normalise or w.lrn, pool=pool, stem_pad=3)


def same_features(
    x: Array, w: Weights, normalise: Step | None = None
) -> dict[str, Array]:
    """With TensorFlow's SAME."""

    def pool(x: Array) -> Array:
        return w.same_max_pool(x, 3, 2)

    return features(x, w, normalise=normalise or w.lrn, pool=pool, stem_pad="same")


def logits(x: Array, w: Weights, normalise: Step | None = None) -> Array:
    """Caffe's network, without dropout, which does nothing when it predicts."""
    return classified(caffe_features(x, w, normalise), w)


def two_dense_logits(x: Array, w: Weights, normalise: Step | None = None) -> Array:
    """The form with TensorFlow's SAME and a linear layer before the classifier."""
    return classified(same_features(x, w, normalise), w, two_dense=True)


def with_aux(x: Array, w: Weights, two_dense: bool = False) -> list[Array]:
    """The logits, then those of the auxiliary classifiers."""
    maps = same_features(x, w) if two_dense else caffe_features(x, w)
    return [classified(maps, w, two_dense), *(aux_logits(maps, w, aux) for aux in AUX)]


def classified(maps: dict[str, Array], w: Weights, two_dense: bool = False) -> Array:
    x = maps["5b"].mean((1, 2))
    return w.dense(w.dense(x, "dense") if two_dense else x, "loss3/classifier")
