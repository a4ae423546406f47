"""Verbs for trained networks, one or several as one: evaluate, predict."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import reading
from cnnzoo.cli.output import print_json, print_table, start, tell_left_out
from cnnzoo.errors import UsageError

if TYPE_CHECKING:
    import keras

    from cnnzoo.ensemble import Ensemble, EnsembleEvaluation
    from cnnzoo.inference import Evaluation

TOP = 3  # classes told of an image, unless asked for more
OUT = "ensemble"  # folder of what is told of one that has none


def evaluate(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.data.sources import open_source
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import evaluate as judge
    from cnnzoo.system import files
    from cnnzoo.visualization import figures

    source = open_source(args.data, "test", **reading(args))
    tell_left_out(source)
    asked, folder = _asked(args)
    out = Path(args.out or folder)
    if isinstance(asked, Ensemble):
        judgement = asked.evaluate(source)
        result, names = judgement.whole, [model.name for model in asked.models]
        told = {**_told(result), "members": _told_of_members(names, judgement)}
    else:
        judgement, names, result = None, [], judge(asked, source)
        told = _told(result)
    written = [files.write_json(out / "evaluation.json", told)]
    pictures = {
        "confusion.png": figures.confusion(result),
        "misclassified.png": figures.misclassified(source, result),
    }
    written += [files.write_bytes(out / name, pictures[name]) for name in pictures]
    if args.json:
        print_json(told)
        return
    _print_classes(result)
    if judgement:
        _print_members(names, judgement)
    print(_sentence(result))
    for path in written:
        print(path)


def predict(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.data.folders.inspection import readable
    from cnnzoo.data.folders.training_files import seen
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import class_names, probabilities
    from cnnzoo.inference import told as likeliest

    table = _table(args)
    asked, _ = _asked(args)
    paths, bad = ([], []) if table else readable(args.data, args.on_bad)
    for path, reason in bad:
        print(f"left out {path!r}: {reason}", file=sys.stderr)
    if isinstance(asked, Ensemble):
        names, say = asked.class_names, asked.predict
    else:
        names, say = class_names(asked), lambda source: probabilities(asked, source)
    if table:
        _submit(say, names, table, args.out)
        return
    predictions = likeliest(paths, say(paths), names, args.top or TOP)
    folders = [p if p.is_dir() else p.parent for p in map(Path, args.model or ())]
    every = zip(
        predictions, seen(folders, paths), _strange(asked, folders, paths), strict=True
    )
    if args.json:
        told = ({**asdict(one), "learned": was, "none": none} for one, was, none in every)
        print_json(list(told))
        return
    for prediction, was, none in every:
        best = ", ".join(f"{name} {100 * p:.1f} %" for name, p in prediction.top)
        notes = " (none of these, it seems)" if none else ""
        notes += " (it learnt this picture)" if was else ""
        print(f"{prediction.path}: {best}{notes}")


def _strange(asked, folders: list[Path], paths: list[str]) -> list[bool | None]:
    """Whether each image is farther than usual from all that the network learnt.

    None where nobody has measured that, as for several networks together.
    """
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.transfer import novelty

    alone = len(folders) == 1 and not isinstance(asked, Ensemble) and paths
    measured = novelty.load(folders[0], asked) if alone else None
    if measured is None:
        return [None] * len(paths)
    return (measured.distances(asked, paths) > measured.threshold).tolist()


def _table(args: Namespace) -> str | None:
    """The .csv that is asked about, if it is one; checks what goes with it."""
    tables = [path for path in args.data if path.endswith(".csv")]
    if tables and len(args.data) > 1:
        raise UsageError("predict takes image files or one .csv, not both; run it twice")
    if tables and (args.json or args.top):
        raise UsageError(
            "predict writes one class for each row of a .csv; leave out --json and --top"
        )
    if args.out and not tables:
        raise UsageError(
            "predict writes a file for a .csv only, and prints what images show; leave "
            "out --out, or redirect the output of --json"
        )
    return tables[0] if tables else None


def _submit(say, names: tuple[str, ...], table: str, out: str | None) -> None:
    from cnnzoo.data.table import read_csv, write_submission

    source = read_csv(table, complete=False)
    path = Path(out or Path(table).with_name("submission.csv"))
    write_submission(path, [names[i] for i in say(source).argmax(1)], source.ids)
    print(path)


def _asked(args: Namespace) -> tuple[keras.Model | Ensemble, Path]:
    """Who is to answer, and the folder that what is told of it goes to."""
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.ensemble.storage import ENSEMBLE_FILE

    if args.ensemble:
        if args.model:
            raise UsageError(
                "--ensemble asks the networks of the package; leave out --model, or name "
                "several of your own there and leave out --ensemble"
            )
        return Ensemble.pretrained(), Path(OUT)
    if not args.model:
        raise UsageError("nobody is to answer; give --model DIR, or --ensemble")
    if len(args.model) > 1:
        return Ensemble([_load(model)[0] for model in args.model]), Path(OUT)
    folder = Path(args.model[0])
    if (folder / ENSEMBLE_FILE).exists():
        return Ensemble.load(folder), folder
    return _load(args.model[0])


def _load(model: str) -> tuple[keras.Model, Path]:
    """The model of a folder that `train` wrote, of a .keras file, or of the package."""
    from cnnzoo.saving import load
    from cnnzoo.weights.sources import bundled
    from cnnzoo.zoo import build

    path = Path(model)
    tags = bundled.tags(model)
    if tags and not path.exists():
        return build(model, weights=tags[0], include_preprocessing=True), path
    file = path / "model.keras" if path.is_dir() else path
    return load(file), file.parent


def _told(result: Evaluation) -> dict:
    return {
        "images": result.images,
        "errors": result.errors,
        "accuracy": result.accuracy,
        "error_percent": result.error_percent,
        "error_interval": result.error_interval,
        "classes": [asdict(row) for row in result.classes],
        "confusion": result.confusion.tolist(),
    }


def _told_of_members(names: list[str], judgement: EnsembleEvaluation) -> list[dict]:
    without = judgement.without or (None,) * len(names)
    return [
        {
            "name": name,
            "errors": member.errors,
            "accuracy": member.accuracy,
            "accuracy_without": other,
        }
        for name, member, other in zip(names, judgement.members, without, strict=True)
    ]


def _print_classes(result: Evaluation) -> None:
    print_table(
        ("class", "precision", "recall", "F1", "images"),
        (
            (
                row.name,
                *(f"{v:.4f}" for v in (row.precision, row.recall, row.f1)),
                row.images,
            )
            for row in result.classes
        ),
    )


def _print_members(names: list[str], judgement: EnsembleEvaluation) -> None:
    rows = [
        (
            member["name"],
            member["errors"],
            _percent(1 - member["accuracy"]),
            ""
            if member["accuracy_without"] is None
            else _percent(1 - member["accuracy_without"]),
        )
        for member in _told_of_members(names, judgement)
    ]
    whole = judgement.whole
    rows.append(("all together", whole.errors, _percent(1 - whole.accuracy), ""))
    print_table(("member", "errors", "error", "error of all without it"), rows)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _sentence(result: Evaluation) -> str:
    low, high = result.error_interval
    return (
        f"accuracy {100 * result.accuracy:.2f} %, error {result.error_percent:.2f} % of "
        f"{result.images:,} images: {result.errors:,}, or {low:.2f} to {high:.2f} % with "
        "95 % confidence"
    )
