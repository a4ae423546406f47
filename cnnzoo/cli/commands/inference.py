"""The verbs for trained networks and ensembles: evaluate, predict."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli import options
from cnnzoo.cli.commands.data import open_source
from cnnzoo.cli.commands.networks import find_network, own_options
from cnnzoo.cli.output import print_json, print_records, print_table, say, start
from cnnzoo.errors import UsageError
from cnnzoo.system import files

if TYPE_CHECKING:
    import keras

    from cnnzoo.ensemble import Ensemble

    Opener = Callable[[], keras.Model | Ensemble]

ENSEMBLE_FILE = "ensemble.json"  # a copy, since the import of its home needs Keras
TOP = 3  # default number of classes per image
OUT = "ensemble"  # output folder of networks without a common folder


def evaluate(args: Namespace) -> None:
    network, folder = _find_network(args)
    out = Path(args.out or options.folder(str(folder)))
    source = open_source(args, "test")
    start(args.threads)
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import evaluate as evaluate_model
    from cnnzoo.visualization import figures

    model, verbose = network(), 0 if args.json else "auto"
    if isinstance(model, Ensemble):
        found = model.evaluate(source, verbose=verbose)
        whole = found.whole
    else:
        found = whole = evaluate_model(model, source, verbose=verbose)
    metrics = found.to_dict()
    metrics["misclassified"] = whole.misclassified(source)
    metrics["label_errors"] = whole.label_errors(source)
    pictures = {
        "confusion.png": figures.confusion(whole),
        "misclassified.png": figures.misclassified(source, whole),
        "label_errors.png": figures.label_errors(source, whole),
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
        columns = {
            "member": lambda row: row["name"],
            "errors": lambda row: row["errors"],
            "error": lambda row: _error(row["accuracy"]),
            "error of all without it": lambda row: _error(row.get("accuracy_without")),
        }
        print_records(rows, columns)


def _error(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * (1 - accuracy):.2f} %"


def predict(args: Namespace) -> None:
    table = _table(args)
    network, _ = _find_network(args)
    if table:
        _predict_rows(args, network, table)
    else:
        _predict_images(args, network)


def _predict_rows(args: Namespace, network: Opener, table: str) -> None:
    """Writes the class of each row of a .csv."""
    from cnnzoo.data.table import read_csv, write_submission

    source = read_csv(table, complete=False)
    out = args.out or options.file(str(Path(table).with_name("submission.csv")))
    _, names, classify = _open(args, network, len(source))
    labels = [names[i] for i in classify(source).argmax(1)]
    say(write_submission(out, labels, source.ids))


def _predict_images(args: Namespace, network: Opener) -> None:
    """Prints the likeliest classes of each image."""
    paths = _readable(args)
    model, names, classify = _open(args, network, len(paths))
    from cnnzoo.data.folders.training_files import in_training_set
    from cnnzoo.inference import make_predictions

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


def _open(args: Namespace, network: Opener, images: int) -> tuple:
    """The model or ensemble, its class names, and its function of probabilities."""
    start(args.threads)
    from cnnzoo.ensemble import Ensemble
    from cnnzoo.inference import BATCH, class_names, probabilities

    model = network()
    shown = sys.stdout.isatty() and not args.json and images > BATCH
    verbose = 1 if shown else 0
    if isinstance(model, Ensemble):
        return model, model.class_names, partial(model.predict, verbose=verbose)
    return model, class_names(model), partial(probabilities, model, verbose=verbose)


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


def _readable(args: Namespace) -> list[str]:
    """The paths of the pictures that can be read; says which are left out."""
    from cnnzoo.data.folders.inspection import readable
    from cnnzoo.data.inputs.pictures import image_paths

    given = [path for place in args.data for path in image_paths(place, args.on_bad)]
    if not any(map(os.path.lexists, given)):
        raise FileNotFoundError(
            f"there is no picture {', '.join(given[:3])}; check the name and the folder"
        )
    paths, bad = readable(given, args.on_bad)
    for path, reason in bad:
        say(f"left out {path!r}: {reason}", file=sys.stderr)
    return paths


def _find_network(args: Namespace) -> tuple[Opener, Path]:
    """Finds the model or ensemble that the options name, and its output folder.

    Returns:
        The function that opens it, and the folder.
    """
    if args.ensemble:
        if args.model or own_options(args):
            raise UsageError(
                "--ensemble uses the networks of the package; leave out --model and its "
                "options, or give several of your own there and leave out --ensemble"
            )
        return _ensemble, Path(OUT)
    if not args.model:
        raise UsageError("--model is missing: pass --model DIR, or --ensemble")
    if len(args.model) > 1:
        if given := own_options(args):
            raise UsageError(
                f"{given} is for one network; got {len(args.model)} times --model, so "
                "leave it out, or evaluate each alone"
            )
        members = [find_network(args, model) for model in args.model]
        return partial(_ensemble, members=members), Path(OUT)
    folder = Path(args.model[0])
    if (folder / ENSEMBLE_FILE).exists() and not own_options(args):
        return partial(_ensemble, folder=folder), folder
    network = find_network(args, args.model[0])
    if not folder.exists():  # a network's name, which a folder of that name would hide
        return network, Path(f"{folder}-evaluation")
    return network, folder.parent if folder.is_file() else folder


def _ensemble(
    folder: Path | None = None, members: Sequence[Callable[[], keras.Model]] = ()
) -> Ensemble:
    from cnnzoo.ensemble import Ensemble

    if folder:
        return Ensemble.load(folder)
    if members:
        return Ensemble([member() for member in members])
    return Ensemble.pretrained()
