"""The stored results of the transfer benchmarks, and their page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from cnnzoo.system import files
from tools.pages import table

STORED = Path(__file__).with_name("transfer.json")
PAGE = Path(__file__).parent.parent / "docs" / "transfer-results.md"
MEASURED = "measured"
REGRET = 1.0  # goal: maximum mean loss of the measured policy, in points
MARGIN = 1.0  # points below the best that do not count

Cells = dict[tuple[str, str], list[dict]]  # by target and policy, in the order of seeds


def store(part: str, content: dict) -> None:
    """Replaces a part of the results, and writes the page."""
    stored = json.loads(STORED.read_bytes()) if STORED.exists() else {}
    stored[part] = content
    files.write_json(STORED, stored)
    files.write_text(PAGE, page(stored))


def page(stored: dict) -> str:
    """`docs/transfer-results.md`."""
    sections = {"matrix": _matrix, "speed": _speed}
    texts = [
        section(stored[part]) for part, section in sections.items() if part in stored
    ]
    return "\n".join(["# Results of transfer learning in the four cases\n", *texts])


def _matrix(results: dict) -> str:
    cells = by_place(results["cells"])
    cases = {cell["target"]: cell["case"] for cell in results["cells"]}
    targets = sorted(cases, key=cases.__getitem__)
    policies = list(dict.fromkeys(cell["policy"] for cell in results["cells"]))
    rows = [
        (
            f"{cases[target]}: {target}",
            *(_cell(cells, target, policy, cases) for policy in policies),
        )
        for target in targets
    ]
    verdicts = [_verdict(cells, target, cases[target], policies) for target in targets]
    reached = sum(verdict.startswith("yes") for verdict in verdicts)
    quick = " --quick" if results["quick"] else ""
    return f"""\
The policies of CS231n's four cases on four data sets. Each data set was chosen for one
case beforehand; the contrast of the gratings was chosen with other seeds, since clear
gratings are easy to classify at any cut of this network. The other columns are the plan
that `transfer.assess` chooses ("measured", with `refine=True`), two baselines without
trained features, ridge regressions on pixels and on the features of a network with random
weights, and the network trained from random weights. The source networks are VGGs of six
convolutions without batch normalisation, trained on five classes of CIFAR-10 (validation
accuracy {_percent(results, 0)}) and, for the fourth row, on five digits
({_percent(results, 1)}). All policies of a row and seed use the same training, validation
and test images.

Measured on {results["date"]} with
`CNNZOO_DATA=folder python -m benchmarks.transfer_matrix runs/matrix{quick}` on
{results["machine"]["cpu"]}, in {results["core_minutes"] / 2:.0f} minutes on two cores.
The goal for the quick form is at most 60 minutes. The assessments of this run were made
by leave-one-out, which repeated folds have replaced since.

## Test accuracy in per cent, and seconds on one core

Mean over {_seeds(results["cells"])} seeds, its 95 % interval by Student's t, and mean
seconds, including assessment and features. **Bold** is the policy of the row's case.
"Reverted" counts the seeds in which the second phase did not improve the validation
accuracy of the classifier trained before it, so that `transfer.fit` kept the latter.

{table(("data", *policies), "l" + "r" * len(policies), rows)}

Is the policy of the case at most {MARGIN:.0f} point below the best of the other three?
In {reached} of {len(targets)} rows; the goal is 3. Differences are paired by seed, with
their standard error.

{chr(10).join(f"- case {cases[t]}: {v}" for t, v in zip(targets, verdicts, strict=True))}

## The measured case

{_assessments(results["assessments"])}

{_regret(cells, targets, policies)}
"""


def _percent(results: dict, source: int) -> str:
    return f"{100 * results['sources'][source]['accuracy']:.1f} %"


def by_place(cells: Sequence[dict]) -> Cells:
    places: Cells = {}
    for cell in sorted(cells, key=lambda cell: cell["seed"]):
        places.setdefault((cell["target"], cell["policy"]), []).append(cell)
    return places


def spread(cells: Sequence[dict]) -> tuple[float, float]:
    """Mean and standard error, in points; NaN as the error of one seed."""
    values = 100 * np.array([cell["accuracy"] for cell in cells])
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def paired(cells: Sequence[dict], others: Sequence[dict]) -> tuple[float, float]:
    """Mean and standard error of the gain over others, seed by seed, in points."""
    pairs = zip(cells, others, strict=True)
    return spread([{"accuracy": a["accuracy"] - b["accuracy"]} for a, b in pairs])


def _cell(cells: Cells, target: str, policy: str, cases: dict[str, int]) -> str:
    own = cells[target, policy]
    mean, error = spread(own)
    half = t.ppf(0.975, len(own) - 1) * error
    seconds = np.mean([cell["core_seconds"] for cell in own])
    text = f"{mean:.1f} ± {half:.1f}"
    if policy.startswith(f"{cases[target]}:"):
        text = f"**{text}**"
    reverted = sum(bool(cell["reverted"]) for cell in own)
    return f"{text}, {seconds:.0f} s" + (f", {reverted} reverted" if reverted else "")


def _verdict(cells: Cells, target: str, case: int, policies: Sequence[str]) -> str:
    """Whether a row's own policy is at most the margin below the best of the others."""
    four = [policy for policy in policies if policy[0].isdigit()]
    own = next(policy for policy in four if policy.startswith(f"{case}:"))
    others = [policy for policy in four if policy != own]
    rival = max(others, key=lambda other: spread(cells[target, other])[0])
    gain, error = paired(cells[target, own], cells[target, rival])
    verdict = "yes" if gain >= -MARGIN else "no"
    return f"{verdict}: `{own}` against `{rival}` {gain:+.1f} ± {error:.1f} points"


def _assessments(assessments: Sequence[dict]) -> str:
    lines = []
    for case in sorted({record["case"] for record in assessments}):
        own = [record for record in assessments if record["case"] == case]
        correct = sum(record["measured"] == case for record in own)
        others = sorted({record["measured"] for record in own} - {case})
        wrong = f"; otherwise case {', '.join(map(str, others))}" if others else ""
        lines.append(
            f"- case {case}, {own[0]['target']}: measured correctly for {correct} of "
            f"{len(own)} seeds{wrong}"
        )
    share = np.mean([record["case"] == record["measured"] for record in assessments])
    first = (
        f"`transfer.assess` measures the intended case in {100 * share:.0f} % of "
        f"{len(assessments)} assessments; the goal is 90 %."
    )
    return "\n".join([first, "", *lines])


def _regret(cells: Cells, targets: Sequence[str], policies: Sequence[str]) -> str:
    """The mean loss of the measured policy against the best policy of each row."""
    losses = []
    for target in targets:
        best = max(spread(cells[target, policy])[0] for policy in policies)
        losses.append(best - spread(cells[target, MEASURED])[0])
    points = ", ".join(f"{loss:.1f}" for loss in losses)
    return (
        f"Compared with the best column of each row, the measured policy loses {points}\n"
        f"points in the four rows, {np.mean(losses):.1f} on average; the goal is at most "
        f"{REGRET:.0f}."
    )


def _seeds(cells: Sequence[dict]) -> int:
    return len({cell["seed"] for cell in cells})


def _speed(results: dict) -> str:
    first, machine = results["sides"][0], results["machine"]
    return f"""## Speed with VGG16

The data set has {results["train_images"]} training images of ants and bees, some of them
mirrored copies, and {results["validation_images"]} validation images, which only choose
the best epoch of `transfer.fit`. The naive method trains for {results["epochs"]} epochs,
`transfer.fit` for at most 100. The trunk is frozen and has random weights.

Measured on {results["date"]} with
`CNNZOO_DATA=folder python -m benchmarks.transfer_speed` on {machine["cpu"]},
{machine["cores"]} cores, once per method, from images in memory. A pass is one forward
pass of stock Keras over the images. Goals at {first["side"]} pixels: `transfer.fit` is
at least 20 times as fast as the naive method and takes at most 1.3 passes;
`transfer.assess` takes at most 1.5 passes for each of its two networks plus 5 s, which is
{first["assess_goal"]:.0f} s here.

{chr(10).join(map(_side, results["sides"]))}"""


def _side(results: dict) -> str:
    """The times of the methods at one size."""
    slowest = results["methods"][0]["seconds"]
    rows = [
        (
            method["name"],
            f"{method['seconds']:.1f}",
            f"{slowest / method['seconds']:.1f}",
            _accuracy(method),
        )
        for method in results["methods"]
    ]
    header = ("method", "seconds", "speed-up over naive", "validation accuracy")
    return f"""### At {results["side"]} pixels

{table(header, "lrrr", rows)}

- `transfer.fit` is {results["naive_to_fit"]:.1f} times as fast as the naive method, and
  takes {results["fit_to_forward"]:.2f} passes.
- `transfer.assess` takes {results["assess_to_forward"]:.2f} passes over the training
  images.
"""


def _accuracy(method: dict) -> str:
    if "accuracy" not in method:
        return ""
    low, high = (100 * method.get(side, 0) for side in ("low", "high"))
    return f"{100 * method['accuracy']:.0f} %, {low:.0f} to {high:.0f}"
