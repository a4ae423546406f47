"""Transfer learning for a folder of photographs, step by step.

The same steps as in `cnnzoo transfer`, for you to change: measure the case, make a plan,
and train by it, with the features of the frozen part computed once. Two plans are
compared on test photographs, and the better network predicts the class of a file.

    python examples/transfer_photos.py photos/ source/model.keras --out demo/photos

`photos/` has a folder per class. The source network is a .keras file that `cnnzoo train`
or `cnnzoo.save` wrote; the new network has the same image size.
"""

import argparse
from pathlib import Path

import cnnzoo
from cnnzoo import transfer
from cnnzoo.cli.output import print_left_out
from cnnzoo.data.folders.folder import Folder, scan

SEED = 0
VALIDATION, TEST = 0.2, 0.25  # shares of the images


def load_photographs(root: str) -> tuple[Folder, Folder, Folder]:
    """Training, validation and test images; prints which files are not used."""
    images = scan(root, depth="pixels", checksums=True, on_bad="skip")
    print_left_out(images)
    rest, test = images.split(TEST, seed=SEED)
    train, validation = rest.split(VALIDATION, seed=SEED)
    return train, validation, test


def make_plans(assessment: transfer.Assessment) -> dict[str, transfer.Plan]:
    """The plan of the assessment, and a custom plan that freezes the first stage only."""
    custom = transfer.plan(freeze=assessment.cuts[0].name)
    custom.phases[-1].epochs = 20
    return {"measured": transfer.plan(assessment, refine=True), "custom": custom}


def main(photos: str, source: str, out: Path) -> transfer.Race:
    """Runs all steps; returns the comparison of the plans."""
    train, validation, test = load_photographs(photos)
    model = cnnzoo.load(source)
    assessment = transfer.assess(model, train, seed=SEED)
    print(assessment.explain())
    plans = make_plans(assessment)
    for name, plan in plans.items():
        print(f"{name}: {plan}")
    race = transfer.race(
        plans, model, train, validation, test, folder=out / "work", seed=SEED
    )
    print(race)
    best = race.best.result.model
    print(cnnzoo.save(best, out / "model.keras"))
    (prediction,) = cnnzoo.predict(best, test.paths[:1])
    print(prediction)
    return race


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", help="folder with a folder per class")
    parser.add_argument("source", help=".keras file of the source network")
    parser.add_argument("--out", type=Path, default=Path("demo/photos"))
    args = parser.parse_args()
    main(args.photos, args.source, args.out)
