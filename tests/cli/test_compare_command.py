"""`cnnzoo compare`: from images and names of networks to a table and a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from transferring import TRAIN, VALIDATION

import cnnzoo
from cnnzoo.cli.main import main


@pytest.mark.filterwarnings("always:.*nobody trained")
def test_compare(source, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, z = np.array(TRAIN.labels), np.array(VALIDATION.labels)
    np.savez("d.npz", x_train=TRAIN.images, y_train=y, x_test=VALIDATION.images, y_test=z)
    cnnzoo.save(source, "source.keras")
    for name in ("a", "b"):
        cnnzoo.save_weights(cnnzoo.build("lenet5"), f"{name}.safetensors")
    models = ["source.keras", "lenet5=a.safetensors", "lenet5=b.safetensors"]
    args = ["compare", "d.npz", "--models", *models, "--size", "16", "--images", "40"]
    assert main([*args, "--out", "out"]) == 0
    shown = capsys.readouterr()
    assert "lenet5, a.safetensors: features of 40 of 40 images" in shown.err
    assert "a.safetensors has weights that nobody trained, since all bias" in shown.err
    record = json.loads(Path("out/comparison.json").read_text())
    names = [row["name"] for row in record["networks"]]
    labels = ["lenet5, a.safetensors", "lenet5, b.safetensors", "source.keras"]
    assert sorted(names) == labels
    head, *rows = shown.out.splitlines()[:4]
    assert head.split()[:2] == ["network", "accuracy"]
    for name, row, line in zip(names, record["networks"], rows, strict=True):
        assert line.startswith(f"{name} ")
        assert f" {100 * row['accuracy']:.1f} ± {100 * row['error']:.1f} % " in line
        assert row["sides"] == [16, 16]
    assert "weights of source.keras: source.keras, SHA-256 " in shown.out
    assert shown.out.endswith("out/comparison.json\nout/comparison.png\n")
    assert Path("out/comparison.png").read_bytes().startswith(b"\x89PNG")
    args = ["compare", "d.npz", "--models", "source.keras", "--images", "40"]
    assert main([*args, "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["networks"]
    (before,) = (row for row in record["networks"] if row["name"] == "source.keras")
    assert again["accuracy"] == before["accuracy"]
