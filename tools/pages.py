"""The pages about the catalog, made from the index and the proofs alone."""

from cnnzoo.evaluation import error_interval
from cnnzoo.models.index import ModelInfo, list_models, model_info
from cnnzoo.models.proofs import load_proofs, summary

OWN = "our own"


def readme_table() -> str:
    """The README's table of networks."""
    return table(
        ("network", "parameters", "MACs", "input", "smallest", "paper"),
        "lrrlrl",
        [
            (
                f"`{info.name}`",
                f"{info.parameters:,}",
                _millions(info.macs),
                "x".join(map(str, info.input_shape)),
                info.min_size,
                f"[{info.paper.year}]({info.paper.url})" if info.paper else OWN,
            )
            for info in _infos()
        ],
    )


def networks_page() -> str:
    """`docs/networks.md`: one row per network, with paper, counts and proof."""
    rows = table(
        (
            "network",
            "paper",
            "parameters",
            "published",
            "MACs",
            "published",
            "reference: largest difference",
            "differences from the paper",
        ),
        "llrrrrll",
        [
            (
                f"`{info.name}`",
                f"[{info.paper.title}, {info.paper.year}]({info.paper.url})"
                if info.paper
                else OWN,
                _counts(info),
                _published(info.published_parameters),
                f"{info.macs:,}",
                _published(info.published_macs),
                summary(info.name),
                info.differences or "none known",
            )
            for info in _infos()
        ],
    )
    return f"""# The networks and their references

{len(list_models())} networks, each with its paper's image size. Written by `make index`
from the networks, and by `make proofs` from its comparisons. Of two numbers of
parameters, the first includes the moving statistics of batch normalisation, and the
second counts the trainable parameters only; publications give one or the other. A number
is published where the paper prints it exactly, or where it follows from the public
definition or weights file of the very network. MACs are the multiply-adds of convolutions
and dense layers for one image. A difference is the largest one of all comparisons with
that reference, relative to the largest output; [proofs.md](proofs.md) lists every
comparison.

{rows}
"""


def proofs_page() -> str:
    """`docs/proofs.md`: every comparison."""
    rows = table(
        ("network", "output", "reference", "difference", "bound"),
        "lllrr",
        [
            (
                f"`{proof.network}`",
                proof.what,
                proof.against,
                f"{proof.difference:.1e}",
                f"{proof.bound:.0e}",
            )
            for proof in load_proofs().proofs
        ],
    )
    return f"""# Comparisons with references

Written by `make proofs`. Each row compares a network with an independent definition that
has the same random weights, including the statistics of batch normalisation, on random
images. The difference is the largest one, relative to the largest output.

A training row compares two training steps on four images with those of PyTorch, from the
same weights, without dropout, compiled as `cnnzoo train` compiles: every gradient of the
first step; after both, the moving statistics of batch normalisation and every weight, by
SGD with Nesterov momentum or by Adam, with weight decay on kernels alone. In float64,
statistics and weights are compared by how much they changed. The losses agree as well.
The difference is the largest one in any tensor, relative to the largest value of that
tensor; that of its kernel for a bias, where it is larger, since batch normalisation
cancels biases.

{rows}
"""


def _infos() -> list[ModelInfo]:
    return [model_info(name) for name in list_models()]


def _counts(info: ModelInfo) -> str:
    both = (info.parameters, info.trainable)
    return " / ".join(f"{count:,}" for count in dict.fromkeys(both))


def _published(count: int | None) -> str:
    return "none" if count is None else f"{count:,}"


def _millions(macs: int) -> str:
    return f"{macs / 1e6:,.1f} M"


def table(header: tuple[str, ...], aligned: str, rows: list[tuple]) -> str:
    """A Markdown table; `aligned` has one l or r per column."""
    rule = [{"l": "---", "r": "---:"}[side] for side in aligned]
    cells = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in cells)


def error_text(metrics: dict) -> str:
    """The error in per cent, with its counts and its interval."""
    return f"{metrics['error_percent']:.2f} % ({interval_text(metrics)})"


def interval_text(metrics: dict) -> str:
    """The number of errors, and the interval of the error in per cent."""
    low, high = error_interval(metrics["errors"], metrics["images"])
    return f"{metrics['errors']} of {metrics['images']:,}, {low:.2f} to {high:.2f} %"
