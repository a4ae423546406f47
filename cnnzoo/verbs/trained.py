"""Verbs for a trained network: evaluate, predict."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from cnnzoo.console import print_json, print_table, start, tell_ignored
from cnnzoo.errors import UsageError

TOP = 3  # classes told of an image, unless asked for more


def evaluate(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo import figures, files
    from cnnzoo.data.source import open_source
    from cnnzoo.inference import evaluate as judge

    model, folder = _load(args.model)
    source = open_source(args.data, "test")
    tell_ignored(source)
    result = judge(model, source)
    picture = Path(args.out or folder) / "confusion.png"
    files.write_bytes(picture, figures.confusion(result))
    told = {
        "images": result.images,
        "accuracy": result.accuracy,
        "error_percent": result.error_percent,
        "classes": [asdict(row) for row in result.classes],
        "confusion": result.confusion.tolist(),
    }
    numbers = files.write_json(picture.with_name("evaluation.json"), told)
    if args.json:
        print_json(told)
        return
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
    print(
        f"accuracy {100 * result.accuracy:.2f} %, error {result.error_percent:.2f} % of "
        f"{result.images:,} images"
    )
    print(numbers)
    print(picture)


def predict(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.inference import predict as classify

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
    model, _ = _load(args.model)
    if tables:
        _submit(model, tables[0], args.out)
        return
    predictions = classify(model, args.data, args.top or TOP)
    if args.json:
        print_json([asdict(prediction) for prediction in predictions])
        return
    for prediction in predictions:
        best = ", ".join(f"{name} {100 * p:.1f} %" for name, p in prediction.top)
        print(f"{prediction.path}: {best}")


def _submit(model, table: str, out: str | None) -> None:
    from cnnzoo.data.table import read_csv, write_submission
    from cnnzoo.inference import class_names, probabilities

    source = read_csv(table, complete=False)
    names = class_names(model)
    answers = probabilities(model, source).argmax(1)
    path = Path(out or Path(table).with_name("submission.csv"))
    write_submission(path, [names[i] for i in answers], source.ids)
    print(path)


def _load(model: str):
    """The model in a folder that `train` wrote, or in a .keras file, and the folder."""
    from cnnzoo.saving import load

    path = Path(model)
    file = path / "model.keras" if path.is_dir() else path
    return load(file), file.parent
