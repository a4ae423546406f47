"""DATA of the verbs: opens it, and prints which files are not used."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.output import print_left_out, say

if TYPE_CHECKING:
    from cnnzoo.data.arrays import Source
    from cnnzoo.data.mnist import Split


def open_parts(args: Namespace, *, again: bool = False) -> tuple[Source, Source]:
    """Opens training and validation images, and prints which files are not used.

    Args:
        args: Options of the command.
        again: As in `reading`.
    """
    from cnnzoo.data.sources import open_train_validation

    train, validation = open_train_validation(
        args.data,
        args.validation,
        args.seed,
        group_by=args.group_by,
        allow_copies=args.allow_copies,
        download=args.download,
        **reading(args, again=again),
    )
    print_left_out(train, validation)
    return train, validation


def open_source(args: Namespace, split: Split = "train") -> Source:
    """Opens a split of the images, and prints which files are not used."""
    from cnnzoo.data import sources

    source = sources.open_source(
        args.data, split, download=args.download, **reading(args)
    )
    print_left_out(source)
    return source


def check_folds(args: Namespace, source: Source) -> None:
    """Raises the errors of a cross-validation that the options and the images have."""
    from cnnzoo.data.sources import split_folds

    list(split_folds(source, args.folds, args.seed, args.group_by))


def reading(args: Namespace, *, again: bool = False) -> dict:
    """Arguments of `scan`, by which every file is read before anything else happens.

    Args:
        args: Options of the command.
        again: Whether a training is resumed, whose files have been read before; with
            `--on-bad skip` they are read again, to leave out the same ones.
    """
    again = again and args.on_bad == "raise"
    if Path(args.data).is_dir() and not again:
        say(f"reading every file of {args.data} once", file=sys.stderr)
    return {
        "depth": "headers" if again else "pixels",
        "checksums": True,
        "on_bad": args.on_bad,
        "follow_links": args.follow_links,
        "labels": args.labels,
        "partial": args.partial,
        "value_range": args.value_range,
    }
