"""Names of files and folders that a terminal or a page would obey are shown as text."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnzoo.cli.main import main
from cnnzoo.system.text import printable

EVIL = ("\x1b]0;owned\x07\x1b[31mred", "<script>alert(1)<", "$x$")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in EVIL:
        (tmp_path / "p" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "p" / name / f"{number}.png")
    (tmp_path / "p" / EVIL[1] / "notes.txt").write_text("x")
    return tmp_path / "p"


def test_control_characters_are_escaped(photos: Path, capsys):
    out, one = str(photos.with_name("run")), str(photos / EVIL[0] / "0.png")
    model = [
        "--model",
        "lenet_gap",
        "--size",
        "28",
        "--validation",
        "0.25",
        "--epochs",
        "1",
    ]
    assert main(["train", str(photos), *model, "--out", out]) == 0
    assert main(["evaluate", str(photos), "--model", out]) == 0
    assert main(["predict", one, "--model", out]) == 0
    assert main(["check", str(photos)]) == 0
    assert main(["predict", one + "x", "--model", out]) == 1
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "9 pictures are few for a network that begins untrained" in shown.err
    assert shown.out.count(r"\x1b]0;owned\x07\x1b[31mred") >= 3
    errors = json.loads(Path(out, "evaluation.json").read_text())["misclassified"]
    assert errors
    known = {"row", "image", "label", "label_probability", "predicted", "probability"}
    assert known == errors[0].keys()
    assert {error["label"] for error in errors} <= set(EVIL)
    shares = [error["probability"] for error in errors]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u72ac\t\n", "caf\u00e9 \u72ac\t\n"),
        ("a\x1b[2Jb\r", r"a\x1b[2Jb\r"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        (os.fsdecode(b"\xff.png"), r"\udcff.png"),
    ],
)
def test_printable(text: str, shown: str):
    assert printable(text) == shown
