"""The folder of a finished transfer: the network, the evidence, and a report in HTML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import training_files
from cnnzoo.data.inputs.conversion import Labelled, as_train_validation
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import evaluate
from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.train.cross_validation import Folds
from cnnzoo.transfer import novelty
from cnnzoo.transfer.assessment import HEADER, Assessment
from cnnzoo.transfer.results import PhaseResult, Result
from cnnzoo.visualization.html import Section, render_page


@dataclass(frozen=True)
class SavedResults:
    """The files of a finished transfer.

    Attributes:
        paths: Paths of the files.
        evaluation: Metrics on the validation images.
    """

    paths: tuple[Path, ...]
    evaluation: Evaluation


def save_results(
    result: Result,
    assessment: Assessment | None,
    train: Labelled,
    validation: Labelled | float,
    folder: str | Path,
    *,
    folds: Folds | None = None,
    seed: int = 0,
) -> SavedResults:
    """Writes the folder that `cnnzoo transfer` writes, and that `cnnzoo predict` reads.

    The files are `model.keras`, `class_names.json`, `novelty.safetensors` (to recognize
    images of none of the classes), `assessment.json`, `report.html`, and, for images in
    files, `training_files.txt`.

    Args:
        result: Result of `fit`.
        assessment: Evidence for the plan; None for that of the result, if any.
        train: Training images, as in `fit`.
        validation: Validation images, or a share of `train`, as in `fit`.
        folder: Output folder; made if missing.
        folds: Result of a cross-validation for the report; None for none.
        seed: Random seed of `fit`, for a share, and of the choice of training images for
            `novelty.safetensors`.

    Raises:
        SaveError: A file cannot be written.
    """
    train, validation = as_train_validation(train, validation, seed=seed)
    out, assessment = Path(folder), assessment or result.assessment
    paths = [
        save(result.model, out / "model.keras"),
        files.write_json(out / "class_names.json", list(train.class_names)),
        novelty.measure(result.model, train, validation, seed).save(out),
    ]
    if assessment:
        paths.append(files.write_json(out / "assessment.json", assessment.to_dict()))
    training_files.write(out, train)
    evaluation = evaluate(result.model, validation)
    report = _report(result, assessment, train, validation, evaluation, folds)
    paths.append(files.write_text(out / "report.html", report))
    return SavedResults(tuple(paths), evaluation)


def _report(
    result: Result,
    assessment: Assessment | None,
    train: Source,
    validation: Source,
    evaluation: Evaluation,
    folds: Folds | None,
) -> str:
    """The report as HTML."""
    from cnnzoo.visualization import figures

    lead = (
        f"{evaluation.summary}; these are the validation images, which chose the best "
        "epochs, so the accuracy is slightly optimistic"
    )
    sections = [_folds(folds)] if folds else []
    if assessment:
        sections.append(
            Section(
                "The case, and the evidence for it",
                text="\n".join(assessment.decision()),
                header=HEADER,
                rows=assessment.rows(),
                pictures=[(assessment.picture(), "accuracy by depth")],
            )
        )
    sections.append(Section("The plan", text=str(result.plan)))
    confusion = figures.confusion(evaluation)
    errors = figures.misclassified(validation, evaluation)
    sections += [
        _phases(result.phases),
        Section("Confused classes", pictures=[(confusion, "confusion matrix")]),
        Section("The most confident errors", pictures=[(errors, "misclassified images")]),
    ]
    # Splits of one folder share its report.
    unused = dict.fromkeys([*train.report_lines(), *validation.report_lines()])
    if unused:
        rows = [(line,) for line in unused]
        sections.append(Section("The folder", header=("found",), rows=rows))
    names = ", ".join(validation.class_names[:6])
    more = ", ..." if len(validation.class_names) > 6 else ""
    return render_page(f"{result.model.name} for {names}{more}", lead, sections)


def _phases(phases: tuple[PhaseResult, ...]) -> Section:
    from cnnzoo.visualization import figures

    return Section(
        "The phases",
        header=(
            *("phase", "accuracy before", "accuracy after", "seconds", "learning rate"),
            *("trained", "proven frozen", "kept"),
        ),
        rows=[
            (
                phase.name,
                "" if phase.before is None else f"{100 * phase.before:.1f} %",
                "" if phase.failure else f"{100 * phase.after:.1f} %",
                f"{phase.seconds:.0f}",
                f"{phase.learning_rate:g}",
                f"{phase.trainable:,} parameters",
                f"{phase.frozen} arrays",
                "yes" if phase.kept else f"no, {phase.failure or 'it was no better'}",
            )
            for phase in phases
        ],
        pictures=[
            (figures.learning_curves(phase.history), f"learning curves of {phase.name}")
            for phase in phases
            if phase.history.get("loss")
        ],
    )


def _folds(folds: Folds) -> Section:
    return Section(
        "Cross-validation",
        text=f"{folds.evaluation.summary}; each image was predicted by a network that "
        "was not trained on it",
        header=("fold", "accuracy"),
        rows=[(i, f"{100 * a:.1f} %") for i, a in enumerate(folds.accuracies, start=1)],
    )
