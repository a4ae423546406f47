"""The names of layers, a contract: freezing, cutting, maps and files go by them.

`images`, `preprocess_*`, `stem_*`, `stage{i}_*` counted from 1, `features`, `head_*`,
`predictions`, and `aux{i}_*` with `aux{i}_predictions`. A classifier on several cuts
stands on `means`, the means `mean_*` of their maps side by side. Renaming a layer is a
breaking change.
"""

import re

IMAGES = "images"
FEATURES = "features"  # in every network, the layer between trunk and head
MEANS = "means"  # of several cuts, side by side, before the features
PREDICTIONS = "predictions"  # the classifier, which ends every network

_STAGE = re.compile(r"stage(\d+)_.*")
_AUX = re.compile(r"aux\d+_.*")


def stage(number: int) -> str:
    """The name of a stage, counted from 1: "stage1"."""
    return f"stage{number}"


def stage_number(name: str) -> int | None:
    """The number of the stage that a layer belongs to; None outside the stages."""
    match = _STAGE.fullmatch(name)
    return int(match[1]) if match else None


def is_trunk(name: str) -> bool:
    """Whether the layer belongs to the stem or to a stage."""
    return name.startswith("stem_") or stage_number(name) is not None


def mean(cut: str) -> str:
    """The name of the mean of a cut's map, where a classifier stands on several cuts."""
    return f"mean_{cut}"


def head(part: str) -> str:
    """The name of a layer between the features and the classifier."""
    return f"head_{part}"


HEAD = (PREDICTIONS, head("dense2"), head("dense1"))  # with weights, from the end
CLASSIFIERS = (PREDICTIONS, head("conv"))  # of which NiN has the second


def is_head(name: str) -> bool:
    """Whether the layer belongs to the head, whose classifier counts too."""
    return name.startswith("head_") or name == PREDICTIONS


def aux(number: int) -> str:
    """How the layers of an auxiliary classifier begin, counted from 1: "aux1"."""
    return f"aux{number}"


def aux_predictions(number: int) -> str:
    """The name of an auxiliary classifier's last layer."""
    return f"{aux(number)}_{PREDICTIONS}"


def is_aux(name: str) -> bool:
    """Whether the layer belongs to an auxiliary classifier."""
    return _AUX.fullmatch(name) is not None


def preprocess(part: str) -> str:
    """The name of a layer that prepares pixels."""
    return f"preprocess_{part}"


def is_preprocess(name: str) -> bool:
    """Whether the layer prepares pixels."""
    return name.startswith("preprocess_")


def outside_contract(name: str) -> str:
    """The name of a user's layer, changed if the contract gives it a meaning."""
    drawn = name == FEATURES or is_head(name) or is_aux(name) or is_preprocess(name)
    return f"own_{name}" if drawn else name
