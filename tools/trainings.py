"""`docs/mnist.md`: every finished training, and the ensemble, from one JSON file."""

import json
from pathlib import Path

from folds_page import out_of_fold_section
from pages import error_text, interval_text, table

from cnnzoo.models.index import model_info
from cnnzoo.weights.sources import bundled

LIST = Path(__file__).with_name("trainings.json")
ORIGINAL = {"small_vgg": 0.29, "very_small_vgg": 0.37, "small_resnet": 0.40}
GOAL = 0.20  # test error of the ensemble, per cent
# Errors of single networks: data, split, per cent. For ResNet20 the paper's test error.
GOALS = {
    **{name: ("mnist", "test", error) for name, error in ORIGINAL.items()},
    "resnet20": ("cifar10", "validation", 8.75),
}
CORE_HOURS = 6  # for the ensemble's three networks: 3 hours of 2 cores


def page() -> str:
    """The whole page."""
    records = json.loads(LIST.read_text(encoding="utf-8"))
    return f"""# Trained networks

Written by `make index` from `tools/trainings.json`. `tools/make_weights.py` adds every
planned training to this file after its last epoch, whatever its errors. The best epoch of
each network is chosen by 5,000 validation images from the training set. The recipe and
the seeds of a network were chosen by training images alone and fixed in
`tools/make_weights.py` before its test error was known. Only `mnist_long` was added when
the test errors of `mnist` were known; out-of-fold and validation errors chose it. The
test split is read for networks of the package only, once for each. Intervals are Wilson
intervals of 95 %.

{chr(10).join(f"- {remark}" for remark in records["remarks"])}

{_ensembles(records["ensembles"])}{_views(records["views"])}{
        out_of_fold_section(records["folds"])
    }## Every training

{
        table(
            (
                "network",
                "data",
                "recipe",
                "seed",
                "epochs",
                "best epoch",
                "hours",
                "images/s",
                "validation error",
                "test error",
                "original's test error",
                "in the package",
            ),
            "lllrrrrrrrrl",
            [_row(record) for record in records["trainings"]],
        )
    }

{_goals(records["trainings"])}

{_machine(records)}Hours include validation. The originals are the
networks of <https://github.com/kkweon/mnist-competition>, with the errors in its README.

## How the recipes were chosen

{_pilots(records["pilots"])}
## The commands

{_commands(records["trainings"])}
## Weights in the package

{_cards()}"""


def _ensembles(ensembles: list[dict]) -> str:
    return "".join(_ensemble(record) for record in ensembles)


def _ensemble(record: dict) -> str:
    members = [
        (f"`{name}`", *(record[f"{part}{which}"][i] for part, which in COLUMNS))
        for i, name in enumerate(record["members"])
    ]
    whole = (
        "ensemble",
        record["validation"]["errors"],
        "",
        record["test"]["errors"],
        "",
    )
    rows = table(
        (
            "member",
            f"errors on {record['validation']['images']:,} validation images",
            "errors of the ensemble without it",
            f"errors on {record['test']['images']:,} test images",
            "errors of the ensemble without it",
        ),
        "lrrrr",
        [*members, whole],
    )
    test = record["test"]
    reached = "reached" if test["error_percent"] <= GOAL else "missed"
    return f"""## The ensemble of three networks

The {record["combine"]} of the three networks' probabilities misclassifies
**{test["error_percent"]:.2f} %** of MNIST's test split, {interval_text(test)}; the goal
of {GOAL:.2f} % is {reached}. `{record["command"]}` computes it again, without a download
or a training.

{rows}

"""


def _views(record: dict | None) -> str:
    """The errors with test-time augmentation."""
    if record is None:
        return ""
    names = list(record["rows"][0]["errors"])
    rows = [
        (row["views"], row["count"], *(row["errors"][name] for name in names))
        for row in record["rows"]
    ]
    header = ("views", "number of views", *(f"`{name}`" for name in names[:-1]))
    unchanged, *others = (row["errors"][names[-1]] for row in record["rows"])
    verdict = (
        "No set of views has fewer errors than the unchanged digits, so each digit is "
        "predicted once."
        if min(others) >= unchanged
        else "The test split was not evaluated in this way."
    )
    return f"""Test-time augmentation averages the predictions of several views of a
digit. Errors on {record["images"]:,} validation images, from `python tools/views.py`:

{table((*header, names[-1]), "lr" + "r" * len(names), rows)}

{verdict}

"""


COLUMNS = (
    ("validation", "_members"),
    ("validation", "_without"),
    ("test", "_members"),
    ("test", "_without"),
)


def _row(record: dict) -> tuple:
    original = ORIGINAL.get(record["network"])
    return (
        f"`{record['network']}`",
        record["data"],
        record["recipe"],
        record["seed"],
        record["epochs"],
        record["best_epoch"],
        f"{record['hours_of_all_threads']:.2f}",
        record["images_per_second"],
        error_text(record["validation"]),
        error_text(record["test"]) if record["test"] else "not evaluated",
        f"{original:.2f} %" if original and record["data"] == "mnist" else "",
        "yes" if _is_packaged(record) else "",
    )


def _is_packaged(record: dict) -> bool:
    network, data = record["network"], record["data"]
    if data not in bundled.tags(network):
        return False
    return bundled.metadata(network, data)["command"] == record["command"]


def _goals(trainings: list[dict]) -> str:
    """The goals of the package's networks, and whether they were reached."""
    own = {record["network"]: record for record in trainings if _is_packaged(record)}
    lines = [
        f"- `{name}`, {part} error at most {goal:.2f} %: "
        f"{own[name][part]['error_percent']:.2f} %, "
        f"{'reached' if own[name][part]['error_percent'] <= goal else 'missed'}"
        for name, (data, part, goal) in GOALS.items()
        if name in own and own[name]["data"] == data
    ]
    cheapest = [_fewest_cpu_hours(name, trainings) for name in ORIGINAL]
    reached = "reached" if sum(cheapest) <= CORE_HOURS else "missed"
    lines.append(
        f"- three networks for an ensemble on a CPU, at most {CORE_HOURS} hours of one "
        f"core (3 of two): {sum(cheapest):.2f}, {reached}"
    )
    return "\n".join(["The goals for what is in the package:", "", *lines])


def _fewest_cpu_hours(network: str, trainings: list[dict]) -> float:
    return min(
        record["hours_of_all_threads"]
        for record in trainings
        if record["network"] == network and record["environment"]["device"] == "cpu"
    )


def _machine(records: dict) -> str:
    return (
        "Hours and images per second are for 1 thread of a CPU, computed from the CPU "
        "time of the training, since other programs ran on the same machine. Those of "
        f"`mnist_long` are hours that passed on {records['folds']['machine']}. "
    )


def _pilots(pilots: list[dict]) -> str:
    rows = [
        (
            f"`{record['network']}`",
            record["changes"],
            f"`{record['command']}`",
            record["epochs"],
            f"{record['train_images']:,}",
            error_text(record["validation"]),
        )
        for record in pilots
    ]
    header = (
        "network",
        "changes",
        "command",
        "epochs",
        "training images",
        "validation error",
    )
    return (
        "Pilot trainings on training images only. The weaker augmentation is that of the "
        "first row; with it, the rest of SmallResNet's recipe is `mnist_small_resnet`. "
        "All other pilots change `mnist`.\n\n"
        f"{table(header, 'lllrrr', rows)}\n"
    )


def _commands(trainings: list[dict]) -> str:
    lines = "\n".join(record["command"] for record in trainings)
    return (
        "MNIST's training images are read from `mnist.npz` in the folder `CNNZOO_DATA`, "
        "or downloaded with `--download`; `cifar10/train` has CIFAR-10's training "
        f"images, in one folder per class.\n\n```\n{lines}\n```\n"
    )


def _cards() -> str:
    rows = [
        (f"`{card['network']}`", *_cells(card))
        for name in sorted(path.stem for path in bundled.FOLDER.glob("*.json"))
        for card in [bundled.metadata(*name.rsplit("-", 1))]
    ]
    return table(
        (
            "network",
            "`weights=`",
            "parameters",
            "bytes",
            "predictions changed by float16",
            "data",
            "data licence",
            "SHA-256",
        ),
        "llrrrlll",
        rows,
    )


def _cells(card: dict) -> tuple:
    return (
        f'`"{card["data"]}"`',
        f"{model_info(card['network']).parameters:,}",
        f"{card['bytes']:,}",
        card["predictions_that_float16_changes"],
        card["data_source"],
        card["data_licence"],
        f"`{card['sha256'][:16]}…`",
    )
