"""The verbs for trained networks and ensembles: evaluate, predict."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import reading
from cnnzoo.cli.commands.networks import open_network, own_options
from cnnzoo.cli.output import print_json, print_left_out, print_table, say, start
from cnnzoo.errors import UsageError

if TYPE_CHECKING:
    import keras

    from cnnzoo.ensemble import Ensemble

TOP = 3  # default number of classes per image
OUT = "ensemble"  # output folder of networks without a common folder


def evaluate(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.data.sources import open_source
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import evaluate as evaluate_model
    from cnnzoo.metadata import geometry_of
    from cnnzoo.system import files
    from cnnzoo.visualization import figures

    model, folder = _open_model(args)
    told = reading(args)
    if not isinstance(model, Ensemble) and (geometry := geometry_of(model)):
        told["value_range"] = told["value_range"] or geometry.value_range
    source = open_source(args.data, "test", download=args.download, **told)
    print_left_out(source)
    if isinstance(model, Ensemble):
        found = model.evaluate(source)
        whole = found.whole
    else:
        found = whole = evaluate_model(model, source)
    out, metrics = Path(args.out or folder), found.to_dict()
    metrics["misclassified"] = whole.misclassified(source)
    pictures = {
        "confusion.png": figures.confusion(whole),
        "misclassified.png": figures.misclassified(source, whole),
    }
    written = [files.write_json(out / "evaluation.json", metrics)]
    written += [files.write_bytes(out / name, pictures[name]) for name in pictures]
    if args.json:
        print_json(metrics)
        return
    _print_metrics(metrics)
    say(whole.summary)
    for path in written:
        say(path)


def _print_metrics(metrics: dict) -> None:
    """Prints the metrics per class and, of an ensemble, per member."""
    print_table(
        ("class", "precision", "recall", "F1", "images"),
        (
            (name, *(f"{share:.4f}" for share in shares), images)
            for name, *shares, images in map(dict.values, metrics["classes"])
        ),
    )
    if "members" in metrics:
        rows = (*metrics["members"], {**metrics, "name": "all together"})
        print_table(
            ("member", "errors", "error", "error of all without it"),
            (
                (
                    row["name"],
                    row["errors"],
                    _error(row["accuracy"]),
                    _error(row.get("accuracy_without")),
                )
                for row in rows
            ),
        )


def _error(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * (1 - accuracy):.2f} %"


def predict(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.data.folders.inspection import readable
    from cnnzoo.data.folders.training_files import in_training_set
    from cnnzoo.data.inputs.pictures import image_paths
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import class_names, make_predictions, probabilities

    table = _table(args)
    model, _ = _open_model(args)
    data = [] if table else args.data
    given = [path for place in data for path in image_paths(place, args.on_bad)]
    paths, bad = readable(given, args.on_bad) if given else ([], [])
    for path, reason in bad:
        say(f"left out {path!r}: {reason}", file=sys.stderr)
    if isinstance(model, Ensemble):
        names, classify = model.class_names, model.predict
    else:
        names, classify = class_names(model), partial(probabilities, model)
    if table:
        _write_labels(classify, names, table, args.out)
        return
    predictions = make_predictions(paths, classify(paths), names, args.top or TOP)
    own = filter(Path.exists, map(Path, args.model or ()))
    folders = [path if path.is_dir() else path.parent for path in own]
    known = in_training_set(folders, paths)
    rows = zip(predictions, known, _novel(model, folders, paths), strict=True)
    if args.json:
        print_json(
            [{**asdict(one), "in_training": old, "novel": new} for one, old, new in rows]
        )
        return
    for prediction, old, new in rows:
        best = ", ".join(f"{name} {100 * p:.1f} %" for name, p in prediction.top)
        notes = " (probably none of these)" if new else ""
        notes += " (a training image)" if old else ""
        say(f"{prediction.path}: {best}{notes}")


def _novel(model, folders: list[Path], paths: list[str]) -> list[bool | None]:
    """Whether each image is farther from the training images than the threshold.

    None if that was not measured, as for ensembles.
    """
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.transfer import novelty

    alone = len(folders) == 1 and not isinstance(model, Ensemble) and paths
    measured = novelty.load(folders[0], model) if alone else None
    if measured is None:
        return [None] * len(paths)
    return (measured.distances(model, paths) > measured.threshold).tolist()


def _table(args: Namespace) -> str | None:
    """The .csv file of the data, if there is one; checks the options for it."""
    tables = [path for path in args.data if path.endswith(".csv")]
    if tables and len(args.data) > 1:
        raise UsageError("predict takes image files or one .csv, not both; run it twice")
    if tables and (args.json or args.top):
        raise UsageError(
            "predict writes one class per row of a .csv; leave out --json and --top"
        )
    if args.out and not tables:
        raise UsageError(
            "predict writes a file for a .csv only, and prints the classes of images; "
            "leave out --out, or redirect the output of --json"
        )
    return tables[0] if tables else None


def _write_labels(classify, names: tuple[str, ...], table: str, out: str | None) -> None:
    from cnnzoo.data.table import read_csv, write_submission

    source = read_csv(table, complete=False)
    path = Path(out or Path(table).with_name("submission.csv"))
    write_submission(path, [names[i] for i in classify(source).argmax(1)], source.ids)
    say(path)


def _open_model(args: Namespace) -> tuple[keras.Model | Ensemble, Path]:
    """The model or ensemble that the options name, and its output folder."""
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.ensemble.storage import ENSEMBLE_FILE

    if args.ensemble:
        if args.model or own_options(args):
            raise UsageError(
                "--ensemble uses the networks of the package; leave out --model and its "
                "options, or give several of your own there and leave out --ensemble"
            )
        return Ensemble.pretrained(), Path(OUT)
    if not args.model:
        raise UsageError("--model is missing: pass --model DIR, or --ensemble")
    if len(args.model) > 1:
        if given := own_options(args):
            raise UsageError(
                f"{given} is for one network; got {len(args.model)} times --model, so "
                "leave it out, or evaluate each alone"
            )
        networks = [open_network(model, args) for model in args.model]
        return Ensemble(networks), Path(OUT)
    folder = Path(args.model[0])
    if (folder / ENSEMBLE_FILE).exists() and not own_options(args):
        return Ensemble.load(folder), folder
    network = open_network(args.model[0], args)
    if not folder.exists():  # a network's name, which a folder of that name would hide
        return network, Path(f"{folder}-evaluation")
    return network, folder.parent if folder.is_file() else folder
