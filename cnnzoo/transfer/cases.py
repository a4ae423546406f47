"""What is to be done in each of the four cases, and in the simple forms.

The defaults lie in the ranges that the field uses: heads by Adam at 1e-3, bodies at that
or down to ten times slower, as a try tells; see https://keras.io/guides/transfer_learning/
and, for a head that has converged before the body learns, Kumar et al. 2022,
https://arxiv.org/abs/2202.10054.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError, unknown
from cnnzoo.layer_names import FEATURES
from cnnzoo.system.validation import is_count
from cnnzoo.transfer.assessment import NAMES, Assessment
from cnnzoo.transfer.freezing import Norm
from cnnzoo.transfer.plans import Init, Phase, Plan

# Of whole networks, in a try: 1e-4 is the field's for networks of ImageNet's size.
RATES = (1e-4, 3e-4, 1e-3)
HEAD_EPOCHS = 100  # at most; the features are there, so one is soon over
# What changes no label of photographs, digits or textures; a flip would.
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
    """The plan of a case, or of a simple form, for `fit`; nothing is trained yet.

    Where an assessment has found classes of which one has more than three times the
    images of another, each counts the same in the loss.

    Args:
        case: 1 to 4, or an assessment, which also tells the cut.
        freeze: in place of a case: "all" but the classifier, "none", the number of
            layers with weights from the image on, or the name of a cut.
        cut: where the new classifier stands; None for the assessment's, or the end of
            the last stage.
        refine: in cases 1 and 3, lets the last stage in front of the classifier learn
            after that, if there is one and enough images, and keeps it if it is better;
            or the name of the cut from which on. In the others, everything learns.
        norm: of batch normalisation in what learns, in place of the case's.
        init: "random" draws all weights anew; None for the case's, which is "random" in
            case 4 if an assessment shows that the weights do not help.
        augment: of the phases in which the whole network learns, and of views.
        views: how many versions of each image are computed once, where something is. Each
            costs a pass over the images, and one makes the classifier fastest.

    Raises:
        UsageError: there is no such case, or the arguments do not go together.
    """
    if (case is None) == (freeze is None):
        raise UsageError(
            "a plan is for a case or for what is frozen; give one of the two: plan(1), "
            'plan(assessment) or plan(freeze="all")'
        )
    if not is_count(views):
        raise UsageError(
            f"a plan cannot have views={views!r} of each image; give a whole number from "
            "1 on"
        )
    if init is not None and init not in get_args(Init):
        raise unknown("way to begin", init, get_args(Init))
    if freeze is not None:
        made = _simple(freeze, cut, norm, init or "pretrained", augment)
        return _seen_in(made, views, augment)
    found = case if isinstance(case, Assessment) else None
    number = case.case if isinstance(case, Assessment) else case
    if number is None or not is_count(number) or number not in NAMES:
        raise UsageError(f"there are the cases 1 to 4; got {case!r}, so pass one of them")
    if number == 3 and found is None and cut is None:
        raise UsageError(
            "case 3 puts the classifier on an earlier cut; pass cut=, or an assessment, "
            "which measures which"
        )
    if number in (1, 3):
        if init == "random":
            raise UsageError(
                f"case {number} freezes what is trained, and random weights are not; "
                "leave init out, or choose another case"
            )
        at = cut or (found.cut if found else None)
        start = _refined_from(refine, found, at)
        made = _frozen(number, at, start, norm)
    else:
        helps = found is None or found.weights_help
        init = init or ("pretrained" if number == 2 or helps else "random")
        made = _whole(number, cut, norm, init, augment)
    if found is not None and found.uneven:
        for phase in made.phases:
            phase.class_weights, phase.mixup = "balanced", None  # which blends classes
    return _seen_in(made, views, augment)


def head() -> Phase:
    """The classifier alone, on codes that are computed once."""
    return Phase(
        name="head",
        until=FEATURES,
        cached=True,
        ridge_init=True,
        learning_rate=1e-3,
        epochs=HEAD_EPOCHS,
        patience=10,
    )


def _frozen(number: int, cut: str | None, start: str | None, norm: Norm | None) -> Plan:
    """Cases 1 and 3: a small set, of which the classifier learns."""
    phases = [head()]
    phases[0].adapt_batch_norm = number == 3
    if start is not None:
        phases.append(
            Phase(
                name="refine",
                until=start,
                norm=norm or "frozen",
                cached=True,
                guarded=True,
                learning_rate=1e-5 if number == 1 else 3e-5,
                patience=10,
            )
        )
    return Plan(case=number, cut=cut, phases=phases)


def _whole(
    number: int,
    cut: str | None,
    norm: Norm | None,
    init: Init,
    augment: Augment | None,
) -> Plan:
    """Cases 2 and 4: a large set, of which the whole network learns."""
    similar = number == 2
    body = Phase(
        name="whole",
        norm=norm or ("affine" if similar else "train"),
        learning_rate=RATES if similar else RATES[1:],
        layer_decay=0.9 if similar else None,
        epochs=10 if similar else 20,
        batch_size=64,
        augment=augment,
        mixup=0.1 if similar else None,
        weight_decay=1e-4,
    )
    if init == "random":
        body.norm, body.learning_rate = norm or "train", 1e-3
        body.layer_decay = None
        return Plan(case=number, cut=cut, init=init, phases=[body])
    first = head()
    if not similar:
        first.epochs, first.patience = 1, None
    return Plan(case=number, cut=cut, init=init, phases=[first, body])


def _simple(
    freeze: str | int,
    cut: str | None,
    norm: Norm | None,
    init: Init,
    augment: Augment | None,
) -> Plan:
    if freeze == "all":
        return Plan(cut=cut, init=init, phases=[head()])
    body = Phase(name="whole", norm=norm or "train", augment=augment)
    if freeze != "none":
        body.name, body.until = "tail", freeze
        body.cached, body.augment = isinstance(freeze, str), None
    if init == "random":
        return Plan(cut=cut, init=init, phases=[body])
    body.learning_rate = 1e-4
    return Plan(cut=cut, init=init, phases=[head(), body])


def _seen_in(made: Plan, views: int, augment: Augment | None) -> Plan:
    """The plan with so many versions of each image where they are computed once."""
    if views > 1:
        for phase in made.phases:
            if phase.cached:
                phase.views, phase.augment = views, augment
    return made


def _refined_from(
    refine: bool | str, found: Assessment | None, cut: str | None
) -> str | None:
    """The cut from which on the refinement learns; None for no refinement."""
    if isinstance(refine, str):
        return refine
    if not refine or (found is not None and found.few_shots):
        return None
    if found is None:
        raise UsageError(
            "refine=True lets the stage before the cut learn, and only an assessment "
            "knows the stages; pass refine=NAME of the cut from which on"
        )
    names: Sequence[str] = [row.cut.name for row in found.table]
    if cut not in names:
        raise UsageError(
            f"refine=True begins at the stage before the cut, and {cut!r} is none of "
            f"{', '.join(names)}; pass refine=NAME of the cut from which on"
        )
    place = names.index(cut)
    return names[place - 1] if place else None
