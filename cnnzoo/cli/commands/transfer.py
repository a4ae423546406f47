"""The verb transfer: photographs and a trained network become a classifier."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import check_folds, open_parts
from cnnzoo.cli.commands.networks import find_network
from cnnzoo.cli.output import print_progress, say, start

if TYPE_CHECKING:
    import keras

    from cnnzoo.data.arrays import Source
    from cnnzoo.train.cross_validation import Folds
    from cnnzoo.transfer import Assessment, Plan

TRAINING = "training"  # folder in which a killed transfer is resumed


def transfer(args: Namespace) -> None:
    network = find_network(args, args.model)
    train, validation = open_parts(args)
    if args.folds:
        check_folds(args, train)
    start(args.threads)
    from cnnzoo.transfer import fit, save_results

    model = network(include_top=False)
    say(
        f"{len(train):,} training images, {len(validation):,} validation images, "
        f"{len(train.class_names)} classes"
    )
    say("assessing the data set", file=sys.stderr)
    assessment, plan = _planned(args, model, train)
    say(assessment.explain())
    say(plan)
    result = fit(
        model,
        train,
        validation,
        plan,
        folder=Path(args.out) / TRAINING,
        seed=args.seed,
        progress=_progress,
        disk=int(args.disk * 1e9),
    )
    for phase in result.phases:
        say(phase)
    folds = _folds(args, model, train) if args.folds else None
    saved = save_results(
        result, assessment, train, validation, args.out, folds=folds, seed=args.seed
    )
    say(f"validation: {saved.evaluation.summary}")
    for path in saved.paths:
        say(path)


def _planned(
    args: Namespace, model: keras.Model, train: Source
) -> tuple[Assessment, Plan]:
    """The assessment, and the plan for its case or for the case of the options."""
    from cnnzoo.transfer import assess, plan

    assessment = assess(model, train, seed=args.seed)
    if args.case.isdigit():
        assessment = assessment.taken_as(int(args.case))
    basis = args.case if args.case == "all-cuts" else assessment
    return assessment, plan(basis, refine=args.refine, views=args.views)


def _folds(args: Namespace, model: keras.Model, train: Source) -> Folds:
    """The cross-validation, with a new plan for each network."""
    from cnnzoo.train.cross_validation import cross_validate
    from cnnzoo.transfer import fit
    from cnnzoo.transfer.fitting import FEATURES_FOLDER

    training = Path(args.out) / TRAINING

    def trained(number: int, parts: tuple[Source, Source]) -> keras.Model:
        say(f"fold {number} of {args.folds}", file=sys.stderr)
        return fit(
            model,
            *parts,
            _planned(args, model, parts[0])[1],
            folder=training / f"fold-{number}",
            features=training / FEATURES_FOLDER,
            seed=args.seed + number,
            progress=_progress,
            disk=int(args.disk * 1e9),
        ).model

    found = cross_validate(
        trained, train, folds=args.folds, seed=args.seed, group_by=args.group_by
    )
    say(f"{args.folds} folds: {found.evaluation.summary}, none seen before")
    return found


def _progress(done: int, total: int) -> None:
    text = f"features of {done:,} of {total:,} images"
    print_progress(text, is_last=done == total)
