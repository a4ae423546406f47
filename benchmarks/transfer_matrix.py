"""The four cases against four policies: is the policy of the case the best?

    CNNZOO_DATA=folder python -m benchmarks.transfer_matrix runs/matrix --quick

A small VGG is trained twice as the source network, on five classes of CIFAR-10 and on
five digits. Each of four data sets was chosen for one case beforehand. On each, the
policies of all four cases, that of the measured case, a training from random weights and
simpler methods use the same images, for several seeds. Each result is saved immediately,
so that a killed run can be resumed. `docs/transfer-results.md` shows the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import keras
import numpy as np

import cnnzoo
from benchmarks.machine import describe
from benchmarks.transfer_controls import METHODS, control
from benchmarks.transfer_data import TARGETS, Target
from benchmarks.transfer_page import store
from benchmarks.transfer_sources import SOURCES, source
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.inference import evaluate
from cnnzoo.system import files
from cnnzoo.transfer import Assessment, Plan

FINE_TUNING_EPOCHS = (10, 6)  # full run, quick run
SEEDS = 5
ASSESSMENT_SEEDS = 20  # for the case alone
ASSESSED = ("measured", "3: frozen, earlier cut")  # policies that need an assessment


def policies(assessment: Assessment, *, quick: bool) -> dict[str, Plan]:
    """The plans of every case, of the measured case, and from random weights."""
    plans = {
        "1: frozen": transfer.plan(1),
        "2: fine-tuned, low rate": transfer.plan(2),
        "3: frozen, earlier cut": transfer.plan(3, cut=assessment.cut),
        "4: fine-tuned, high rate": transfer.plan(4),
        "measured": transfer.plan(assessment, refine=True),
        "from random weights": transfer.plan(4, init="random"),
    }
    for plan in plans.values():
        for phase in plan.phases:
            if phase.until is None:
                phase.epochs = FINE_TUNING_EPOCHS[quick]
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
        return self.folder / f"assessment-{self.target.case}-{self.seed}.json"

    def write(self, path: Path, result: dict) -> None:
        row = {"target": self.name, "case": self.target.case, "seed": self.seed}
        files.write_json(path, {**row, **result})
        print(path.read_text(), flush=True)


def run_row(row: Row, model: keras.Model, *, quick: bool) -> None:
    """Evaluates all policies and simpler methods; writes each result."""
    seed = row.seed
    data, test = row.target.draw(seed, quick=quick)
    train, validation = data.split(row.target.validation, seed=seed)
    assessment = assess(row, model)
    assessment_seconds = json.loads(row.assessment().read_bytes())["core_seconds"]
    plans = policies(assessment, quick=quick)
    for policy, plan in plans.items():
        if row.cell(policy).exists():
            continue
        # Equal plans give equal results, so each is evaluated once.
        first = next(p for p, other in plans.items() if other.to_dict() == plan.to_dict())
        if first == policy:
            result = fit_and_test(model, train, validation, test, plan, seed)
        else:
            result = {**json.loads(row.cell(first).read_bytes()), "same_as": first}
        seconds = result["fit_seconds"] + assessment_seconds * (policy in ASSESSED)
        result |= {"policy": policy, "core_seconds": seconds}
        row.write(row.cell(policy), result)
    for method in METHODS:
        if not row.cell(method).exists():
            start = time.process_time()
            correct = control(method, model, assessment, data, test, seed)
            result = {"policy": method, "accuracy": float(correct.mean()), "reverted": []}
            seconds = time.process_time() - start
            row.write(row.cell(method), {**result, "core_seconds": seconds})


def fit_and_test(
    model: keras.Model,
    train: Images,
    validation: Images,
    test: Images,
    plan: Plan,
    seed: int,
) -> dict:
    """The result of a plan."""
    start = time.process_time()
    result = transfer.fit(model, train, validation, plan, seed=seed)
    seconds = time.process_time() - start
    predictions = evaluate(result.model, test).probabilities.argmax(1)
    return {
        "fit_seconds": seconds,
        "accuracy": float(np.mean(predictions == np.asarray(test.labels))),
        "validation_accuracy": result.accuracy,
        "reverted": [phase.name for phase in result.phases if not phase.kept],
        "plan": str(plan),
    }


def assess(row: Row, model: keras.Model) -> Assessment:
    """The case of a data set, on the images of a full run also for a quick run."""
    data, _ = row.target.draw(row.seed, quick=False)
    train, _ = data.split(row.target.validation, seed=row.seed)
    start = time.process_time()
    assessment = transfer.assess(model, train, seed=row.seed)
    seconds = time.process_time() - start
    row.write(row.assessment(), {"measured": assessment.case, "core_seconds": seconds})
    return assessment


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="an hour on two cores")
    parser.add_argument(
        "--source", choices=SOURCES, help="run only its rows, on one core"
    )
    args = parser.parse_args()
    if args.source:
        rows(args.source, args.out, quick=args.quick)
        return
    command = [sys.executable, "-m", "benchmarks.transfer_matrix", *sys.argv[1:]]
    processes = [subprocess.Popen([*command, "--source", name]) for name in SOURCES]
    if any([process.wait() for process in processes]):
        raise SystemExit("some rows are missing; run the same command to resume")
    store("matrix", collect(args.out, quick=args.quick))


def rows(source_name: str, folder: Path, *, quick: bool) -> None:
    """All rows of one source network; two such processes share two cores."""
    cnnzoo.configure(threads=1)
    model = source(source_name, folder, quick=quick)
    targets = {name: t for name, t in TARGETS.items() if t.source == source_name}
    for seed in range(ASSESSMENT_SEEDS):
        for name, target in targets.items():
            row = Row(name, target, seed, folder)
            if seed < SEEDS:
                run_row(row, model, quick=quick)
            elif not row.assessment().exists():
                assess(row, model)


def collect(folder: Path, *, quick: bool) -> dict:
    """All results of a run, as the page needs them."""

    def read(pattern: str) -> list[dict]:
        return [json.loads(path.read_bytes()) for path in sorted(folder.glob(pattern))]

    cells, assessments = read("case*-*/*.json"), read("assessment-*.json")
    sources = read("source-*/result.json")
    fits = sum(cell.get("fit_seconds", 0) for cell in cells if "same_as" not in cell)
    controls = sum(cell["core_seconds"] for cell in cells if cell["policy"] in METHODS)
    other = sum(record["core_seconds"] for record in (*assessments, *sources))
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": describe(),
        "core_minutes": (fits + controls + other) / 60,
        "sources": sources,
        "cells": cells,
        "assessments": assessments,
    }


if __name__ == "__main__":
    main()
