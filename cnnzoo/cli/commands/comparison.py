"""The verb compare: which of several networks suits some photographs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import open_source
from cnnzoo.cli.commands.networks import OWN, find_network
from cnnzoo.cli.output import print_json, print_progress, print_table, say, start
from cnnzoo.errors import UsageError
from cnnzoo.system import files

if TYPE_CHECKING:
    import keras

IMAGES = 1000  # default number to measure on; a copy, since its home needs Keras


def compare(args: Namespace) -> None:
    networks = _find_networks(args)
    source = open_source(args)
    start(args.threads)
    from cnnzoo.transfer import compare as compare_models
    from cnnzoo.transfer.comparison import HEADER

    models = {name: network(include_top=False) for name, network in networks.items()}
    found = compare_models(
        models, source, probed=args.images, seed=args.seed, progress=_progress
    )
    written = []
    if args.out:
        out = Path(args.out)
        written = [
            files.write_json(out / "comparison.json", found.to_dict()),
            files.write_bytes(out / "comparison.png", found.picture()),
        ]
    if args.json:
        print_json(found.to_dict())
        return
    print_table(HEADER, [one.row() for one in found.networks])
    for line in (*found.notes(), *written):
        say(line)


def _find_networks(args: Namespace) -> dict[str, Callable[..., keras.Model]]:
    """The functions that open the networks of --models, by name.

    A name is that of the network, with its weights if several are of one network.

    Raises:
        UsageError: A network is given twice, or an option is for none of them.
    """
    given = {text: _parse(text) for text in args.models}
    if len(given) < len(args.models):
        raise UsageError(
            f"--models names a network twice in {' '.join(args.models)}; give each once"
        )
    # The weights, or "" for none, of names in the catalog.
    named = [weights for _, weights, is_file in given.values() if not is_file]
    takers = {"weights": "" in named, "size": named, "fit": named}
    for option, taken in takers.items():
        if getattr(args, option) and not taken:
            raise UsageError(
                f"--{option} has no use, since each of {' '.join(args.models)} has its "
                "own; leave it out"
            )
    names, found = [name for name, _, _ in given.values()], {}
    for text, (name, weights, is_file) in given.items():
        own = {key: None if is_file else getattr(args, key) for key in OWN}
        own |= {"weights": weights or own["weights"], "model": args.models}
        short = f"{name}, {Path(weights).name}" if weights else name
        label = name if names.count(name) == 1 else short
        found[text if label in found else label] = find_network(
            Namespace(**(vars(args) | own)), name
        )
    return found


def _parse(text: str) -> tuple[str, str, bool]:
    """Name and weights, "" for none, of one of --models, and whether it is a file."""
    name, _, weights = (text, "", "") if Path(text).exists() else text.partition("=")
    return name, weights, Path(name).exists() or bool(Path(name).suffix)


def _progress(name: str, done: int, total: int) -> None:
    text = f"{name}: features of {done:,} of {total:,} images"
    print_progress(text, is_last=done == total)
