"""plan() and prepare(): what to train in each of the four cases.

The defaults lie in the usual ranges: classifiers are trained by Adam at 1e-3, whole
networks at a rate from 1e-4 to 1e-3 that a search chooses; see
https://keras.io/guides/transfer_learning/ and, for training the classifier before the
other layers, Kumar et al. 2022, https://arxiv.org/abs/2202.10054.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Literal, get_args

import keras

from cnnzoo import graph
from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError, unknown
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.graph.receptive_field import receptive_fields
from cnnzoo.layer_names import FEATURES, PREDICTIONS
from cnnzoo.system.validation import COUNT, check_values, is_count
from cnnzoo.transfer.assessment import NAMES, Assessment
from cnnzoo.transfer.cut_points import cuts, stage_cuts
from cnnzoo.transfer.evidence import ALL_CUTS
from cnnzoo.transfer.freezing import Norm, freeze
from cnnzoo.transfer.plans import Init, Phase, Plan, head, refinement
from cnnzoo.zoo.adoption import adopt
from cnnzoo.zoo.classifier import reset_classifier

# Choices for whole networks; 1e-4 is usual for networks of ImageNet's size.
RATES = (1e-4, 3e-4, 1e-3)
# Changes that keep the label of photographs, digits and textures, unlike a flip.
SHIFTS = Augment(width_shift_range=0.1, height_shift_range=0.1)


def plan(
    case: int | Assessment | Literal["all-cuts"] | None = None,
    *,
    freeze: str | int | None = None,
    cut: str | tuple[str, ...] | None = None,
    refine: bool | str = False,
    norm: Norm | None = None,
    init: Init | None = None,
    augment: Augment | None = SHIFTS,
    views: int = 1,
) -> Plan:
    """Makes the plan of a case, or of a simple form, for `fit`; nothing is trained yet.

    Where an assessment found uneven classes, all get the same weight in the loss.

    Args:
        case: Number of the case, 1 to 4; an assessment, which also has the cut; or
            "all-cuts" for a classifier on the means of every stage.
        freeze: In place of a case: "all" but the classifier, "none", a number n for the
            first n layers with weights, or the name of a cut.
        cut: Name of the cut on which the new classifier stands, or of several; None for
            the assessment's, or the end of the last stage.
        refine: In cases 1 and 3, whether the last stage before the classifier is trained
            too, after the classifier, if there are enough images, and kept if it is
            better; or the name of the cut after which to train. A classifier on all cuts
            is trained alone.
        norm: Mode of batch normalization in the trained part, in place of the case's.
        init: "random" for random weights; None for the case's, which is "random" in
            case 4 if an assessment shows that the weights do not help.
        augment: Random changes of images, for views and for training everything.
        views: Number of versions of each image to cache; each costs a forward pass.

    Raises:
        UsageError: There is no such case, or the arguments do not go together.
    """
    number = _check_arguments(case, freeze, init, views)
    found = case if isinstance(case, Assessment) else None
    cut = found.cut if found and cut is None else cut
    if case == ALL_CUTS:
        made, cut = _all_cuts(cut=cut, refine=refine, init=init, norm=norm), ALL_CUTS
    elif number is None:
        made = _simple(freeze, init or "pretrained")
    elif number in (2, 4):
        helps = number == 2 or found is None or found.weights_help
        made = _whole(number, init or ("pretrained" if helps else "random"))
    else:
        made = _frozen(number, cut, init)
        if start := _refined_from(refine, found, cut):
            made.phases.append(refinement(number, start))
    made.cut, made.pooling = cut, found.pooling_at(cut) if found else None
    for phase in made.phases:
        if phase.name != "head" and norm is not None:
            phase.norm = norm
        if phase.name == "whole":
            phase.augment = augment
        if found and found.uneven:
            phase.class_weights, phase.mixup = "balanced", None  # which blends classes
        if views > 1 and phase.cached:
            phase.views, phase.augment = views, augment
    return made


def _all_cuts(**refused: object) -> Plan:
    """The plan of a classifier on all cuts.

    Raises:
        UsageError: One of the arguments is given.
    """
    if any(refused.values()):
        raise UsageError(
            f"a plan for {ALL_CUTS!r} trains a classifier on trained weights alone; "
            f"leave {', '.join(refused)} out"
        )
    return Plan(phases=[head()])


def _check_arguments(
    case: int | str | Assessment | None, freeze: object, init: object, views: object
) -> int | None:
    """Returns the number of the case; None if `freeze` is given.

    Raises:
        UsageError: Arguments are out of range, or do not go together.
    """
    if (case is None) == (freeze is None):
        raise UsageError(
            "a plan is for a case or for what is frozen: pass one of the two, as in "
            'plan(1), plan(assessment) or plan(freeze="all")'
        )
    check_values("plan", {"views": views}, {"views": COUNT})
    if init is not None and init not in get_args(Init):
        raise unknown("initialization", init, get_args(Init))
    number = case.case if isinstance(case, Assessment) else case
    if number == ALL_CUTS:
        return None
    if freeze is None:
        _check_case("plan", number)
    return None if number is None else int(number)


def _check_case(action: str, case: object) -> None:
    if not (is_count(case) and case in NAMES):
        also = f" or {ALL_CUTS!r}" if action == "plan" else ""
        raise UsageError(
            f"cannot {action} case {case!r}: expected 1 to 4{also}, so pass one of them"
        )


def _frozen(number: int, cut: str | tuple[str, ...] | None, init: Init | None) -> Plan:
    """Cases 1 and 3: a small data set, for which the classifier is trained."""
    if number == 3 and cut is None:
        raise UsageError(
            "case 3 puts the classifier on an earlier cut; pass cut=, or an assessment, "
            "which measures which"
        )
    if init == "random":
        raise UsageError(
            f"case {number} freezes trained weights, and random ones are not; leave init "
            "out, or choose another case"
        )
    classifier = head()
    classifier.adapt_batch_norm = number == 3
    return Plan(case=number, phases=[classifier])


def _whole(number: int, init: Init) -> Plan:
    """Cases 2 and 4: a large data set, for which the whole network is trained."""
    body = Phase(
        name="whole",
        learning_rate=RATES[1:],
        epochs=20,
        batch_size=64,
        weight_decay=1e-4,
    )
    first = head()
    if number == 2:
        body.learning_rate, body.layer_decay = RATES, 0.9
        body.norm, body.epochs, body.mixup = "affine", 10, 0.1
    else:
        first.epochs, first.patience = 1, None
    if init == "pretrained":
        return Plan(case=number, phases=[first, body])
    body.norm, body.learning_rate, body.layer_decay = "train", 1e-3, None
    return Plan(case=number, init=init, phases=[body])


def _simple(freeze: str | int | None, init: Init) -> Plan:
    """A plan that freezes what the caller says."""
    if freeze == "all":
        return Plan(init=init, phases=[head()])
    body = Phase(name="whole")
    if freeze != "none":
        body.name, body.until, body.cached = "tail", freeze, isinstance(freeze, str)
    if init == "random":
        return Plan(init=init, phases=[body])
    body.learning_rate = 1e-4
    return Plan(init=init, phases=[head(), body])


def _refined_from(
    refine: bool | str, found: Assessment | None, cut: str | tuple[str, ...] | None
) -> str | None:
    """The cut after which the refinement trains; None for no refinement."""
    if isinstance(refine, str) and isinstance(cut, tuple):
        raise UsageError(
            f"cannot refine from {refine!r} a classifier on several cuts, which are "
            "frozen; leave refine out, or pass one cut"
        )
    if isinstance(refine, str):
        return refine
    if not refine or isinstance(cut, tuple) or (found is not None and found.few_shots):
        return None
    if found is None:
        raise UsageError(
            "refine=True trains the stage before the cut, and only an assessment knows "
            "the stages; pass refine=NAME of the cut from which on"
        )
    names: Sequence[str] = [row.name for row in found.cuts]
    if cut not in names:
        raise UsageError(
            f"refine=True begins at the stage before the cut, and {cut!r} is none of "
            f"{', '.join(names)}; pass refine=NAME of the cut from which on"
        )
    place = names.index(cut)
    return names[place - 1] if place else None


def prepare(
    model: keras.Model,
    classes: int | Sequence[str],
    case: int = 1,
    *,
    cut: str | None = None,
) -> keras.Model:
    """A copy of a network with a new classifier, frozen by the case, for your own `fit`.

    Cases 1 and 3, for few images, train the classifier alone. Cases 2 and 4, for many,
    train everything; in case 2, batch normalization keeps its statistics. The frozen part
    runs as at inference, also inside `fit`. `fit` of this package does more: it caches
    features, chooses rates, and trains the classifier first.

    Args:
        model: Network from `build`, `load` or `adopt`, or any model that `adopt` takes.
        classes: Number of classes, or their names.
        case: Number of the case: 1 few and similar images, 2 many and similar, 3 few and
            different, 4 many and different.
        cut: Name of the cut on which the classifier stands. None for the end of the last
            stage, and in case 3 of the second, or of the first of two; where layers have
            no names of stages, one ends before each stride.

    Returns:
        A flat model that is not compiled. It takes pixels of 0 to 255, or what an unknown
        `model` took, to probabilities (b, classes). `freeze_report` tells what it learns,
        and `check_frozen(network.freeze_report, network)` checks the rest after `fit`.

    Raises:
        UsageError: There is no such case or cut, case 3 has no cut before the last, or
            the model cannot be adopted.
    """
    _check_case("prepare", case)
    known = model if hasattr(model, "cnnzoo") else adopt(model)
    count, names = (None, classes) if isinstance(classes, Sequence) else (classes, None)
    cut = cut or _default_cut(known, case)
    network = reset_classifier(known, count, class_names=names, cut=cut)
    until = FEATURES if case in (1, 3) else None
    report = freeze(network, until, norm="affine" if case == 2 else None)
    network.freeze_report = replace(report, parts=_parts(network))
    return network


def _default_cut(model: keras.Model, case: int) -> str:
    every = stage_cuts(model)
    if case != 3:
        return every[-1].name
    fields = receptive_fields(model)
    steps = {n.operation.name: fields[id(n.outputs[0])].step for n in graph_nodes(model)}
    by_step = {steps[cut.name]: cut for cut in cuts(model) if len(cut.shape) == 3}
    stages = every if graph.stages(model) else list(by_step.values())
    if len(stages) < 2:
        raise UsageError(
            f"case 3 puts the classifier on an earlier cut, and {model.name!r} has no "
            f"two stages; pass cut=, one of {', '.join(cut.name for cut in every)[:500]}"
        )
    return stages[min(1, len(stages) - 2)].name


def _parts(network: keras.Model) -> dict[str, tuple[int, int]]:
    """What is trained up to the end of each stage, and after the last."""
    left, parts = [layer for layer in network.layers if layer.weights], {}
    for end in [*(cut.name for cut in stage_cuts(network)), PREDICTIONS]:
        inside = set(graph.ancestors(network, end))
        own = [layer for layer in left if layer.name in inside]
        left = [layer for layer in left if layer.name not in inside]
        trainable = sum(prod(w.shape) for layer in own for w in layer.trainable_weights)
        if own:
            parts[end] = trainable, sum(layer.count_params() for layer in own)
    return parts
