"""Small runs of the examples, and the code in docs/extending.md."""

import importlib.util
import json
import math
import re
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from PIL import Image

import cnnzoo
from cnnzoo import graph
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import Split, load_embedded
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.train import Recipe

ROOT = Path(__file__).resolve().parents[2]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def example(name: str) -> ModuleType:
    """examples/NAME.py as a module of its own."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_digits(split: Split) -> Images:
    """The first 1,000, enough to distinguish a trained network from chance."""
    return load_embedded(split).take(np.arange(1000))


def assert_pictures(folder: Path, *names: str) -> None:
    """Each is a PNG that decodes whole and is not of one colour."""
    for name in names:
        with Image.open(folder / name) as image:
            assert image.format == "PNG"
            assert np.ptp(np.asarray(image.convert("L"))) > 100


# build_and_plot


def test_build_and_plot_counts(tmp_path, capsys):
    names = ("lenet5", "resnet18", "vgg16", "tiny_vgg", "own_residual")
    models = example("build_and_plot").main(tmp_path, names)
    counts = {name: graph.parameters(model)[0] for name, model in models.items()}
    block = 2 * (9 * 32 * 32 + 32 + 4 * 32)  # two convolutions of 32 filters with BN
    assert counts == {
        "lenet5": 61_706,
        "resnet18": 11_699_112 - 990 * 513,  # 10 classes of 512 features, not 1,000
        "vgg16": 138_357_544,
        "tiny_vgg": 448 + 4_640 + 18_496 + 36_928 + 650,
        "own_residual": (9 * 3 * 32 + 32 + 4 * 32) + 2 * block + 33 * 10,
    }
    kernels = 32**2 * (9 * 3 * 32 + 2 * 9 * 32 * 32) + 16**2 * 2 * 9 * 32 * 32
    assert graph.macs(models["own_residual"]) == kernels + 320

    assert_pictures(tmp_path, *(f"{name}.png" for name in names))
    printed = capsys.readouterr().out
    for name, count in counts.items():
        (row,) = (line for line in printed.splitlines() if f"│ {name} " in line)
        assert f" {count:,} " in row
    # 3x3 convolutions: 1 + 2, then 2 a convolution, with the pools between: 4 x 1 + 1
    (row,) = (line for line in printed.splitlines() if "│ own_residual " in line)
    assert " 18x18 " in row
    assert " 13 of 23 " in row
    (row,) = (line for line in printed.splitlines() if "│ vgg16 " in line)
    assert " 212x212 " in row
    cuts = re.search(r"cut points of own_residual: (.*)", printed)
    assert cuts is not None
    assert "stage1_conv1" not in cuts[1]
    assert "stage1_add" in cuts[1]


# shapes


@pytest.fixture(scope="module")
def shapes() -> ModuleType:
    return example("shapes")


@pytest.mark.parametrize(
    ("kind", "fill"), [("circle", math.pi / 4), ("rectangle", 1.0), ("triangle", 0.5)]
)
def test_share_of_its_box_that_a_shape_fills(shapes, monkeypatch, kind, fill):
    monkeypatch.setattr(shapes, "NOISE", 0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        pixels = np.asarray(shapes.draw(kind, rng), float)
        assert pixels.shape == (24, 24, 3)
        paper, ink = pixels.max((0, 1)), pixels.min((0, 1))
        share = ((paper - pixels) / (paper - ink)).mean(2)  # of each pixel's ink
        rows, columns = np.flatnonzero(share.max(1)), np.flatnonzero(share.max(0))
        box = share[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert min(box.shape) >= 10
        # The border pixels of the box are inked in part.
        assert 0.8 * fill < box.mean() < min(1.15 * fill, 1.001)


def test_drawing_depends_on_the_seed_alone(shapes, tmp_path):
    folders = []
    for place, seed in (("a", 3), ("b", 3), ("c", 4)):
        rng = np.random.default_rng(seed)
        folders.append(shapes.write_shapes(tmp_path / place, 2, rng))
    first, same, other = ([p.read_bytes() for p in f.paths] for f in folders)
    assert first == same
    assert not set(first) & set(other)


def test_shapes(shapes, tmp_path, capsys):
    result = shapes.main(tmp_path, images=250, test_images=20, epochs=5)
    assert result.accuracy > 0.6  # a third by chance
    assert result.confusion.sum(1).tolist() == [20, 20, 20]
    assert [row.name for row in result.classes] == ["circle", "rectangle", "triangle"]

    train, test = cnnzoo.scan(tmp_path / "train"), cnnzoo.scan(tmp_path / "test")
    assert (len(train), len(test)) == (750, 60)
    assert not {p.read_bytes() for p in train.paths} & {
        p.read_bytes() for p in test.paths
    }
    assert_pictures(tmp_path, "confusion.png", "predictions.png")
    model = cnnzoo.load(tmp_path / "model.keras")
    assert cnnzoo.evaluate(model, test).accuracy == result.accuracy
    assert len(json.loads((tmp_path / "history.json").read_text())["val_loss"]) == 5

    line = re.compile(
        r"(\w+)/\d+\.png: class (\d), (\w+), probability ([\d.]+) \(true class (\d)\)"
    )
    lines = line.findall(capsys.readouterr().out)
    assert [folder for folder, *_ in lines] == [
        kind for kind in shapes.KINDS for _ in range(3)
    ]
    for folder, index, name, probability, label in lines:
        assert shapes.KINDS[int(index)] == name
        assert shapes.KINDS[int(label)] == folder
        assert 1 / 3 <= float(probability) <= 1
    assert sum(index == label for _, index, _, _, label in lines) >= 5


# mlp_plus_cnn


def test_ink_of_rows_then_columns():
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 3, :14] = 255
    rows, columns = example("mlp_plus_cnn").ink(image)[0, ..., 0]
    assert rows.tolist() == [0.5 if row == 3 else 0 for row in range(28)]
    expected = [1 / 28 if column < 14 else 0 for column in range(28)]
    np.testing.assert_allclose(columns, expected, rtol=1e-6)


def test_mlp_plus_cnn(tmp_path, capsys, monkeypatch):
    module = example("mlp_plus_cnn")
    monkeypatch.setattr(module, "load_embedded", first_digits)
    accuracies = module.main(tmp_path, digits=800, epochs=4)
    assert json.loads((tmp_path / "accuracy.json").read_text()) == accuracies
    assert list(accuracies) == ["mlp alone", "cnn alone", "merged"]
    assert min(row["test"] for row in accuracies.values()) > 0.2
    assert accuracies["merged"]["test"] > 0.4
    assert_pictures(tmp_path, "mlp.png", "cnn.png", "mlp_and_cnn.png")

    merged = keras.saving.load_model(tmp_path / "merged.keras")
    mlp, cnn = 57 * 64, 26 * 6 + 151 * 16 + 401 * 120
    assert merged.count_params() == mlp + cnn + (64 + 120 + 1) * 84 + 85 * 10
    assert f"merged: {merged.count_params():,} parameters" in capsys.readouterr().out
    test = first_digits("test")
    predictions = merged.predict([module.ink(test.images), test.images], verbose=0)
    accuracy = np.mean(predictions.argmax(1) == test.labels)
    assert accuracy == pytest.approx(accuracies["merged"]["test"], abs=1e-4)


# mnist_ensemble


@pytest.mark.parametrize(
    "names",
    [
        ("lenet5", "lenet_gap", "mlp"),  # small, in place of the package's
        pytest.param(PRETRAINED["mnist"], marks=pytest.mark.proof),
    ],
    ids=["small", "the package's"],
)
def test_mnist_ensemble(names, tmp_path, capsys, monkeypatch):
    """Trained on a few digits."""
    monkeypatch.setitem(PRETRAINED, "mnist", names)
    module = example("mnist_ensemble")
    few = first_digits("test").take(np.arange(200))
    monkeypatch.setattr(module, "load_embedded", lambda split: few)
    recipe = Recipe(epochs=1, batch_size=32, precision="float32")
    digits = first_digits("train").take(np.arange(240))
    errors = module.main(tmp_path, digits, dict.fromkeys(names, recipe))
    assert json.loads((tmp_path / "errors.json").read_text()) == errors
    assert list(errors) == [*names, "mean", "vote", "weighted", "stack"]
    printed = capsys.readouterr().out
    assert all(f" {count}" in printed for count in errors.values())
    assert_pictures(tmp_path, "misclassified.png", f"{names[0]}/curves.png")
    whole = cnnzoo.Ensemble.load(tmp_path / "ensemble")
    assert whole.evaluate(few).whole.errors == errors["mean"]


# mnist_baselines


def test_mnist_baselines(tmp_path, capsys, monkeypatch):
    module = example("mnist_baselines")
    monkeypatch.setattr(module, "load_embedded", first_digits)
    results = module.main(tmp_path, digits=600, epochs=2)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    counts = {name: row["parameters"] for name, row in results.items()}
    assert counts == {
        "mlp": 669_706,
        "simple_cnn": 1_199_882,
        "simple_cnn_bn_gap": 320 + 18_496 + 73_856 + 4 * (32 + 64 + 128) + 1_290,
        "lenet5": 61_706,
        "lenet_gap": 61_706,
        "even_or_odd": 61_706 - 9 * 85,  # one unit in place of ten
    }
    assert results["lenet5"]["MACs"] == 416_520
    for name, least in (("mlp", 0.5), ("simple_cnn", 0.5), ("lenet5", 0.3)):
        assert results[name]["test"] > least
    assert results["even_or_odd"]["test"] > 0.65
    printed = capsys.readouterr().out
    for name, row in results.items():
        assert_pictures(tmp_path / name, "curves.png")
        history = json.loads((tmp_path / name / "history.json").read_text())
        best = int(np.argmin(history["val_loss"]))
        assert history["val_accuracy"][best] == pytest.approx(row["validation"], abs=1e-4)
        assert f"{row['parameters']:,}" in printed

    model = cnnzoo.load(tmp_path / "even_or_odd" / "model.keras")
    assert model.output_shape == (None, 1)
    digits = first_digits("test")
    odd = module.task(module.EVEN_OR_ODD, digits)
    assert odd.class_names == ("even", "odd")
    assert np.array_equal(odd.labels, np.asarray(digits.labels) % 2)
    assert (
        round(cnnzoo.evaluate(model, odd).accuracy, 4) == results["even_or_odd"]["test"]
    )


# docs/extending.md


def test_the_code_of_the_page_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL):
        exec(compile(block, "docs/extending.md", "exec"), names)
    tiny, model, again = names["tiny"], names["model"], names["again"]
    assert tiny.output_shape == (None, 5)
    assert tiny.count_params() == 448 + 4_640 + 18_496 + 36_928 + 65 * 5

    count = (10 * 12 + 26 * 12) + (9 * 24 * 24 + 24) + (25 * 24 * 24 + 24) + 49 * 10
    assert model.count_params() == count
    assert f"print(graph.parameters(model))  # ({count}, {count})" in EXTENDING
    printed = capsys.readouterr().out
    assert f"({count}, {count})" in printed
    assert "'stage1_concat'" in printed
    assert "stage1_small" not in printed

    images = names["digits"].images[:8]
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(again.predict(images, verbose=0), expected)
    loaded = cnnzoo.load("runs/fork/model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)


def test_the_page_quotes_the_source_and_names_every_file():
    row, *_ = re.findall(r"```py\n(.*?)```", EXTENDING, re.DOTALL)
    assert row in (ROOT / "cnnzoo" / "models" / "vgg.py").read_text(encoding="utf-8")
    for path in (ROOT / "cnnzoo").iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        ignored = name.startswith(("__pycache__", ".")) or name == "py.typed"
        assert ignored or f"`{name}`" in EXTENDING
    for prefix in ("images", "preprocess_*", "stem_*", "features", "head_*"):
        assert f"| `{prefix}` |" in EXTENDING


# four_cases


def test_four_cases(tmp_path, capsys):
    """A small run; a proof below runs the example in its own size."""
    module = example("four_cases")
    names = module.SETS[:1]
    outcomes = module.main(
        tmp_path, network="lenet_gap", names=names, source_epochs=1, epochs=1
    )
    assert list(outcomes) == ["few digits"]
    assert outcomes["few digits"].images == 80
    assert json.loads((tmp_path / "outcomes.json").read_text()) == {
        name: vars(outcome) for name, outcome in outcomes.items()
    }
    case = outcomes["few digits"].case
    assert f"\ncase {case}, small and " in capsys.readouterr().out


@pytest.mark.proof
def test_four_cases_are_four(tmp_path):
    outcomes = example("four_cases").main(tmp_path)
    assert [outcome.case for outcome in outcomes.values()] == [1, 2, 3, 4]
    few, many = outcomes["few digits"], outcomes["many digits"]
    assert few.accuracy > few.random
    assert many.accuracy > few.accuracy


# transfer_photos


def save_stripes(folder: Path) -> None:
    """160 striped squares of two classes, instead of photographs."""
    stripes = example("four_cases").gratings(160, 0)
    for number, (pixels, label) in enumerate(
        zip(stripes.images, np.asarray(stripes.labels), strict=True)
    ):
        path = folder / str(label % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.squeeze()).save(path)


def test_transfer_photos(tmp_path, capsys):
    """With an untrained network."""
    save_stripes(tmp_path / "photos")
    (tmp_path / "photos" / "1" / "missing.gif").write_bytes(b"GIF89a")
    keras.utils.set_random_seed(0)
    source = cnnzoo.build("lenet_gap", include_preprocessing=True)
    cnnzoo.save(source, tmp_path / "source.keras")
    race = example("transfer_photos").main(
        str(tmp_path / "photos"), str(tmp_path / "source.keras"), tmp_path / "out"
    )
    assert [lap.name for lap in race.laps] == ["measured", "custom"]
    assert race.images == 40  # a quarter of those that are photographs
    output = capsys.readouterr()
    assert "missing.gif" in output.err
    assert re.search(r"case [13], small", output.out)
    model = cnnzoo.load(tmp_path / "out" / "model.keras")
    assert model.cnnzoo.class_names == ("0", "1")


def test_caltech101(tmp_path, capsys):
    """With an untrained network."""
    save_stripes(tmp_path / "photos")
    (tmp_path / "photos" / "BACKGROUND_Google").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "photos" / "BACKGROUND_Google" / "0.png")
    result = example("caltech101").main(
        tmp_path / "photos",
        tmp_path / "out",
        network="lenet_gap",
        weights=None,
        side=28,
        per_class=20,
        folds=2,
    )
    assert result.folds.evaluation.images == 40
    output = capsys.readouterr().out
    assert "40 photographs of 2 classes" in output
    assert "mean of the classes" in output
    assert "Cross-validation" in (tmp_path / "out" / "report.html").read_text()
