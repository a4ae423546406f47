"""How the verbs that learn and judge read a folder of images."""

import sys
from argparse import Namespace
from pathlib import Path


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
