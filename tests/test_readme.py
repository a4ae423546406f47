"""Every line of Python in the README runs, and prints what it promises."""

import re
import shutil
from pathlib import Path

import keras
import pytest
from picture_files import packed, picture

import cnnzoo

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {  # by heading
    section.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)
    for section in re.split(r"^#+ ", README, flags=re.M)
}


def run(heading: str, most: int, **replaced: str) -> None:
    """Runs the blocks of Python under a heading, one after the other.

    Args:
        heading: Beginning of the heading.
        most: Maximum number of lines of the first block that are not blank.
        replaced: New text of each old one, which must be there.
    """
    (blocks,) = (found for name, found in BLOCKS.items() if name.startswith(heading))
    assert len([line for line in blocks[0].splitlines() if line]) <= most
    text = "\n".join(blocks)
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    exec(compile(text, "README.md", "exec"), {})


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNZOO_DATA", raising=False)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> None:
    """Ten photographs of each of three classes, and two of none."""
    names = ("cat", "dog", "owl")
    places = [f"photos/{name}/{n}.jpg" for n in range(10) for name in names]
    for seed, place in enumerate([*places, "new/1.jpg", "new/2.jpg", "dog.jpg"]):
        (here / place).parent.mkdir(parents=True, exist_ok=True)
        (here / place).write_bytes(packed(picture(seed=seed), "JPEG"))


def test_every_block_is_run():
    headings = ["My resnet18.pth, googlenet-12.onnx or my_finetuned.keras"]
    headings += ["My photographs", "In Python", "Transfer learning"]
    assert [name for name, blocks in BLOCKS.items() if blocks] == headings


def test_in_python(here: Path, capsys):
    run("In Python", 15)
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[-2]) > 0.8
    assert lines[-1].startswith("3857973248 ['resnet18', 'resnet34', ")
    assert (here / "digits.keras").exists()


def test_transfer_learning(here: Path, capsys):
    run("Transfer learning", 12)
    printed = capsys.readouterr().out
    assert "a large data set has at least 20,000, and 200 in the median class" in printed
    share = re.search(r"^head: ([0-9.]+) % validation accuracy", printed, re.M)
    assert share is not None
    assert float(share[1]) > 70


def test_my_photographs(here: Path, photos, capsys):
    small = 'ResNet20(weights="cifar10")'  # tests have no network
    run("My photographs", 9, **{'ResNet50(weights="imagenet")': small})
    printed = capsys.readouterr().out
    assert "too few images to fine-tune: only the classifier is trained" in printed
    assert printed.count("Prediction(path='new/") == 2
    model = cnnzoo.load(here / "cats_and_dogs.keras")
    assert model.cnnzoo.class_names == ("cat", "dog")


def test_my_files(here: Path, photos, capsys):
    write_files(here)
    shutil.rmtree(here / "photos" / "owl")
    run("My resnet18.pth", 10)
    printed = capsys.readouterr().out
    assert "resnet18" in printed
    assert printed.count("Prediction(path='dog.jpg'") == 1
    assert 0 <= float(printed.splitlines()[-1]) <= 1


def write_files(folder: Path) -> None:
    """Three files with random weights: of torchvision, in the zoo's names, of Keras."""
    import onnx
    import onnx_graphs
    import torch
    from torch_weights import import_torchvision, random_state

    module = import_torchvision().models.resnet18()
    random_state(module)
    torch.save(module.state_dict(), folder / "resnet18.pth")
    graph = onnx_graphs.Graph().model(224, 1000, onnx_graphs.googlenet)
    onnx.save(graph, folder / "googlenet-12.onnx")
    size = keras.Input((32, 32, 3))
    base = keras.Sequential([size, keras.layers.Conv2D(4, 3, activation="relu")])
    tail = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    tuned = keras.Sequential([size, keras.layers.Rescaling(1 / 255), base, *tail])
    tuned.save(folder / "my_finetuned.keras")
