"""The report of a transfer: one HTML file with evidence, plan, curves and errors."""

from __future__ import annotations

from collections.abc import Sequence

from cnnzoo.data.arrays import Source
from cnnzoo.inference import Evaluation
from cnnzoo.train.cross_validation import Folds
from cnnzoo.transfer.assessment import Assessment, abbreviate
from cnnzoo.transfer.results import PhaseResult, Result
from cnnzoo.visualization import figures
from cnnzoo.visualization.html import Section, html


def page(
    result: Result,
    assessment: Assessment | None,
    held_out: Source,
    evaluation: Evaluation,
    *,
    left_out: Sequence[str] = (),
    folds: Folds | None = None,
) -> str:
    """The report as HTML.

    Args:
        assessment: why the plan is as it is; None where nobody measured.
        held_out: the images that the network is judged by.
        evaluation: what it says of them.
        left_out: files of the folder that are not used, and what looks wrong there.
        folds: what networks say of images that they never saw.
    """
    lead = (
        f"{evaluation.accuracy_told}; they were held out and chose the best epochs, so "
        "this is a little too good"
    )
    sections = [_folds(folds)] if folds else []
    if assessment:
        sections.append(_evidence(assessment))
    sections.append(Section("The plan", text=str(result.plan)))
    sections.append(_phases(result.phases))
    sections.append(
        Section(
            "Which classes are taken for which",
            pictures=[(figures.confusion(evaluation), "confusion matrix")],
        )
    )
    sections.append(
        Section(
            "The surest of its errors",
            pictures=[(figures.misclassified(held_out, evaluation), "images misread")],
        )
    )
    if left_out:
        sections.append(
            Section("The folder", header=("found",), rows=[(line,) for line in left_out])
        )
    names = ", ".join(held_out.class_names[:6])
    more = ", ..." if len(held_out.class_names) > 6 else ""
    return html(f"{result.model.name} learns {names}{more}", lead, sections)


def _evidence(assessment: Assessment) -> Section:
    rows = [
        (
            f"{row.cut.name}{' (used)' if row.cut.name == assessment.cut else ''}",
            f"{row.cut.pooled:,}",
            abbreviate(row.cut.macs),
            abbreviate(row.cut.bytes),
            f"{100 * row.accuracy:.1f} ± {100 * row.error:.1f} %",
            f"{100 * row.random_baseline:.1f} %",
            f"{row.p_value:.2g}",
        )
        for row in assessment.table
    ]
    return Section(
        "The case, and the evidence for it",
        text="\n".join(assessment.decision()),
        header=(
            *("cut", "features", "MACs", "bytes per image"),
            *("accuracy", "random weights", "p"),
        ),
        rows=rows,
        pictures=[(assessment.picture(), "accuracy by depth")],
    )


def _phases(phases: tuple[PhaseResult, ...]) -> Section:
    return Section(
        "What was done",
        header=(
            "phase",
            "before",
            "after",
            "seconds",
            "rate",
            "learnt",
            "proven frozen",
            "kept",
        ),
        rows=[
            (
                done.name,
                "" if done.before is None else f"{100 * done.before:.1f} %",
                "" if done.failure else f"{100 * done.after:.1f} %",
                f"{done.seconds:.0f}",
                f"{done.learning_rate:g}",
                f"{done.trainable:,} numbers",
                f"{done.frozen} arrays",
                "yes" if done.kept else f"no, {done.failure or 'it was no better'}",
            )
            for done in phases
        ],
        pictures=[
            (figures.learning_curves(done.history), f"curves of {done.name}")
            for done in phases
            if done.history.get("loss")
        ],
    )


def _folds(folds: Folds) -> Section:
    return Section(
        "On images that no network had seen",
        text=f"{folds.evaluation.accuracy_told}; each was judged by a network that "
        "learnt from others",
        header=("fold", "accuracy"),
        rows=[(i, f"{100 * a:.1f} %") for i, a in enumerate(folds.accuracies, start=1)],
    )
