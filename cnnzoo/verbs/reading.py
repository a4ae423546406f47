"""How the verbs that learn and judge read a folder of images."""

from argparse import Namespace


def reading(args: Namespace) -> dict:
    """What `scan` is told: every file is read before anything else happens."""
    return {
        "depth": "pixels",
        "checksums": True,
        "on_bad": args.on_bad,
        "follow_links": args.follow_links,
        "labels": args.labels,
    }
