"""The section of `docs/mnist.md` on out-of-fold errors, from `tools/trainings.json`."""

from pages import error_text, table

NO_GOAL = """### Why 0.13 % is no goal

An ensemble of simple networks is quoted with a test error of 0.13 %
(<https://arxiv.org/abs/2008.10400>). It was chosen by test images twice: the checkpoint
with the fewest test errors, and the best of 1,000 sets of three networks. 0.13 % is also
below the share of wrong labels: people found 15 among the 10,000 test images
(<https://arxiv.org/abs/2103.14749>), so with fewer errors a network predicts wrong ones.
Without a choice by test images, 20 networks of
<https://github.com/Matuzas77/MNIST-0.17> have errors of 0.19 to 0.31 % alone, and of 0.16
to 0.17 % together."""


def out_of_fold_section(folds: dict) -> str:
    """The out-of-fold errors of recipes, and whether the goals were reached."""
    rows = [
        (
            f"`{row['network']}`",
            row["changes"],
            ", ".join(map(str, row["folds"])),
            _epochs(row["row"], folds["runs"]),
            error_text(row),
            *_comparison(row),
        )
        for row in folds["rows"]
    ]
    header = (
        "network",
        "recipe",
        "folds",
        "epochs",
        "out-of-fold error",
        "wrong by the other recipe only",
        "wrong by this one only",
        "p",
    )
    return f"""## Errors on all 60,000 training images

Five networks are trained as by `cnnzoo kfold mnist --folds 5 --seed 0`, each without a
fifth of the training images, which it then predicts. The other recipe is `mnist`, or
`mnist_small_resnet` for SmallResNet, on the same images, and p is that of McNemar's test.
All trainings were in float32, on {folds["machine"]}.
Trainings that the end of this time cut off are evaluated at their best epoch so far; the
table has the number of their epochs. Every training, also those cut off before they could
predict, is in `tools/trainings.json`; `tools/levers.py` has all recipes.

{table(header, "lllrrrrr", rows)}

{chr(10).join(f"- {remark}" for remark in folds["remarks"])}

{NO_GOAL}

"""


def _epochs(name: str, runs: list[dict]) -> str:
    """The epochs of a row's trainings, such as 36 of 40."""
    own = [run for run in runs if run["row"] == name and run["fold"] and "errors" in run]
    trained, planned = own[0]["epochs"], own[0]["planned_epochs"]
    return str(planned) if trained == planned else f"{trained} of {planned}"


def _comparison(row: dict) -> tuple:
    if "p" not in row:
        return "", "", ""
    p = "below 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
    return row["wrong_there_only"], row["wrong_here_only"], p
