"""plan(): what to train in each of the four cases, and in the simple forms.

The defaults lie in the usual ranges: classifiers are trained by Adam at 1e-3, whole
networks at a rate from 1e-4 to 1e-3 that a search chooses; see
https://keras.io/guides/transfer_learning/ and, for training the classifier before the
other layers, Kumar et al. 2022, https://arxiv.org/abs/2202.10054.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError, unknown
from cnnzoo.layer_names import FEATURES
from cnnzoo.system.validation import COUNT, check_values, is_count
from cnnzoo.transfer.assessment import NAMES, Assessment
from cnnzoo.transfer.freezing import Norm
from cnnzoo.transfer.plans import Init, Phase, Plan

# Choices for whole networks; 1e-4 is usual for networks of ImageNet's size.
RATES = (1e-4, 3e-4, 1e-3)
HEAD_EPOCHS = 100  # maximum; an epoch on cached features is short
# Changes that keep the label of photographs, digits and textures, unlike a flip.
SHIFTS = Augment(width_shift_range=0.1, height_shift_range=0.1)


def plan(
    case: int | Assessment | None = None,
    *,
    freeze: str | int | None = None,
    cut: str | None = None,
    refine: bool | str = False,
    norm: Norm | None = None,
    init: Init | None = None,
    augment: Augment | None = SHIFTS,
    views: int = 1,
) -> Plan:
    """Makes the plan of a case, or of a simple form, for `fit`; nothing is trained yet.

    If the largest class of an assessment has more than three times the images of the
    smallest, all classes get the same weight in the loss.

    Args:
        case: Number of the case, 1 to 4, or an assessment, which also has the cut.
        freeze: In place of a case: "all" but the classifier, "none", a number n for the
            first n layers with weights, or the name of a cut.
        cut: Name of the cut on which the new classifier stands; None for the
            assessment's, or the end of the last stage.
        refine: In cases 1 and 3, whether the last stage before the classifier is trained
            too, after the classifier, if there are enough images, and kept if it is
            better; or the name of the cut after which to train. Cases 2 and 4 train
            everything.
        norm: Mode of batch normalization in the trained part, in place of the case's.
        init: "random" for random weights; None for the case's, which is "random" in
            case 4 if an assessment shows that the weights do not help.
        augment: Random changes of images, for views and for training everything.
        views: Number of versions of each image to cache; each costs a forward pass over
            the images.

    Raises:
        UsageError: There is no such case, or the arguments do not go together.
    """
    number = _check_arguments(case, freeze, init, views)
    found = case if isinstance(case, Assessment) else None
    if number is None:
        made = _simple(freeze, init or "pretrained")
    elif number in (2, 4):
        helps = number == 2 or found is None or found.weights_help
        made = _whole(number, init or ("pretrained" if helps else "random"))
    else:
        cut = cut or (found.cut if found else None)
        made = _frozen(number, cut, init)
        if start := _refined_from(refine, found, cut):
            made.phases.append(_refinement(number, start))
    made.cut = cut
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


def _check_arguments(
    case: int | Assessment | None, freeze: object, init: object, views: object
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
    if freeze is None and not (is_count(number) and number in NAMES):
        raise UsageError(
            f"cannot plan case {case!r}: expected 1 to 4, so pass one of them"
        )
    return None if number is None else int(number)


def head() -> Phase:
    """The classifier alone, on cached features."""
    return Phase(
        name="head",
        until=FEATURES,
        cached=True,
        ridge_init=True,
        learning_rate=1e-3,
        epochs=HEAD_EPOCHS,
        patience=10,
    )


def _frozen(number: int, cut: str | None, init: Init | None) -> Plan:
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


def _refinement(number: int, start: str) -> Phase:
    """The part after the cut `start`, in cases 1 and 3."""
    return Phase(
        name="refine",
        until=start,
        norm="frozen",
        cached=True,
        guarded=True,
        learning_rate=1e-5 if number == 1 else 3e-5,
        patience=10,
    )


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
    refine: bool | str, found: Assessment | None, cut: str | None
) -> str | None:
    """The cut after which the refinement trains; None for no refinement."""
    if isinstance(refine, str):
        return refine
    if not refine or (found is not None and found.few_shots):
        return None
    if found is None:
        raise UsageError(
            "refine=True trains the stage before the cut, and only an assessment knows "
            "the stages; pass refine=NAME of the cut from which on"
        )
    names: Sequence[str] = [row.cut.name for row in found.table]
    if cut not in names:
        raise UsageError(
            f"refine=True begins at the stage before the cut, and {cut!r} is none of "
            f"{', '.join(names)}; pass refine=NAME of the cut from which on"
        )
    place = names.index(cut)
    return names[place - 1] if place else None
