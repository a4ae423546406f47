"""The verb transfer: photographs and a trained network become a classifier."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.console import left_out, start, tell_left_out, verbosity
from cnnzoo.errors import UsageError
from cnnzoo.models.index import model_info
from cnnzoo.verbs.reading import reading

if TYPE_CHECKING:
    import keras

    from cnnzoo.data.source import Source
    from cnnzoo.train.folds import Folds
    from cnnzoo.transfer import Assessment, Plan

WORK = "work"  # in the folder: what a killed transfer goes on from


def transfer(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo import files
    from cnnzoo.data.images import Folder
    from cnnzoo.data.parts import open_parts
    from cnnzoo.data.seen import write as write_learned
    from cnnzoo.inference import evaluate
    from cnnzoo.saving import save
    from cnnzoo.transfer import fit, known, page

    out = Path(args.out)
    learned, held_out = open_parts(
        args.data,
        args.validation,
        args.seed,
        group_by=args.group_by,
        allow_copies=args.allow_copies,
        **reading(args),
    )
    tell_left_out(learned, held_out)
    model = _trained(args)
    print(
        f"{len(learned):,} images to learn from, {len(held_out):,} held out, "
        f"{len(learned.class_names)} classes"
    )
    assessment, plan = _planned(args, model, learned)
    print(plan, flush=True)
    result = fit(
        model,
        learned,
        held_out,
        plan,
        folder=out / WORK,
        seed=args.seed,
        verbose=verbosity() if args.verbose else 0,
        progress=_progress,
    )
    for done in result.phases:
        print(done)
    folds = _folds(args, model, plan, learned) if args.folds else None
    judged = evaluate(result.model, held_out)
    written = [
        save(result.model, out / "model.keras"),
        files.write_json(out / "class_names.json", list(learned.class_names)),
        known.measured(result.model, learned, held_out, args.seed).save(out),
        files.write_text(
            out / "report.html",
            page.page(
                result,
                assessment,
                held_out,
                judged,
                left_out=left_out(learned, held_out),
                folds=folds,
            ),
        ),
    ]
    if assessment:
        written.append(files.write_json(out / "assessment.json", assessment.to_json()))
    if isinstance(learned, Folder) and learned.checksums is not None:
        write_learned(out, learned.checksums)
    low, high = judged.error_interval
    print(
        f"accuracy {100 * judged.accuracy:.1f} % of {judged.images:,} held-out images, "
        f"{100 - high:.1f} to {100 - low:.1f} % with 95 % confidence"
    )
    for path in written:
        print(path)


def _planned(
    args: Namespace, model: keras.Model, learned: Source
) -> tuple[Assessment | None, Plan]:
    """What the images are measured to be, and what is to be done about it."""
    from cnnzoo.transfer import assess, plan

    print("measuring how the images and the network go together", file=sys.stderr)
    assessment = assess(model, learned, seed=args.seed)
    print(assessment.explain(), flush=True)
    if args.case == "auto":
        return assessment, plan(assessment, refine=args.refine)
    case = int(args.case)
    cut = assessment.cut if case == 3 else None
    names = [row.cut.name for row in assessment.table]
    place = names.index(cut) if cut else len(names) - 1
    refine = names[place - 1] if args.refine and place else False
    return assessment, plan(case, cut=cut, refine=refine)


def _trained(args: Namespace) -> keras.Model:
    """The network with its trained weights.

    Raises:
        UsageError: nobody says which weights.
    """
    from cnnzoo.saving import load
    from cnnzoo.sizes import layout
    from cnnzoo.weights import packaged
    from cnnzoo.zoo import build

    path = Path(args.model)
    if path.exists():
        return load(path / "model.keras" if path.is_dir() else path)
    if args.weights is None:
        raise UsageError(
            f"which trained weights of {args.model}? Give --weights with a file, with "
            "imagenet, or with a tag that the package ships; or --model with a folder "
            "that train wrote"
        )
    info = model_info(args.model)
    if args.weights in packaged.tags(args.model):
        return build(args.model, weights=args.weights)
    if Path(args.weights).suffix == ".keras":
        return load(args.weights)
    height, width, channels = info.input_shape
    shape = layout((args.size or height, args.size or width, channels))
    return build(args.model, include_top=False, input_shape=shape, weights=args.weights)


def _folds(args: Namespace, model: keras.Model, plan: Plan, learned: Source) -> Folds:
    """Networks of the same plan, each judged by images that it never saw."""
    from cnnzoo.train.folds import cross_validated
    from cnnzoo.transfer import fit
    from cnnzoo.transfer.fit import FEATURES_FOLDER

    work = Path(args.out) / WORK

    def trained(number: int, parts: tuple[Source, Source]) -> keras.Model:
        print(f"fold {number} of {args.folds}", file=sys.stderr)
        return fit(
            model,
            *parts,
            plan,
            folder=work / f"fold-{number}",
            features=work / FEATURES_FOLDER,
            seed=args.seed + number,
        ).model

    found = cross_validated(
        trained, learned, folds=args.folds, seed=args.seed, group_by=args.group_by
    )
    low, high = found.evaluation.error_interval
    print(
        f"{args.folds} folds: {100 * found.evaluation.accuracy:.1f} % of images that no "
        f"network had seen, {100 - high:.1f} to {100 - low:.1f} % with 95 % confidence"
    )
    return found


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else "\r"
    print(f"features of {done:,} of {total:,} images", end=end, file=sys.stderr)
