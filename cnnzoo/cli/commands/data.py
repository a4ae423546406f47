"""How the verbs that learn and judge read a folder of images."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.output import tell_left_out

if TYPE_CHECKING:
    from cnnzoo.data.arrays import Source


def parts(args: Namespace, *, again: bool = False) -> tuple[Source, Source]:
    """The images to learn from and those held out; tells what was left out.

    Args:
        again: as `reading` takes it.
    """
    from cnnzoo.data.sources import open_train_validation

    learned, held_out = open_train_validation(
        args.data,
        args.validation,
        args.seed,
        group_by=args.group_by,
        allow_copies=args.allow_copies,
        download=args.download,
        **reading(args, again=again),
    )
    tell_left_out(learned, held_out)
    return learned, held_out


def reading(args: Namespace, *, again: bool = False) -> dict:
    """What `scan` is told: every file is read before anything else happens.

    Args:
        again: for a training that goes on, whose files were read when it began.
    """
    if Path(args.data).is_dir() and not again:
        print(f"reading every file of {args.data} once", file=sys.stderr)
    return {
        "depth": "headers" if again else "pixels",
        "checksums": True,
        "on_bad": args.on_bad,
        "follow_links": args.follow_links,
        "labels": args.labels,
    }
