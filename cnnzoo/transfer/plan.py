"""What is to be done in each of the four cases: phases, to be read and changed.

The defaults lie in the ranges that the field uses: heads by Adam at 1e-3, bodies ten
times slower (F. Chollet, https://keras.io/guides/transfer_learning/; Kumar et al. 2022,
https://arxiv.org/abs/2202.10054, for a head that has converged before the body learns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from cnnzoo.data.augment import Augment
from cnnzoo.errors import UsageError
from cnnzoo.train.recipes import Recipe, differing
from cnnzoo.transfer.evidence import NAMES, Assessment
from cnnzoo.transfer.freeze import Norm
from cnnzoo.zoo import FEATURES

HEAD_EPOCHS = 100  # at most; the features are there, so one is soon over
Init = Literal["pretrained", "random"]
# What changes no label of photographs, digits or textures; a flip would.
SHIFTS = Augment(width_shift_range=0.1, height_shift_range=0.1)


@dataclass(kw_only=True)
class Phase:
    """One training of a part of the network; every field may be changed.

    Attributes:
        name: of the phase.
        until: the last layer that is frozen: a name, `FEATURES` for all but the
            classifier, a number n for the first n layers with weights, None for none.
        norm: what batch normalisation does in the part that learns; see `freeze`.
        frozen_norm: what it does in the frozen part; where that is computed once, it can
            only be "frozen".
        cached: whether what the frozen part makes of the images is computed once.
        views: how many random versions of each image are cached; needs `augment`.
        warm_start: whether the classifier begins as the closed-form ridge regression.
        guarded: whether the phase counts only if it is better than the one before by
            more than a standard error of the validation accuracy; any other than the
            first counts if it is not worse.
        optimizer: a Keras name.
        learning_rate: of the last stage and the classifier.
        momentum: of "sgd"; None for none.
        layer_decay: by which the rate falls a stage, towards the image; None for one
            rate.
        schedule: as in `Recipe`.
        epochs: at most.
        patience: epochs without a better validation loss; None for all epochs.
        batch_size: images a step.
        augment: how images change at random.
        weight_decay: as in `Recipe`.
        start_decay: L2-SP, the penalty on what weights are away from where they began
            (Li et al. 2018, https://arxiv.org/abs/1802.01483); None for none.
        class_weights: "balanced" gives every class the same weight.
    """

    name: str
    until: str | int | None = None
    norm: Norm = "train"
    frozen_norm: Norm = "frozen"
    cached: bool = False
    views: int = 1
    warm_start: bool = False
    guarded: bool = False
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float | None = None
    layer_decay: float | None = None
    schedule: Literal["plateau", "cosine"] = "cosine"
    epochs: int = 10
    patience: int | None = None
    batch_size: int = 32
    augment: Augment | None = None
    weight_decay: float | None = None
    start_decay: float | None = None
    class_weights: Literal["balanced"] | None = None

    def recipe(self, seed: int) -> Recipe:
        """How the phase trains, for `train.Run`."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            layer_decay=self.layer_decay,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            start_decay=self.start_decay,
            class_weights=self.class_weights,
            patience=self.patience,
            seed=seed,
            augment=self.augment,
        )

    def __str__(self) -> str:
        told = [
            self._learns(),
            f"{self.optimizer} at {self.learning_rate:g}",
            f"{self.epochs} epochs at most",
        ]
        if self.layer_decay is not None:
            told.append(f"rate times {self.layer_decay:g} a stage towards the image")
        if self.norm != "train":
            told.append(f"batch normalisation {self.norm}")
        if self.frozen_norm != "frozen":
            told.append(f"in the frozen part {self.frozen_norm}")
        if self.cached:
            views = f", {self.views} views" if self.views > 1 else ""
            told.append(f"the frozen part computed once{views}")
        if self.warm_start:
            told.append("begins as a ridge regression")
        if self.class_weights:
            told.append("classes weigh the same")
        if self.guarded:
            told.append("kept if better by a standard error")
        return f"{self.name}: {', '.join(told)}"

    def _learns(self) -> str:
        if self.until is None:
            return "everything learns"
        if self.until == FEATURES:
            return "the classifier learns"
        if isinstance(self.until, int):
            return f"the first {self.until} layers are frozen"
        return f"frozen up to {self.until}"


@dataclass(kw_only=True)
class Plan:
    """How a network becomes another's classifier; every field may be changed.

    Attributes:
        case: 1 to 4; None for a plan of the caller's own.
        cut: where the network ends and the new classifier stands; None for the end of
            its last stage.
        init: whether its weights are kept or drawn anew.
        phases: what is trained, in this order.
    """

    case: int | None = None
    cut: str | None = None
    init: Init = "pretrained"
    phases: list[Phase] = field(default_factory=list)

    def told(self) -> dict:
        """As JSON has it."""
        return {
            **asdict(replace(self, phases=[])),
            "phases": [
                {
                    **asdict(replace(phase, augment=None)),
                    "augment": phase.augment and differing(phase.augment),
                }
                for phase in self.phases
            ],
        }

    def __str__(self) -> str:
        case = f"case {self.case}, {NAMES[self.case]}" if self.case else "a plan"
        end = self.cut or "its last stage"
        head = f"{case}: a classifier on {end}, {self.init} weights"
        return "\n".join([head, *(f"  {phase}" for phase in self.phases)])


def plan(
    case: int | Assessment | None = None,
    *,
    freeze: str | int | None = None,
    cut: str | None = None,
    refine: bool | str = False,
    norm: Norm | None = None,
    init: Init | None = None,
    augment: Augment | None = SHIFTS,
) -> Plan:
    """The plan of a case, or of a simple form, for `fit`; nothing is trained yet.

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
        augment: of the phases in which the whole network learns.

    Raises:
        UsageError: there is no such case, or the arguments do not go together.
    """
    if (case is None) == (freeze is None):
        raise UsageError(
            "a plan is for a case or for what is frozen; give one of the two: plan(1), "
            'plan(assessment) or plan(freeze="all")'
        )
    if freeze is not None:
        return _simple(freeze, cut, norm, init or "pretrained", augment)
    found = case if isinstance(case, Assessment) else None
    number = case.case if isinstance(case, Assessment) else case
    if number is None or number not in NAMES:
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
        return _frozen(number, at, start, norm)
    helps = found is None or found.weights_help
    init = init or ("pretrained" if number == 2 or helps else "random")
    return _whole(number, cut, norm, init, augment)


def head() -> Phase:
    """The classifier alone, on codes that are computed once."""
    return Phase(
        name="head",
        until=FEATURES,
        cached=True,
        warm_start=True,
        learning_rate=1e-3,
        epochs=HEAD_EPOCHS,
        patience=10,
    )


def _frozen(number: int, cut: str | None, start: str | None, norm: Norm | None) -> Plan:
    """Cases 1 and 3: a small set, of which the classifier learns."""
    phases = [head()]
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
        learning_rate=1e-4 if similar else 3e-4,
        layer_decay=0.9 if similar else None,
        epochs=10 if similar else 20,
        batch_size=64,
        augment=augment,
        weight_decay=1e-4,
    )
    if init == "random":
        body.norm, body.learning_rate = norm or "train", 1e-3
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


def _refined_from(
    refine: bool | str, found: Assessment | None, cut: str | None
) -> str | None:
    """The cut from which on the refinement learns; None for no refinement."""
    if not refine or (found is not None and found.few_shots):
        return None
    if isinstance(refine, str):
        return refine
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
