"""The report of a transfer: one HTML file with evidence, plan, curves and errors."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cnnzoo import figures
from cnnzoo.data.source import Source
from cnnzoo.inference import Evaluation
from cnnzoo.report import Section, html
from cnnzoo.train.folds import Folds
from cnnzoo.transfer.evidence import Assessment
from cnnzoo.transfer.result import Done, Result


def depth_profile(assessment: Assessment) -> bytes:
    """What each cut is worth, with weights and without, as a PNG."""
    rows = assessment.table
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    axes.errorbar(
        places,
        [100 * row.accuracy for row in rows],
        [100 * row.error for row in rows],
        fmt="o-",
        capsize=3,
        color=figures.BLUE,
        label="ridge, leave one out",
    )
    for values, style, color, label in (
        ([row.neighbours for row in rows], "s:", figures.BLUE, "five nearest images"),
        ([row.twin for row in rows], "o--", figures.GREY, "ridge, random weights"),
    ):
        percent = [100 * value for value in values]
        axes.plot(places, percent, style, color=color, label=label)
    alone = 100 * assessment.pixels
    axes.axhline(alone, color=figures.GREY, lw=1, ls="-.", label="ridge, pixels alone")
    used = [row.cut.name for row in rows].index(assessment.cut)
    axes.axvline(used, color=figures.BLUE, alpha=0.2, lw=8)
    axes.set_xticks(list(places), [row.cut.name for row in rows])
    axes.set(ylabel="accuracy, %", title=f"cuts of {assessment.network}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figures.as_bytes(figure)


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
            pictures=[(figures.misread(held_out, evaluation), "images misread")],
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
            f"{100 * row.accuracy:.1f} ± {100 * row.error:.1f} %",
            f"{100 * row.neighbours:.1f} %",
            f"{row.log_evidence:.2f}",
            f"{100 * row.twin:.1f} %",
            f"{row.p_value:.2g}",
        )
        for row in assessment.table
    ]
    return Section(
        "The case, and the evidence for it",
        text="\n".join(assessment.decision()),
        header=("cut", "numbers", "ridge probe", "5-NN", "LogME", "random weights", "p"),
        rows=rows,
        pictures=[(depth_profile(assessment), "accuracy by depth")],
    )


def _phases(phases: tuple[Done, ...]) -> Section:
    return Section(
        "What was done",
        header=("phase", "before", "after", "seconds", "learnt", "proven frozen", "kept"),
        rows=[
            (
                done.name,
                "" if done.before is None else f"{100 * done.before:.1f} %",
                f"{100 * done.after:.1f} %",
                f"{done.seconds:.0f}",
                f"{done.trainable:,} numbers",
                f"{done.frozen} arrays",
                "yes" if done.kept else "no, it was no better",
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
