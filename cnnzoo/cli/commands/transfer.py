"""The verb transfer: photographs and a trained network become a classifier."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import check_folds, open_parts, open_source
from cnnzoo.cli.commands.networks import find_network
from cnnzoo.cli.output import print_progress, say, start
from cnnzoo.errors import UsageError

if TYPE_CHECKING:
    import keras

    from cnnzoo.data.arrays import Source
    from cnnzoo.transfer import Assessment, Plan

TRAINING = "training"  # folder in which a killed transfer is resumed


def transfer(args: Namespace) -> None:
    network = find_network(args, args.model)
    train, validation = _open(args)
    start(args.threads)
    from cnnzoo.transfer import fit, kfold, save_results

    model = network(include_top=False)
    rest = "" if args.folds else f"{len(validation):,} validation images, "
    say(f"{len(train):,} training images, {rest}{len(train.class_names)} classes")
    say("assessing the data set", file=sys.stderr)
    assessment, plan = _planned(args, model, train)
    say(assessment.explain())
    say(plan)
    options = {
        "folder": Path(args.out) / TRAINING,
        "seed": args.seed,
        "progress": _progress,
        "disk": int(args.disk * 1e9),
    }
    if args.folds:

        def plan_of(part: Source) -> Plan:
            return plan if part is train else _planned(args, model, part)[1]

        options |= {"folds": args.folds, "group_by": args.group_by}
        result = kfold(model, train, args.validation, plan_of, **options)
        say(f"trained on all images as {args.folds} folds chose")
    else:
        result = fit(model, train, validation, plan, **options)
        for phase in result.phases:
            say(phase)
    saved = save_results(result, assessment, train, validation, args.out, seed=args.seed)
    basis = f"{args.folds} folds, none seen before" if args.folds else "validation"
    say(f"{basis}: {saved.evaluation.summary}")
    for path in saved.paths:
        say(path)


def _open(args: Namespace) -> tuple[Source, Source]:
    """The training and the validation images, which are all images for a `--folds`."""
    if not args.folds:
        return open_parts(args)
    if args.allow_copies:
        raise UsageError(
            "--allow-copies is for the images in val/, which --folds does not use; leave "
            "one of them out"
        )
    source = open_source(args)
    check_folds(args, source)
    return source, source


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


def _progress(done: int, total: int) -> None:
    text = f"features of {done:,} of {total:,} images"
    print_progress(text, is_last=done == total)
