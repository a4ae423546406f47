"""Verbs about the catalog: list, info, plot, identify.

Modules that need a backend are imported inside the functions that use them.
"""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from cnnzoo.cli import options
from cnnzoo.cli.output import print_json, print_pairs, print_records, say, start
from cnnzoo.errors import UsageError
from cnnzoo.models.index import list_models, model_info
from cnnzoo.models.proofs import load_proofs, summary


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
    columns = {
        "network": lambda row: row.name,
        "parameters": lambda row: f"{row.parameters:,}",
        "MACs": lambda row: f"{row.macs / 1e6:,.1f} M",
        "input": lambda row: "x".join(map(str, row.input_shape)),
        "smallest": lambda row: row.min_size,
        "year": lambda row: row.paper.year if row.paper else "",
    }
    print_records(rows, columns)


def info(args: Namespace) -> None:
    row = model_info(args.model)
    if args.layers:
        _layers(args)
    elif args.json:
        proofs = [asdict(proof) for proof in load_proofs().of(row.name)]
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
                "differences": row.differences or "none known",
            }
        )


def _number(value: int | None) -> str:
    return "not known" if value is None else f"{value:,}"


def _layers(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo import graph
    from cnnzoo.zoo import sketch

    rows = graph.layer_rows(sketch(args.model))
    if args.json:
        print_json([asdict(row) for row in rows])
        return
    columns = {
        "layer": lambda row: row.name,
        "class": lambda row: row.kind,
        "output": lambda row: "x".join(map(str, row.shape)),
        "kernel": lambda row: "x".join(map(str, row.kernel or ())),
        "stride": lambda row: "x".join(map(str, row.strides or ())),
        "parameters": lambda row: f"{row.parameters:,}",
        "MACs": lambda row: f"{row.macs:,}",
        "sees": lambda row: "x".join(map(str, row.receptive_field or ("all",))),
    }
    print_records(rows, columns)


def plot(args: Namespace) -> None:
    model_info(args.model)  # reports an unknown name before Keras is imported
    path = Path(args.out or options.picture(f"{args.model}.png"))
    start(args.threads)
    from cnnzoo.visualization.graphviz import plot as draw
    from cnnzoo.zoo import sketch

    complete = draw(
        sketch(args.model),
        path,
        shapes=args.shapes,
        names=args.names,
        rankdir=args.rankdir,
    )
    if not complete:
        say("Graphviz's program `dot` was not found or failed, so the stages are drawn")
        say("instead; install Graphviz to have every layer.")
    say(path)


def identify(args: Namespace) -> int:
    """Returns 1 if the file fits no network of the catalog, else 0."""
    from cnnzoo.weights.formats import opening

    opening.check_path(args.file)
    start(args.threads)
    from cnnzoo.zoo import identification

    found = identification.identify(args.file)
    if args.json:
        print_json(found.to_dict())
    else:
        say(found)
    return int(not found.networks)
