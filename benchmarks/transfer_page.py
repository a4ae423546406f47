"""The results of the transfer benchmarks in one file, and the page made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from cnnzoo.system import files
from cnnzoo.transfer.probes import holm

STORED = Path(__file__).with_name("transfer.json")
PAGE = Path(__file__).parent.parent / "docs" / "transfer-results.md"
MEASURED = "measured"
REGRET = 1.0  # goal: maximum mean loss of the measured policy, in points

Cells = dict[tuple[str, str], list[dict]]  # by target and policy, in the order of seeds


def store(part: str, content: dict) -> None:
    """Replaces a part of the results, and writes the page."""
    known = json.loads(STORED.read_bytes()) if STORED.exists() else {}
    known[part] = content
    files.write_json(STORED, known)
    files.write_text(PAGE, page(known))


def page(stored: dict) -> str:
    """`docs/transfer-results.md`."""
    kinds = {"matrix": _matrix, "speed": _speed}
    parts = [kind(stored[part]) for part, kind in kinds.items() if part in stored]
    return "\n".join(["# Transfer learning: what the four cases came to\n", *parts])


def _matrix(told: dict) -> str:
    cells = by_place(told["cells"])
    cases = {cell["target"]: cell["case"] for cell in told["cells"]}
    targets = sorted(cases, key=cases.__getitem__)
    policies = list(dict.fromkeys(cell["policy"] for cell in told["cells"]))
    table = [
        _line(["data", *policies]),
        _line(["---", *["---:"] * len(policies)]),
        *(
            _line(
                [
                    f"{cases[target]}: {target}",
                    *(_cell(cells, target, policy, cases) for policy in policies),
                ]
            )
            for target in targets
        ),
    ]
    verdicts = _verdicts(cells, cases, targets, policies, told["p_values"])
    right = [verdict for verdict in verdicts if verdict.startswith("yes")]
    quick = " --quick" if told["quick"] else ""
    return f"""\
The four policies of CS231n's rule on four data sets, each of them chosen for one case
beforehand. How faint the gratings are was settled on other seeds: clear ones are told
apart behind every cut of this network, so that no cut matters. Beside the four stand
what `transfer.assess` chooses ("measured", with `refine=True`), a network of random
weights that learns, and two ways that learn no features: ridge regressions on pixels and
on a network of random weights. The sources are a VGG of six convolutions, without batch
normalisation, on five classes of CIFAR-10 ({_percent(told, 0)} right on images held out)
and, for the fourth row, on five digits ({_percent(told, 1)}).
All policies of a row and seed learn from the same images and are judged by the same
others.

Measured on {told["date"]} by
`CNNZOO_DATA=folder python -m benchmarks.transfer_matrix runs/matrix{quick}` on
{told["machine"]["cpu"]}: {told["core_minutes"] / 2:.0f} minutes of two cores, and the
quick form is to take at most 60.

## Accuracy in per cent, and seconds of one core

The mean over {_seeds(told["cells"])} seeds, its 95 % interval by Student's t, and the
mean seconds, assessment and features included. **Bold** is the policy of the row's case.
"Undone" counts the seeds of which a second phase was no better than the head before it on
what was held out, so that `transfer.fit` has kept the head.

{chr(10).join(table)}

Is the policy of the case the best of the four, or within one standard error of the best?
{len(right)} of {len(targets)} rows; the goal is 3. McNemar's test is paired, on the
images that judge the first seed, and corrected for {len(targets)} rows by Holm's way.

{chr(10).join(f"- case {cases[t]}: {v}" for t, v in zip(targets, verdicts, strict=True))}

## The measured case

{_assessed(told["assessed"])}

{_regret(cells, targets, policies)}
"""


def _percent(told: dict, source: int) -> str:
    return f"{100 * told['sources'][source]['accuracy']:.1f} %"


def _line(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"


def by_place(cells: Sequence[dict]) -> Cells:
    found: Cells = {}
    for cell in sorted(cells, key=lambda cell: cell["seed"]):
        found.setdefault((cell["target"], cell["policy"]), []).append(cell)
    return found


def spread(cells: Sequence[dict]) -> tuple[float, float]:
    """Mean and standard error, in points; NaN as the error of one seed."""
    values = 100 * np.array([cell["accuracy"] for cell in cells])
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def _cell(cells: Cells, target: str, policy: str, cases: dict[str, int]) -> str:
    own = cells[target, policy]
    mean, error = spread(own)
    half = t.ppf(0.975, len(own) - 1) * error
    seconds = np.mean([cell["core_seconds"] for cell in own])
    text = f"{mean:.1f} ± {half:.1f}"
    if policy.startswith(f"{cases[target]}:"):
        text = f"**{text}**"
    undone = sum(bool(cell["undone"]) for cell in own)
    return f"{text}, {seconds:.0f} s" + (f", {undone} undone" if undone else "")


def _verdicts(
    cells: Cells,
    cases: dict[str, int],
    targets: Sequence[str],
    policies: Sequence[str],
    p_values: dict[str, dict[str, float]],
) -> list[str]:
    """Whether each row's own policy is the best of the four."""
    four = [policy for policy in policies if policy[0].isdigit()]
    pairs = []
    for target in targets:
        own = next(policy for policy in four if policy.startswith(f"{cases[target]}:"))
        others = [policy for policy in four if policy != own]
        rival = max(others, key=lambda other: spread(cells[target, other])[0])
        pairs.append((target, own, rival))
    corrected = holm([p_values[target][rival] for target, _, rival in pairs])
    return [
        f"{_verdict(cells, *pair)}; McNemar's p between the two is {p_value:.2g}"
        for pair, p_value in zip(pairs, corrected, strict=True)
    ]


def _verdict(cells: Cells, target: str, own: str, rival: str) -> str:
    mean, _ = spread(cells[target, own])
    best, error = spread(cells[target, rival])
    if mean >= best:
        return f"yes, `{own}` is {mean - best:.1f} points better than `{rival}`"
    answer = "yes, nearly" if best - mean <= error else "no"
    return (
        f"{answer}: `{rival}` is {best - mean:.1f} points better than `{own}`; "
        f"a standard error is {error:.1f}"
    )


def _assessed(assessed: Sequence[dict]) -> str:
    lines = []
    for case in sorted({told["case"] for told in assessed}):
        own = [told for told in assessed if told["case"] == case]
        right = sum(told["measured"] == case for told in own)
        others = sorted({told["measured"] for told in own} - {case})
        wrong = (
            f"; the others were called {', '.join(map(str, others))}" if others else ""
        )
        lines.append(
            f"- case {case}, {own[0]['target']}: measured as such from {right} of "
            f"{len(own)} seeds{wrong}"
        )
    share = np.mean([told["case"] == told["measured"] for told in assessed])
    head = (
        f"`transfer.assess` finds the case in {100 * share:.0f} % of {len(assessed)} "
        "tries; the goal is 90 %."
    )
    return "\n".join([head, "", *lines])


def _regret(cells: Cells, targets: Sequence[str], policies: Sequence[str]) -> str:
    """The mean loss of the measured policy against the best policy of each row."""
    lost = []
    for target in targets:
        best = max(spread(cells[target, policy])[0] for policy in policies)
        lost.append(best - spread(cells[target, MEASURED])[0])
    told = ", ".join(f"{points:.1f}" for points in lost)
    return (
        f"Against the best column of each row, random weights among them, the measured\n"
        f"policy loses {told} points in the four rows, {np.mean(lost):.1f} on the mean; "
        f"the goal is at most {REGRET:.0f}."
    )


def _seeds(cells: Sequence[dict]) -> int:
    return len({cell["seed"] for cell in cells})


def _speed(told: dict) -> str:
    first = told["sides"][0]
    return f"""## Speed: VGG16

{told["learned"]} photographs of ants and bees to learn from, some of them mirrored, and
{told["held_out"]} held out, which choose the epoch of `transfer.fit` and nothing else.
The naive fit has {told["epochs"]} epochs, `transfer.fit` at most 100. The trunk is frozen
and its weights are random, as none that are trained are at hand here.

Measured on {told["date"]} by
`CNNZOO_DATA=folder python -m benchmarks.transfer_speed` on {told["machine"]["cpu"]},
{told["machine"]["cores"]} cores; every way once, from images in memory. A pass is one of
stock Keras over the images. The goals at {first["side"]} pixels: `transfer.fit` at least
20 times as fast as the naive fit and at most 1.3 passes, `transfer.assess` at most 1.5
passes for each of its two networks and 5 s, {first["assess_goal"]:.0f} s here.

{chr(10).join(map(_side, told["sides"]))}"""


def _side(told: dict) -> str:
    """The times of the methods at one size."""
    slowest = told["arms"][0]["seconds"]
    rows = [
        _line(["way", "seconds", "the naive fit takes", "right of what is held out"]),
        _line(["---", "---:", "---:", "---:"]),
        *(_line([*_arm(arm, slowest)]) for arm in told["arms"]),
    ]
    return f"""### At {told["side"]} pixels

{chr(10).join(rows)}

- `transfer.fit` is {told["naive_to_fit"]:.1f} times as fast as the naive fit, and takes
  {told["fit_to_forward"]:.2f} passes.
- `transfer.assess` takes {told["assess_to_forward"]:.2f} passes over the images to learn
  from.
"""


def _arm(arm: dict, slowest: float) -> Iterator[str]:
    yield arm["name"]
    yield f"{arm['seconds']:.1f}"
    yield f"{slowest / arm['seconds']:.1f} times that"
    low, high = 100 * arm.get("low", 0), 100 * arm.get("high", 0)
    judged = "accuracy" in arm
    yield f"{100 * arm['accuracy']:.0f} %, {low:.0f} to {high:.0f}" if judged else ""
