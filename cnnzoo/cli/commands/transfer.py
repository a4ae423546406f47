"""The verb transfer: photographs and a trained network become a classifier."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import parts
from cnnzoo.cli.output import left_out, start, verbosity
from cnnzoo.errors import UsageError
from cnnzoo.models.index import model_info

if TYPE_CHECKING:
    import keras

    from cnnzoo.data.arrays import Source
    from cnnzoo.train.cross_validation import Folds
    from cnnzoo.transfer import Assessment, Plan, Result

WORK = "work"  # in the folder: what a killed transfer goes on from


def transfer(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.train.cross_validation import split
    from cnnzoo.transfer import fit

    model = _trained(args)
    learned, held_out = parts(args)
    print(
        f"{len(learned):,} images to learn from, {len(held_out):,} held out, "
        f"{len(learned.class_names)} classes"
    )
    if args.folds:
        list(split(learned, args.folds, args.seed, args.group_by))  # or refuses now
    print("measuring how the images and the network go together", file=sys.stderr)
    assessment, plan = _planned(args, model, learned)
    print(assessment.explain())
    print(plan, flush=True)
    result = fit(
        model,
        learned,
        held_out,
        plan,
        folder=Path(args.out) / WORK,
        seed=args.seed,
        verbose=verbosity(),
        progress=_progress,
        disk=int(args.disk * 1e9),
    )
    for done in result.phases:
        print(done)
    folds = _folds(args, model, learned) if args.folds else None
    for path in _written(args, result, assessment, (learned, held_out), folds):
        print(path)


def _written(
    args: Namespace,
    result: Result,
    assessment: Assessment,
    images: tuple[Source, Source],
    folds: Folds | None,
) -> list[Path]:
    """The files of the folder: the network, what goes with it, and the report."""
    from cnnzoo.data.folders import training_files
    from cnnzoo.inference import evaluate
    from cnnzoo.saving import save
    from cnnzoo.system import files
    from cnnzoo.transfer import novelty, report

    out, (learned, held_out) = Path(args.out), images
    written = [
        save(result.model, out / "model.keras"),
        files.write_json(out / "class_names.json", list(learned.class_names)),
        novelty.measured(result.model, learned, held_out, args.seed).save(out),
        files.write_json(out / "assessment.json", assessment.to_dict()),
    ]
    training_files.write(out, learned)
    judged = evaluate(result.model, held_out)
    told = report.page(
        result,
        assessment,
        held_out,
        judged,
        left_out=left_out(learned, held_out),
        folds=folds,
    )
    written.append(files.write_text(out / "report.html", told))
    print(f"held out: {judged.accuracy_told}")
    return written


def _planned(
    args: Namespace, model: keras.Model, learned: Source
) -> tuple[Assessment, Plan]:
    """What the images are measured to be, and what is to be done about it."""
    from cnnzoo.transfer import assess, plan

    assessment = assess(model, learned, seed=args.seed)
    asked = assessment
    if args.case != "auto":
        asked = assessment.taken_as(int(args.case))
    return assessment, plan(asked, refine=args.refine, views=args.views)


def _trained(args: Namespace) -> keras.Model:
    """The network with its trained weights.

    Raises:
        UsageError: nobody says which weights.
    """
    from cnnzoo.graph.data_format import to_keras_format
    from cnnzoo.saving import load
    from cnnzoo.zoo import build

    path = Path(args.model)
    if path.exists() or path.suffix or len(path.parts) > 1:
        if args.size or args.weights:
            raise UsageError(
                f"{args.model} has its weights and its image size; leave out --weights "
                "and --size"
            )
        return load(path / "model.keras" if path.is_dir() else path)
    info = model_info(args.model)
    if args.weights is None:
        raise UsageError(
            f"which trained weights of {args.model}? Give --weights with a file, with "
            "imagenet, or with a tag that the package ships; or --model with a folder "
            "that train wrote"
        )
    height, width, channels = info.input_shape
    shape = to_keras_format((args.size or height, args.size or width, channels))
    return build(args.model, include_top=False, input_shape=shape, weights=args.weights)


def _folds(args: Namespace, model: keras.Model, learned: Source) -> Folds:
    """Networks, each with a plan of its own, judged by images that it never saw."""
    from cnnzoo.train.cross_validation import cross_validated
    from cnnzoo.transfer import fit
    from cnnzoo.transfer.fitting import FEATURES_FOLDER

    work = Path(args.out) / WORK

    def trained(number: int, parts: tuple[Source, Source]) -> keras.Model:
        print(f"fold {number} of {args.folds}", file=sys.stderr)
        return fit(
            model,
            *parts,
            _planned(args, model, parts[0])[1],
            folder=work / f"fold-{number}",
            features=work / FEATURES_FOLDER,
            seed=args.seed + number,
            verbose=verbosity(),
            progress=_progress,
            disk=int(args.disk * 1e9),
        ).model

    found = cross_validated(
        trained, learned, folds=args.folds, seed=args.seed, group_by=args.group_by
    )
    print(f"{args.folds} folds: {found.evaluation.accuracy_told}, none seen before")
    return found


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else "\r"
    print(f"features of {done:,} of {total:,} images", end=end, file=sys.stderr)
