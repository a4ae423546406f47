"""The folder of a finished transfer: the network, the evidence, and a report in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import training_files
from cnnzoo.data.inputs.conversion import Labelled, as_train_validation, as_training
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import evaluate
from cnnzoo.saving import save
from cnnzoo.system import files
from cnnzoo.train.cross_validation import Folds
from cnnzoo.transfer import novelty
from cnnzoo.transfer.assessment import HEADER, Assessment
from cnnzoo.transfer.results import Result
from cnnzoo.visualization.html import Section, render_page

# Whether there was no cross-validation -> what the accuracy is of.
BASIS = {
    True: "these are the validation images, which chose the best epochs and the "
    "temperature, so accuracy and calibration error are slightly optimistic",
    False: "each image was predicted by a network that was not trained on it; the saved "
    "network was then trained on all images, with the settings that the folds chose",
}
LABELS = (
    "Images that look like none of the classes are unusually far from the means of all "
    "classes in the features of the network. Images that look like another class were "
    "predicted as that class, by a classifier that was not trained on them, and some "
    "other class is as likely as it is on average for the images with its own label "
    "(confident learning). A network that is often wrong names many correct labels."
)


@dataclass(frozen=True)
class SavedResults:
    """The files of a finished transfer.

    Attributes:
        paths: Paths of the files.
        evaluation: Metrics on the validation images, or of the cross-validation.
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
    seed: int = 0,
) -> SavedResults:
    """Writes the folder that `cnnzoo transfer` writes, and that `cnnzoo predict` reads.

    The files are `model.keras`, `class_names.json`, `novelty.safetensors` (to recognize
    images of none of the classes), `assessment.json`, `report.html`, and, for images in
    files, `training_files.txt`.

    Args:
        result: Result of `fit` or `kfold`.
        assessment: Evidence for the plan; None for that of the result, if any.
        train: Training images, as in `fit`.
        validation: Validation images, or a share of `train`, as in `fit`; not used after
            `kfold`.
        folder: Output folder; made if missing.
        seed: Random seed of `fit`, for a share, and of the choice of training images for
            `novelty.safetensors`.

    Raises:
        SaveError: A file cannot be written.
    """
    if result.folds:  # all images are both
        train = validation = as_training(train)
    else:
        train, validation = as_train_validation(train, validation, seed=seed)
    out, assessment = Path(folder), assessment or result.assessment
    folds = result.folds
    unseen = None if folds else validation
    measured, outliers = novelty.measure(result.model, train, unseen, seed)
    paths = [
        save(result.model, out / "model.keras"),
        files.write_json(out / "class_names.json", list(train.class_names)),
        measured.save(out),
    ]
    if assessment:
        paths.append(files.write_json(out / "assessment.json", assessment.to_dict()))
    training_files.write(out, train)
    evaluation = folds.evaluation if folds else evaluate(result.model, validation)
    groups = [*zip((train, validation), outliers, strict=False)]
    sample = assessment.sample if assessment and not folds else None
    if assessment and sample and (found := assessment.out_of_fold):
        groups.append((sample, found.label_errors(sample)))
    groups.append((validation, evaluation.label_errors(validation)))
    labels = _labels(groups)
    report = _report(result, assessment, train, validation, evaluation, labels)
    paths.append(files.write_text(out / "report.html", report))
    return SavedResults(tuple(paths), evaluation)


def _report(
    result: Result,
    assessment: Assessment | None,
    train: Source,
    validation: Source,
    evaluation: Evaluation,
    labels: Section,
) -> str:
    """The report as HTML, with the section on labels that look wrong."""
    from cnnzoo.visualization import figures

    lead, sections = f"{evaluation.summary}; {BASIS[result.folds is None]}", []
    if result.folds:
        sections.append(_folds(result.folds))
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
        _phases(result),
        Section("Confused classes", pictures=[(confusion, "confusion matrix")]),
        Section("The most confident errors", pictures=[(errors, "misclassified images")]),
        labels,
    ]
    # Splits of one folder share its report.
    unused = dict.fromkeys([*train.report_lines(), *validation.report_lines()])
    if unused:
        rows = [(line,) for line in unused]
        sections.append(Section("The folder", header=("found",), rows=rows))
    names = ", ".join(validation.class_names[:6])
    more = ", ..." if len(validation.class_names) > 6 else ""
    return render_page(f"{result.model.name} for {names}{more}", lead, sections)


def _labels(groups: Sequence[tuple[Source, list[dict]]]) -> Section:
    """The images whose labels look wrong.

    Args:
        groups: Images, and facts about some of them, from `novelty.measure`, or from
            `Evaluation.label_errors` of networks that were not trained on them.
    """
    from cnnzoo.visualization import figures

    found = [fact for _, facts in groups for fact in facts]
    # Distances, the largest first, and then probabilities, the lowest first.
    found.sort(key=lambda fact: fact.get("label_probability", -fact.get("distance", 0)))
    return Section(
        "Labels that look wrong",
        text=f"{len(found)} found. {LABELS}" if found else "no label looks wrong",
        header=("image", "label", "looks like") if found else (),
        rows=[
            (fact["image"], fact["label"], _looks_like(fact))
            for fact in found[: figures.SHOWN]
        ],
        pictures=[
            (figures.predictions(source, facts, ""), "images whose labels look wrong")
            for source, facts in groups
            if facts
        ],
    )


def _looks_like(fact: dict) -> str:
    if "predicted" not in fact:
        return "none of the classes"
    return f"{fact['predicted']}, {100 * fact['probability']:.0f} %"


def _phases(result: Result) -> Section:
    from cnnzoo.visualization import figures

    measured = "training images" if result.folds else "validation images"
    return Section(
        "The phases",
        text=f"accuracies are those of the {measured}",
        header=(
            *("phase", "accuracy before", "accuracy after", "seconds", "learning rate"),
            *("trained", "proven frozen", "outcome"),
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
                phase.end,
            )
            for phase in result.phases
        ],
        pictures=[
            (figures.learning_curves(phase.history), f"learning curves of {phase.name}")
            for phase in result.phases
            if phase.history.get("loss")
        ],
    )


def _folds(folds: Folds) -> Section:
    return Section(
        "Cross-validation",
        header=("fold", "accuracy"),
        rows=[(i, f"{100 * a:.1f} %") for i, a in enumerate(folds.accuracies, start=1)],
    )
