"""Evaluates the trainings of `tools/levers.py` on the images of their folds.

    CNNZOO_DATA=folder python tools/out_of_fold.py runs/levers

It adds the results to `tools/trainings.json`, and the probabilities of the rows in `KEPT`
to `tools/folds`. The test split is not opened.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from levers import (
    FOLDS,
    PROBABILITIES_FILE,
    RESNET,
    ROWS,
    SMALL,
    VERY_SMALL,
    Row,
)
from make_weights import LIST, VALIDATION_IMAGES
from scipy.stats import binomtest

from cnnzoo.evaluation import error_interval
from cnnzoo.system import files

KEPT_PROBABILITIES = Path(__file__).with_name("folds")
BASE = {VERY_SMALL: "vsv18", SMALL: "vsv18", RESNET: "srn-mild18"}  # to compare with
KEPT = {"vsv18": "very_small_vgg-mnist", "vsv40": "very_small_vgg-mnist_long"}


def collect(folder: Path) -> dict:
    """The record of all trainings that have a history, for `tools/trainings.json`.

    A training that was cut off counts where `probabilities.npz` is there, from the best
    epoch so far.
    """
    import cnnzoo
    from cnnzoo.data.sources import split_folds

    source = cnnzoo.load_mnist("train")
    labels = np.asarray(source.labels)
    folds = split_folds(source, FOLDS, 0)
    tests = {k: rows for k, (_, rows) in enumerate(folds, start=1)}
    runs, wrong, environments = [], {}, []
    for name, row in ROWS.items():
        for fold in row.folds:
            run = folder / f"{name}-{fold}"
            if not (run / "history.json").exists():
                continue
            metadata = json.loads((run / "run.json").read_text())
            if metadata["environment"] not in environments:
                environments.append(metadata["environment"])
            record = _record(run, metadata, row, fold)
            if (run / PROBABILITIES_FILE).exists():
                found = _probabilities(run).argmax(1)
                _, validation = source.split(VALIDATION_IMAGES, row.seed)
                expected = labels[tests[fold]] if fold else validation.labels
                wrong[name, fold] = found != expected
                record["images"] = len(found)
                record["errors"] = int(wrong[name, fold].sum())
            runs.append({"row": name, **record})
    rows = [_compare(name, wrong) for name in ROWS]
    for name, file in KEPT.items():
        whole = np.zeros((len(labels), 10), np.float16)
        for k, test in tests.items():
            whole[test] = _probabilities(folder / f"{name}-{k}")
        KEPT_PROBABILITIES.mkdir(exist_ok=True)
        with files.replacing(KEPT_PROBABILITIES / f"{file}.npz") as temporary:
            np.savez_compressed(
                temporary,
                probabilities=whole,
                labels=labels.astype(np.uint8),
                class_names=np.array(source.class_names),
            )
    alike = [_of_all_folds(wrong, name) for name in KEPT]
    return {
        "rows": [row for row in rows if row],
        "runs": runs,
        "environments": environments,
        "wrong_in_all": int(np.all(alike, 0).sum()),
    }


def _of_all_folds(wrong: dict, name: str) -> np.ndarray:
    """Whether each image of the folds, one after another, is misclassified."""
    return np.concatenate([wrong[name, k] for k in range(1, FOLDS + 1)])


def _probabilities(run: Path) -> np.ndarray:
    with np.load(run / PROBABILITIES_FILE) as arrays:
        return arrays["probabilities"]


def _record(run: Path, metadata: dict, row: Row, fold: int) -> dict:
    """What the files of a training tell; `metadata` is its `run.json`."""
    history = json.loads((run / "history.json").read_text())
    losses = np.array(history["val_loss"], np.float64)
    best = int(np.nanargmin(losses))
    validation = metadata["data"]["validation"]["images"]
    return {
        "fold": fold,
        "seed": fold or row.seed,
        "epochs": len(losses),
        "planned_epochs": row.recipe.epochs,
        "best_epoch": best + 1,
        "train_images": metadata["data"]["train"]["images"],
        "validation_images": validation,
        "validation_errors": round((1 - history["val_accuracy"][best]) * validation),
    }


def _compare(name: str, wrong: dict) -> dict:
    """The errors of a row on its folds, and McNemar's test on the same images."""
    folds = [k for k in range(1, FOLDS + 1) if (name, k) in wrong]
    if not folds:
        return {}
    base = BASE[ROWS[name].network]
    ours, theirs = (
        np.concatenate([wrong[row, k] for k in folds]) for row in (name, base)
    )
    only_base, only_here = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    errors, images = int(ours.sum()), len(ours)
    record = {
        "row": name,
        "network": ROWS[name].network,
        "changes": ROWS[name].changes,
        "folds": folds,
        "errors": errors,
        "images": images,
        "error_percent": round(100 * errors / images, 4),
        "interval": [round(side, 3) for side in error_interval(errors, images)],
    }
    if name != base:
        discordant = only_base + only_here
        p = binomtest(only_here, discordant).pvalue if discordant else 1.0
        record["compared_with"] = ROWS[base].network + ", " + ROWS[base].changes
        record["wrong_here_only"] = only_here
        record["wrong_there_only"] = only_base
        record["p"] = round(float(p), 3)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    records = json.loads(LIST.read_text())
    folds = records.get("folds", {}) | collect(folder)
    files.write_json(LIST, {**records, "folds": folds})


if __name__ == "__main__":
    main()
