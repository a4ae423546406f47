"""`cnnzoo transfer`: from a folder of photographs to a network and a report."""

import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transferring import CLASSES, SIDE, gratings

import cnnzoo
from cnnzoo.cli.main import main


def photographs(folder: Path) -> Path:
    every = gratings(80, 5)
    names = np.array(CLASSES)[every.labels]
    for number, (pixels, name) in enumerate(zip(every.images, names, strict=True)):
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    (folder / "down" / "notes.txt").write_text("no picture")
    return folder


def test_transfer(source, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plans"], "HEAD_EPOCHS", 10)
    photos = photographs(tmp_path / "photos")
    cnnzoo.save(source, tmp_path / "source.keras")
    out = tmp_path / "out"
    args = ["transfer", str(photos), "--model", str(tmp_path / "source.keras")]
    assert main([*args, "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert "64 training images, 16 validation images, 4 classes" in output.out
    measured = json.loads((out / "assessment.json").read_text())
    assert f"\ncase {measured['case']}, " in output.out
    assert ".txt 1" in output.err
    [line] = re.findall(
        r"^validation: .*expected calibration error 0.*", output.out, re.M
    )
    for name in ("model.keras", "report.html", "assessment.json", "class_names.json"):
        assert (out / name).is_file()
    assert json.loads((out / "class_names.json").read_text()) == sorted(CLASSES)
    page = (out / "report.html").read_text()
    for heading in ("The case", "The plan", "The phases", "The most confident errors"):
        assert heading in page
    assert line.removeprefix("validation: ") in page
    assert page.count("data:image/png;base64,") == 6
    assert ".txt 1" in page
    black = tmp_path / "black.png"
    Image.new("L", (SIDE, SIDE), 0).save(black)
    one = next(photos.rglob("*.png"))
    assert main(["predict", str(one), str(black), "--model", str(out), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert predictions[1]["novel"] is True
    assert main(["predict", str(black), "--model", str(out)]) == 0
    assert "(probably none of these)" in capsys.readouterr().out
    assert main([*args, "--out", str(out), "--case", "4"]) == 2
    assert "holds another transfer" in capsys.readouterr().err
    assert main(["transfer", str(photos), "--model", "vgg16", "--out", str(out)]) == 2
    assert "--weights is missing for vgg16" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["1", "all-cuts"])
def test_transfer_with_a_weight_file(case, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnzoo.transfer.plans"], "HEAD_EPOCHS", 1)
    photos, weights = photographs(tmp_path / "photos"), tmp_path / "lenet.safetensors"
    cnnzoo.save_weights(cnnzoo.build("lenet5"), weights)
    args = ["transfer", str(photos), "--model", "lenet5", "--case", case]
    out = ["--size", "16", "--fit", "crop", "--out", str(tmp_path / "out")]
    assert main([*args, "--weights", str(weights), *out]) == 0
    assert "features of 64 of 64 images" in capsys.readouterr().err
    model = cnnzoo.load(tmp_path / "out" / "model.keras")
    assert model.output_shape == (None, 4)
    assert model.cnnzoo.geometry == cnnzoo.Geometry("crop")
    assert case == "1" or isinstance(model.cnnzoo.options["cut"], tuple)
    assert main([*args, "--weights", "imagenet", *out]) == 2
    assert "imagenet" in capsys.readouterr().err


@pytest.mark.proof
def test_transfer_with_folds(source, tmp_path: Path, capsys):
    photos = photographs(tmp_path / "photos")
    cnnzoo.save(source, tmp_path / "source.keras")
    args = ["transfer", str(photos), "--model", str(tmp_path / "source.keras")]
    args += ["--out", str(tmp_path / "out"), "--folds", "2"]
    assert main(args) == 0
    output = capsys.readouterr().out
    assert "80 training images, 4 classes" in output
    assert "2 folds, none seen before: accuracy" in output
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Cross-validation" in report
    assert "trained on all images, with the settings that the folds chose" in report
    assert main([*args, "--allow-copies"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


@pytest.mark.proof
def test_photographs_of_ants_and_bees(data_folder: Path, tmp_path: Path, capsys):
    """With the package's own weights; one of the files is a placeholder."""
    with zipfile.ZipFile(data_folder / "hymenoptera_train.zip") as archive:
        archive.extractall(tmp_path / "photos")
    options = ["--model", "resnet20", "--weights", "cifar10", "--size", "64", "--refine"]
    out = tmp_path / "out"
    args = ["transfer", str(tmp_path / "photos"), *options]
    assert main([*args, "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert "rare formats: 'ants/imageNotFound.gif'" in output.err
    assert "196 training images, 49 validation images, 2 classes" in output.out
    assert "too few images to fine-tune" in output.out
    assert "ants/imageNotFound.gif" in (out / "report.html").read_text()
    assert json.loads((out / "class_names.json").read_text()) == ["ants", "bees"]
