"""A folder of photographs and a trained network become a classifier, step by step.

The steps of `cnnzoo transfer`, which can be changed here: the case is measured, a plan is
made, the frozen part is computed once. Then two plans are compared on test photographs,
and the better network predicts the class of a file.

    python examples/transfer_photos.py photos/ known/model.keras --out demo/photos

`photos/` has a folder per class. The source network is a .keras file, such as `cnnzoo
train` writes; the new network has the same image size.
"""

import argparse
from pathlib import Path

import cnnzoo
from cnnzoo import transfer
from cnnzoo.cli.output import tell_left_out
from cnnzoo.data.folders.folder import Folder, scan

SEED = 0
HELD_OUT, JUDGING = 0.2, 0.25


def photographs(root: str) -> tuple[Folder, Folder, Folder]:
    """Training, validation and test images; prints which files are not used."""
    every = scan(root, depth="pixels", checksums=True, on_bad="skip")
    tell_left_out(every)
    rest, judging = every.split(JUDGING, seed=SEED)
    learned, held_out = rest.split(HELD_OUT, seed=SEED)
    return learned, held_out, judging


def plans(found: transfer.Assessment) -> dict[str, transfer.Plan]:
    """The plan of the assessment, and one by hand that freezes the first stage only."""
    by_hand = transfer.plan(freeze=found.table[0].cut.name)
    by_hand.phases[-1].epochs = 20
    return {"measured": transfer.plan(found, refine=True), "by hand": by_hand}


def main(photos: str, source: str, out: Path) -> transfer.Race:
    """Carries out all steps; returns the comparison of the plans."""
    learned, held_out, judging = photographs(photos)
    model = cnnzoo.load(source)
    found = transfer.assess(model, learned, seed=SEED)
    print(found.explain())
    racing = plans(found)
    for name, plan in racing.items():
        print(f"{name}: {plan}")
    race = transfer.race(
        racing, model, learned, held_out, judging, folder=out / "work", seed=SEED
    )
    print(race)
    best = race.best.result.model
    print(cnnzoo.save(best, out / "model.keras"))
    (answer,) = cnnzoo.predict(best, judging.paths[:1])
    print(answer)
    return race


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", help="a folder of class folders")
    parser.add_argument("source", help="a .keras file to begin with")
    parser.add_argument("--out", type=Path, default=Path("demo/photos"))
    args = parser.parse_args()
    main(args.photos, args.source, args.out)
