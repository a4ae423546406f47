"""The four cases against four policies: is the policy of the case the best?

    CNNZOO_DATA=folder python -m benchmarks.transfer_matrix runs/matrix --quick

Two source networks are trained (a small VGG, on five classes of CIFAR-10 and on five
digits). Each of four data sets was chosen for one case beforehand; on each, the policies
of all four cases, the measured one, a network of random weights and simpler methods are
carried out on the same images, from several seeds. Every result is saved at once, so that
a killed run can be resumed. `docs/transfer-results.md` shows the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import keras
import numpy as np

import cnnzoo
from benchmarks.machine import describe
from benchmarks.transfer_controls import WAYS, control
from benchmarks.transfer_data import TARGETS, Target
from benchmarks.transfer_page import store
from benchmarks.transfer_sources import SOURCES, source
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.inference import evaluate
from cnnzoo.system import files
from cnnzoo.transfer import Assessment, Plan
from cnnzoo.transfer.probes import mcnemar

BODY_EPOCHS = (10, 6)  # for whole networks; the second for --quick
SEEDS = 5
ASSESSED = 20  # seeds for which only the case is measured
MEASURED = ("measured", "3: frozen, earlier")  # policies that need an assessment


def policies(found: Assessment, *, quick: bool) -> dict[str, Plan]:
    """The policy of every case, the measured one, and random weights."""
    plans = {
        "1: frozen": transfer.plan(1),
        "2: whole, slowly": transfer.plan(2),
        "3: frozen, earlier": transfer.plan(3, cut=found.cut),
        "4: whole, fast": transfer.plan(4),
        "measured": transfer.plan(found, refine=True),
        "random weights": transfer.plan(4, init="random"),
    }
    for plan in plans.values():
        for phase in plan.phases:
            if phase.until is None:
                phase.epochs = BODY_EPOCHS[quick]
    return plans


@dataclass(frozen=True)
class Row:
    """One data set for one seed, and the folder of its results."""

    name: str
    target: Target
    seed: int
    folder: Path

    def cell(self, policy: str) -> Path:
        short = policy.partition(":")[0]
        return self.folder / f"case{self.target.case}-{self.seed}" / f"{short}.json"

    def assessment(self) -> Path:
        return self.folder / f"assessed-{self.target.case}-{self.seed}.json"

    def write(self, path: Path, came_to: dict) -> None:
        told = {"target": self.name, "case": self.target.case, "seed": self.seed}
        files.write_json(path, {**told, **came_to})
        print(path.read_text(), flush=True)


def judge(row: Row, model: keras.Model, *, quick: bool) -> None:
    """Carries out all policies and simpler methods; writes each result."""
    seed = row.seed
    data, judging = row.target.draw(seed, quick=quick)
    train, held_out = data.split(row.target.held_out, seed=seed)
    found = assessed(row, model)
    measuring = json.loads(row.assessment().read_bytes())["core_seconds"]
    plans = policies(found, quick=quick)
    for policy, plan in plans.items():
        if row.cell(policy).exists():
            continue
        # The same plan gives the same result.
        first = next(p for p, other in plans.items() if other.to_dict() == plan.to_dict())
        if first == policy:
            came_to = carried_out(model, train, held_out, judging, plan, seed)
        else:
            came_to = {**json.loads(row.cell(first).read_bytes()), "as": first}
        spent = came_to["fit_seconds"] + measuring * (policy in MEASURED)
        told = {**came_to, "policy": policy, "core_seconds": spent}
        row.write(row.cell(policy), told)
    for way in WAYS:
        if not row.cell(way).exists():
            begun = time.process_time()
            right = control(way, model, found, data, judging, seed)
            told = {"policy": way, **judged(right), "undone": []}
            spent = time.process_time() - begun
            row.write(row.cell(way), {**told, "core_seconds": spent})


def carried_out(
    model: keras.Model,
    train: Images,
    held_out: Images,
    judging: Images,
    plan: Plan,
    seed: int,
) -> dict:
    """The result of a plan."""
    begun = time.process_time()
    result = transfer.fit(model, train, held_out, plan, seed=seed)
    spent = time.process_time() - begun
    answers = evaluate(result.model, judging).probabilities.argmax(1)
    return {
        "fit_seconds": spent,
        **judged(answers == np.asarray(judging.labels)),
        "held_out": result.accuracy,
        "undone": [done.name for done in result.phases if not done.kept],
        "plan": str(plan),
    }


def judged(right: np.ndarray) -> dict:
    """The record of (n,) images: the share that is correct, and which, as bits."""
    return {"accuracy": float(right.mean()), "right": np.packbits(right).tobytes().hex()}


def compared(cells: Sequence[dict]) -> dict[str, dict[str, float]]:
    """McNemar's p-value against the policy of the row's case, by target and policy.

    For the first seed only, since all seeds have the same test images.
    """
    right = {
        (cell["target"], cell["policy"]): np.unpackbits(
            np.frombuffer(bytes.fromhex(cell["right"]), np.uint8)
        ).astype(bool)
        for cell in cells
        if cell["seed"] == 0
    }
    own = {
        cell["target"]: (cell["target"], cell["policy"])
        for cell in cells
        if cell["policy"].startswith(f"{cell['case']}:")
    }
    p_values: dict[str, dict[str, float]] = {target: {} for target in own}
    for (target, policy), answers in right.items():
        p_values[target][policy] = mcnemar(answers, right[own[target]])
    return p_values


def assessed(row: Row, model: keras.Model) -> Assessment:
    """The case of a data set as a user would measure it, also in a quick run."""
    data, _ = row.target.draw(row.seed, quick=False)
    learned, _ = data.split(row.target.held_out, seed=row.seed)
    begun = time.process_time()
    found = transfer.assess(model, learned, seed=row.seed)
    spent = time.process_time() - begun
    row.write(row.assessment(), {"measured": found.case, "core_seconds": spent})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="an hour on two cores")
    parser.add_argument("--source", choices=SOURCES, help="its rows alone, on one core")
    args = parser.parse_args()
    if args.source:
        rows(args.source, args.out, quick=args.quick)
        return
    again = [sys.executable, "-m", "benchmarks.transfer_matrix", *sys.argv[1:]]
    each = [subprocess.Popen([*again, "--source", name]) for name in SOURCES]
    if any([one.wait() for one in each]):
        raise SystemExit("some rows are missing; the same command goes on with them")
    store("matrix", collected(args.out, quick=args.quick))


def rows(served: str, folder: Path, *, quick: bool) -> None:
    """All rows of one source network; two such processes share two cores."""
    cnnzoo.configure(threads=1)
    model = source(served, folder, quick=quick)
    targets = {name: t for name, t in TARGETS.items() if t.source == served}
    for seed in range(ASSESSED):
        for name, target in targets.items():
            row = Row(name, target, seed, folder)
            if seed < SEEDS:
                judge(row, model, quick=quick)
            elif not row.assessment().exists():
                assessed(row, model)


def collected(folder: Path, *, quick: bool) -> dict:
    """All results of a run, as the page needs them."""

    def read(pattern: str) -> list[dict]:
        return [json.loads(path.read_bytes()) for path in sorted(folder.glob(pattern))]

    cells, assessments = read("case*-*/*.json"), read("assessed-*.json")
    sources = read("source-*/done.json")
    fitted = sum(cell.get("fit_seconds", 0) for cell in cells if "as" not in cell)
    simpler = sum(cell["core_seconds"] for cell in cells if cell["policy"] in WAYS)
    p_values = compared(cells)
    apart = sum(told["core_seconds"] for told in (*assessments, *sources))
    for cell in cells:
        del cell["right"]
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": describe(),
        "core_minutes": (fitted + simpler + apart) / 60,
        "sources": sources,
        "cells": cells,
        "p_values": p_values,
        "assessed": assessments,
    }


if __name__ == "__main__":
    main()
