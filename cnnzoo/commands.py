"""What each verb of the command line does: it calls the library and prints.

Everything that needs a backend is imported inside the verb that needs it.
"""

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from cnnzoo.console import print_json, print_pairs, print_table, quiet_start, verbosity
from cnnzoo.errors import UsageError
from cnnzoo.models.certificate import certificate, summary
from cnnzoo.models.index import ModelInfo, list_models, model_info


def list_networks(args: Namespace) -> None:
    rows = [
        model_info(name) for name in list_models(args.pattern, args.family, args.weights)
    ]
    if args.json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        raise UsageError(
            f"no network is called {args.pattern!r} and fits the other filters; run "
            "`cnnzoo list` to see all"
        )
    print_table(
        ("network", "parameters", "MACs", "input", "smallest", "year"),
        (
            (
                row.name,
                f"{row.parameters:,}",
                f"{row.macs / 1e6:,.1f} M",
                "x".join(map(str, row.input_shape)),
                row.min_size,
                row.paper.year if row.paper else "",
            )
            for row in rows
        ),
    )


def info(args: Namespace) -> None:
    row = model_info(args.model)
    if args.layers:
        _layers(args)
    elif args.json:
        proofs = [asdict(proof) for proof in certificate().of(row.name)]
        print_json({**asdict(row), "proofs": proofs})
    else:
        paper = row.paper and f"{row.paper.title} ({row.paper.year}), {row.paper.url}"
        print_pairs(
            {
                "network": f"{row.name}, in cnnzoo/models/{row.family}.py",
                "paper": paper or "none, our own design",
                "parameters": f"{row.parameters:,}, {row.trainable:,} of them trainable",
                "published": _number(row.published_parameters),
                "MACs": f"{row.macs:,} for one image",
                "published MACs": _number(row.published_macs),
                "input": f"{'x'.join(map(str, row.input_shape))}, at least "
                f"{row.min_size}x{row.min_size}",
                "classes": row.classes,
                "preprocessing": row.preprocessing,
                "stages": ", ".join(
                    f"{name} {'x'.join(map(str, shape))}" for name, shape in row.stages
                ),
                "weights": ", ".join(row.weights) or "none",
                "compared with": summary(row.name),
                "differs": row.differences or "in nothing known",
            }
        )


def _number(value: int | None) -> str:
    return "not known" if value is None else f"{value:,}"


def _layers(args: Namespace) -> None:
    quiet_start()
    from cnnzoo import graph
    from cnnzoo.zoo import sketch

    rows = graph.layer_rows(sketch(args.model))
    if args.json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ("layer", "class", "output", "kernel", "stride", "parameters", "MACs", "sees"),
        (
            (
                row.name,
                row.kind,
                "x".join(map(str, row.shape)),
                "x".join(map(str, row.kernel or ())),
                "x".join(map(str, row.strides or ())),
                f"{row.parameters:,}",
                f"{row.macs:,}",
                "x".join(map(str, row.receptive_field or ("all",))),
            )
            for row in rows
        ),
    )


def plot(args: Namespace) -> None:
    model_info(args.model)  # an unknown name is told before Keras is loaded
    quiet_start()
    from cnnzoo.plot import plot as draw
    from cnnzoo.zoo import sketch

    path = Path(args.out or f"{args.model}.png")
    complete = draw(
        sketch(args.model),
        path,
        shapes=args.shapes,
        names=args.names,
        rankdir=args.rankdir,
    )
    if not complete:
        print("Graphviz's program `dot` was not found or failed, so the stages are drawn")
        print("instead; install Graphviz to have every layer.")
    print(path)


def train(args: Namespace) -> None:
    network = model_info(args.model)
    quiet_start()
    import keras
    import numpy as np

    from cnnzoo import figures, files
    from cnnzoo.data.source import open_source
    from cnnzoo.sizes import layout
    from cnnzoo.train.run import fit
    from cnnzoo.zoo import build

    keras.utils.set_random_seed(args.seed)
    source = open_source(args.data, "train", download=args.download)
    _tell_ignored(source)
    learned, held_out = source.split(args.validation, args.seed)
    shape = _image_shape(source, network, args)
    model = build(
        args.model,
        input_shape=layout(shape),
        classes=len(source.class_names),
        include_preprocessing=True,
        preprocessing=_preprocessing(args.preprocessing, learned),
    )
    print(
        f"{args.model} at {'x'.join(map(str, shape))}: {len(learned):,} images to learn "
        f"from, {len(held_out):,} held out, {len(source.class_names)} classes"
    )
    out = Path(args.out)
    history = fit(model, learned, held_out, out, _settings(args), verbose=verbosity())
    curves = files.write_bytes(out / "curves.png", figures.learning_curves(history))
    best = int(np.nanargmin(history["val_loss"]))
    print(
        f"best epoch {best + 1} of {len(history['val_loss'])}: validation accuracy "
        f"{100 * history['val_accuracy'][best]:.2f} %"
    )
    for path in (out / "model.keras", out / "history.json", curves):
        print(path)


def _tell_ignored(source) -> None:
    ignored = getattr(source, "ignored", {})
    if ignored:
        counts = ", ".join(
            f"{ending or 'no ending'} {n}" for ending, n in ignored.items()
        )
        print(f"left out, since they are no images: {counts}", file=sys.stderr)


def _settings(args: Namespace):
    from cnnzoo.train.run import Settings

    return Settings(
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        learning_rate=args.lr,
        loss=args.loss,
        patience=args.patience,
        seed=args.seed,
    )


def _image_shape(source, network: ModelInfo, args: Namespace) -> tuple[int, int, int]:
    """The size of the images in memory, or the paper's for a folder, unless told."""
    from cnnzoo.data.arrays import Images

    height, width, channels = network.input_shape
    if isinstance(source, Images):
        height, width, channels = source.images.shape[1:]
        height, width = max(height, network.min_size), max(width, network.min_size)
    return (args.size or height, args.size or width, args.channels or channels)


def _preprocessing(mode: str | None, learned):
    """The mode; `featurewise` is measured on the images to learn from."""
    if mode != "featurewise":
        return mode
    from cnnzoo.data.arrays import Images
    from cnnzoo.data.preprocess import featurewise

    if not isinstance(learned, Images):
        raise UsageError(
            "featurewise preprocessing is measured on images in memory, and a folder is "
            "not; choose another mode, or give a .csv or .npz"
        )
    return featurewise(learned.images)


def evaluate(args: Namespace) -> None:
    quiet_start()
    from cnnzoo import figures, files
    from cnnzoo.data.source import open_source
    from cnnzoo.inference import evaluate as judge

    model, folder = _load(args.model)
    source = open_source(args.data, "test")
    _tell_ignored(source)
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
    quiet_start()
    from cnnzoo.inference import predict as classify

    tables = [path for path in args.data if path.endswith(".csv")]
    if tables and len(args.data) > 1:
        raise UsageError("predict takes image files or one .csv, not both; run it twice")
    model, _ = _load(args.model)
    if tables:
        _submit(model, tables[0], args.out)
        return
    predictions = classify(model, args.data, args.top)
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


def demo(args: Namespace) -> None:
    quiet_start()
    from cnnzoo.demo import run

    run(Path(args.out))


def _load(model: str):
    """The model in a folder that `train` wrote, or in a .keras file, and the folder."""
    from cnnzoo.saving import load

    path = Path(model)
    file = path / "model.keras" if path.is_dir() else path
    return load(file), file.parent
