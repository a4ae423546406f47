"""The command line, as a user types it; the slow verbs share one trained network."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import cnnzoo
from cnnzoo.cli import options
from cnnzoo.cli.main import main
from cnnzoo.data.mnist import load_embedded
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.train import RECIPES
from cnnzoo.weights.sources import bundled


def cli(*arguments: str, cwd: Path | None = None, **environment: str):
    """A new process, as from a shell."""
    return subprocess.run(
        [sys.executable, "-m", "cnnzoo", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
    )


# Not "auto", which may be another precision in the next process.
TRAIN = (
    *("train", "train.csv", "--model", "lenet_gap", "--out", "out", "--epochs", "8"),
    *("--batch-size", "16", "--lr", "0.003", "--seed", "1", "--validation", "0.2"),
    *("--precision", "float32"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with 300 digits as CSV, and a network trained on them by the CLI."""
    folder = tmp_path_factory.mktemp("cli")
    digits = load_embedded("train").split(0.05, seed=0)[1]
    rows = np.column_stack([np.asarray(digits.labels), digits.images.reshape(300, -1)])
    np.savetxt(folder / "train.csv", rows, "%d", ",")
    np.savetxt(
        folder / "test.csv", rows[:20, 1:], "%d", ",", header=header(), comments=""
    )
    Image.fromarray(digits.images[0].squeeze()).save(folder / "digit.png")
    result = cli(*TRAIN, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert (
        "lenet_gap at 28x28x1: 240 training images, 60 validation images" in result.stdout
    )
    assert "Epoch 8/8" in result.stdout
    return folder


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.size[0]


def header() -> str:
    return ",".join(f"pixel{i}" for i in range(784))


def test_train_writes_its_files(run):
    names = {path.name for path in (run / "out").iterdir()}
    shown = {"model.keras", "run.json", "history.json", "log.txt", "curves.png"}
    assert names == {*shown, "checkpoints", ".lock"}
    assert width(run / "out" / "curves.png") > 500
    assert len(json.loads((run / "out" / "history.json").read_text())["loss"]) == 8
    model = cnnzoo.load(run / "out" / "model.keras")
    assert model.cnnzoo.options["include_preprocessing"] is True


def test_evaluate(run, capsys):
    data, out = str(run / "train.csv"), str(run / "out")
    assert main(["evaluate", data, "--model", out, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["images"] == 300
    assert figures["accuracy"] > 0.5
    assert np.sum(figures["confusion"]) == 300
    assert (run / "out" / "confusion.png").exists()
    assert main(["evaluate", data, "--model", f"{out}/model.keras"]) == 0
    text = capsys.readouterr().out
    assert f"accuracy {100 * figures['accuracy']:.2f} %, error" in text
    calibration = figures["calibration_error"], figures["raw_calibration_error"]
    shown = "expected calibration error {:.3f}, before the temperature {:.3f}\n"
    assert shown.format(*calibration) in text
    assert re.search(r"class +precision +recall +F1 +images\n0 ", text)


def test_evaluate_several_models_as_an_ensemble(run, tmp_path, capsys):
    data, out, target = (
        str(run / "train.csv"),
        str(run / "out"),
        str(tmp_path / "evaluation"),
    )
    args = ["evaluate", data, "--model", out, "--model", out, "--out", target]
    assert main([*args, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    low, high = metrics["error_interval"]
    assert low < metrics["error_percent"] < high
    assert [member["errors"] for member in metrics["members"]] == [metrics["errors"]] * 2
    assert metrics["members"][0]["accuracy_without"] == metrics["accuracy"]
    written = {path.name for path in (tmp_path / "evaluation").iterdir()}
    pictures = {"confusion.png", "label_errors.png", "misclassified.png"}
    assert written == {"evaluation.json", *pictures}
    assert width(tmp_path / "evaluation" / "misclassified.png") > 300
    assert main(args) == 0
    text = capsys.readouterr().out
    assert re.search(rf"\nall together +{metrics['errors']} ", text)
    errors = f"{metrics['errors']} of {metrics['images']} images"
    assert f"{errors}, 95 % confidence interval {low:.2f} to {high:.2f} %" in text


def test_an_ensemble_in_a_folder(run, tmp_path, capsys):
    model = cnnzoo.load(run / "out" / "model.keras")
    cnnzoo.Ensemble([model, model]).save(tmp_path)
    digit, table = str(run / "digit.png"), str(run / "test.csv")
    args = ["predict", digit, "--json", "--model"]
    assert main([*args, str(tmp_path)]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert main([*args, str(run / "out")]) == 0
    (other,) = json.loads(capsys.readouterr().out)
    assert [name for name, _ in one["top"]] == [name for name, _ in other["top"]]
    target = tmp_path / "predictions.csv"
    assert main(["predict", table, "--model", str(tmp_path), "--out", str(target)]) == 0
    assert len(target.read_text().splitlines()) == 21


def test_a_finished_training_is_not_repeated(run, capsys, monkeypatch):
    """A finished training does not change; another one in its folder is refused."""
    monkeypatch.chdir(run)
    before = (run / "out" / "model.keras").read_bytes()
    assert main([*TRAIN]) == 0
    output = capsys.readouterr().out
    assert "precision: float32, as at its start\nout has this training al" in output
    assert "the training was finished already; nothing was trained" in output
    assert re.search(r"\nexpected calibration error 0\.\d{3}.*, by the val", output)
    assert (run / "out" / "model.keras").read_bytes() == before
    assert main([*TRAIN, "--lr", "0.004"]) == 2
    output = capsys.readouterr().err
    assert "recipe.learning_rate was 0.003 and is 0.004; pass what it was" in output
    assert main(["lenet5" if word == "lenet_gap" else word for word in TRAIN]) == 2
    output = capsys.readouterr().err
    assert "out holds a training of lenet_gap, not of lenet5; train lenet5 into" in output


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.proof)],
    ids=str,
)
def test_stopped_training_resumes(run, tmp_path, number: int, code: int):
    """It saves a checkpoint, and resumes to the result of an uninterrupted training."""
    shutil.copy(run / "train.csv", tmp_path)
    command = [sys.executable, "-m", "cnnzoo", *TRAIN]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A run in the background may have been started with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    while "Epoch 3/8" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert ("the same command goes on" in errors) == (number == signal.SIGINT)
    assert list((tmp_path / "out/checkpoints").iterdir())
    done = cli(*TRAIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Epoch 1/8" not in done.stdout
    expected = (run / "out/history.json").read_text()
    assert (tmp_path / "out/history.json").read_text() == expected


def test_kfold(run, capsys, monkeypatch):
    """Each fold's network has a seed of its own."""
    monkeypatch.chdir(run)
    seeds, real = [], keras.utils.set_random_seed
    monkeypatch.setattr(
        keras.utils, "set_random_seed", lambda seed: (seeds.append(seed), real(seed))
    )
    args = ["kfold", "train.csv", "--model", "mlp", "--epochs", "1", "--folds", "2"]
    assert main([*args, "--seed", "5", "--out", "folds"]) == 0
    assert seeds == [6, 7]
    args += ["--seed", "5"]
    text = capsys.readouterr().out
    assert Path("folds/predictions.npz").is_file()
    assert re.search(r"fold +accuracy\n1 +\d\d\.\d\d %\n2 +", text)
    assert "300 images, each evaluated by a network that was not trained on it" in text
    [line] = [line for line in text.splitlines() if line.startswith("out of fold: ")]
    assert main(["kfold", "folds/predictions.npz"]) == 0
    assert capsys.readouterr().out == f"{line}\n"
    assert main(["kfold", "train.csv"]) == 1
    assert "expected the file predictions.npz" in capsys.readouterr().err
    assert main(["kfold", "train.csv", "--model", "mlp"]) == 2
    assert "needs --model and --out" in capsys.readouterr().err
    assert main([*args, "--out", "folds", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {"format": 1, **record} == json.loads(
        (run / "folds" / "folds.json").read_text()
    )
    assert len(record["accuracies"]) == 2
    assert main([*args, "--out", "other", "--preprocessing", "featurewise"]) == 2
    assert "would be measured on the test images" in capsys.readouterr().err


def test_train_by_a_recipe(run, capsys, monkeypatch):
    """The values of the original's recipe, and the names of all recipes."""
    monkeypatch.chdir(run)
    args = ["train", "train.csv", "--model", "mlp", "--validation", "0.2"]
    assert main([*args, "--recipe", "mnist_kkweon", "--epochs", "1", "--out", "by"]) == 0
    recipe = json.loads((run / "by/run.json").read_text())["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["optimizer"]) == (
        1,
        32,
        "adam",
    )
    assert recipe["augment"] == {
        "rotation_range": 30,
        "shear_range": pytest.approx(5.7296, abs=1e-4),  # 0.1 radians
        "zoom_range": 0.1,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
    }
    assert main([*args, "--recipe", "cifar10", *["--epochs", "1", "--out", "sgd"]]) == 0
    adam = ["--optimizer", "adam", "--epochs", "1", "--out", "adam"]
    assert main([*args, "--recipe", "cifar10", *adam]) == 0
    by = [json.loads((run / n / "run.json").read_text()) for n in ("sgd", "adam")]
    names_of_values = ("momentum", "learning_rate", "batch_size")
    values = [[card["recipe"][name] for name in names_of_values] for card in by]
    assert values == [[0.9, 0.1, 128], [None, None, 128]]
    capsys.readouterr()
    assert set(options.RECIPES) == set(RECIPES)
    names = {bundled.metadata(name, "mnist")["recipe"] for name in PRETRAINED["mnist"]}
    assert names <= set(RECIPES)


def test_predict(run, capsys):
    digit, out = str(run / "digit.png"), str(run / "out")
    assert main(["predict", digit, digit, "--model", out, "--top", "2", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    # The places of a batch may differ in the last bits of what they are given.
    for (name, share), (same, other) in zip(first["top"], second["top"], strict=True):
        assert (name, share) == (same, pytest.approx(other, rel=1e-5))
    assert first["path"] == second["path"] == digit
    assert len(first["top"]) == 2
    assert main(["predict", digit, "--model", out]) == 0
    name, share = first["top"][0]
    line = f"{digit}: {name} {100 * share:.1f} %, "
    assert capsys.readouterr().out.startswith(line)
    for several in (str(run / "di*.png"), digit):
        assert main(["predict", several, "--model", out]) == 0
        assert capsys.readouterr().out.startswith(line)
    assert main(["predict", str(run / "no*.png"), "--model", out]) == 1
    assert "found no images by" in capsys.readouterr().err


def test_many_predictions_show_their_progress_on_a_terminal(run, capsys, monkeypatch):
    arguments = ["predict", *[str(run / "digit.png")] * 2, "--model", str(run / "out")]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for many, more, shown in ((9, [], 0), (1, [], 1), (1, ["--json"], 0)):
        monkeypatch.setattr("cnnzoo.inference.BATCH", many)
        assert main([*arguments, *more]) == 0
        assert ("2/2" in capsys.readouterr().out) == shown


def test_featurewise_is_measured_on_the_data(run, tmp_path, capsys):
    arguments = ["--model", "mlp", "--epochs", "1", "--preprocessing", "featurewise"]
    data, out = str(run / "train.csv"), tmp_path / "out"
    assert main(["train", data, *arguments, "--out", str(out)]) == 0
    pixels = np.loadtxt(data, delimiter=",")[:, 1:]
    (mean,) = cnnzoo.load(out / "model.keras").cnnzoo.preprocessing.mean
    assert mean == pytest.approx(pixels.mean(), rel=0.05)  # of nine tenths of them
    for i, name in enumerate("abababab"):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        picture = Image.new("L", (28, 28), 30 * i)
        picture.save(tmp_path / "photos" / name / f"{i}.png")
    photos = [str(tmp_path / "photos"), "--validation", "0.5"]
    assert main(["train", *photos, *arguments, "--out", str(tmp_path / "no")]) == 2
    assert "measured on images in memory, and a folder is" in capsys.readouterr().err


def test_size_and_fit(tmp_path):
    for i, name in enumerate("abababab"):
        path = tmp_path / "photos" / name / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (30, 60), 30 * i).save(path)
    options = ["--model", "lenet_gap", "--size", "20x28", "--fit", "pad", "--epochs", "1"]
    out = str(tmp_path / "out")
    photos = [str(tmp_path / "photos"), "--validation", "0.5"]
    assert main(["train", *photos, *options, "--out", out]) == 0
    model = cnnzoo.load(out)
    assert model.input_shape == (None, 20, 28, 1)
    assert model.cnnzoo.geometry == cnnzoo.Geometry("pad")
    assert main(["train", *photos, *options, "--fit", "crop", "--out", out]) == 2


def test_submission(run, capsys):
    target = run / "predictions.csv"
    arguments = ["predict", str(run / "test.csv"), "--model", str(run / "out")]
    assert main([*arguments, "--out", str(target)]) == 0
    lines = target.read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in lines[1:]] == [str(i) for i in range(1, 21)]
    assert {line.split(",")[1] for line in lines[1:]} <= set("0123456789")
    assert capsys.readouterr().out.strip() == str(target)


def test_list(capsys):
    assert main(["list", "resnet*_paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "network",
        "resnet50_paper",
        "resnet101_paper",
        "resnet152_paper",
    ]
    assert "25,610,152" in lines[1]
    assert main(["list", "--family", "lenet", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["lenet5", "lenet_gap"]
    assert main(["list", "--weights", "imagenet", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows][:3] == ["vgg16", "vgg19", "inception_v3"]
    assert len(rows) == 11  # as many as keras.applications has


def test_info(capsys):
    assert main(["info", "inception_v1"]) == 0
    text = capsys.readouterr().out
    for part in (
        "Going Deeper",
        "6,998,552",
        "1,582,671,872",
        "stage3 7x7x1024",
        "k = 1",
        "NumPy definition: ",
    ):
        assert part in text
    assert main(["info", "mlp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 669_706
    assert main(["info", "lenet5", "--json"]) == 0
    proofs = json.loads(capsys.readouterr().out)["proofs"]
    against = {proof["against"] for proof in proofs}
    assert against == {"NumPy definition", "PyTorch definition"}
    assert 0 < max(proof["difference"] for proof in proofs) <= 1e-5


def test_info_layers(capsys):
    assert main(["info", "vgg16", "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line.split() for line in lines if line.startswith("stage5_conv3 "))
    assert row == [
        *("stage5_conv3", "Conv2D", "14x14x512", "3x3", "1x1"),
        *("2,359,808", f"{14 * 14 * 3 * 3 * 512 * 512:,}", "196x196"),
    ]
    assert main(["info", "lenet_gap", "--layers", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[-1]["name"] == "predictions"
    assert rows[-1]["receptive_field"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "lenet6"], 2, "unknown model 'lenet6'; did you mean 'lenet5'?"),
        (["plot", "vggg16"], 2, "did you mean 'vgg16'?"),
        (["list", "vgg99*"], 2, "no network is called 'vgg99*'"),
        (["list", "--family", "vgq"], 2, "unknown family 'vgq'; did you mean 'vgg'?"),
        (
            ["train", "nowhere", "--model", "mlp", "--out", "o"],
            1,
            "nowhere is no data set",
        ),
        (["predict", "a.png", "--model", "nowhere"], 1, "no file or folder nowhere"),
        (["predict", "a.csv", "b.png", "--model", "x"], 2, "image files or one .csv"),
        (["predict", "a.csv", "--top", "2", "--model", "x"], 2, "leave out --json"),
        (["predict", "a.png", "--out", "o", "--model", "x"], 2, "leave out --out"),
        (["predict", "a.png"], 2, "--model is missing: pass --model DIR"),
        (["predict", "a.png", "--ensemble", "--model", "x"], 2, "leave out --model"),
        (["predict", "a.png", "--ensemble", "--weights", "x"], 2, "and its options"),
        (["predict", "a.png", "--model", "vgg16"], 2, "--weights is missing for vgg16"),
        (
            ["predict", "a.png", "--model", "vgg", "--weights", "x"],
            2,
            "did you mean 'vgg",
        ),
        (
            ["predict", "a.png", "--model", "x.keras", "--fit", "pad", "--size", "9"],
            2,
            "x.keras has its own weights, image size and fit; leave out --size and --fit",
        ),
        (
            ["predict", "a.png", "--model", "mlp", "--model", "mlp", "--weights", "x"],
            2,
            "--weights is for one network; got 2 times --model",
        ),
    ],
)
def test_errors(arguments, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("cnnzoo: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: VERB"),
        (["train", "mnist", "--model", "mlp"], "required: --out"),
        (["train", "mnist", "--model", "mlp", "--out", "o", "--epochs", "0"], "least 1"),
        (["train", "mnist", "--model", "mlp", "--out", "o", "--lr", "nan"], "above 0"),
        (
            ["train", "mnist", "--model", "mlp", "--out", "o", "--lr", "x"],
            "invalid float",
        ),
        (["train", "a", "--model", "mlp", "--out", "o", "--size", "9x"], "invalid size"),
        (["train", "a", "--model", "mlp", "--out", "o", "--size", "0x9"], "least 1"),
        (["train", "a", "--model", "mlp", "--out", "o", "--fit", "cut"], "choose from"),
    ],
)
def test_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path):
    result = cli("--debug", "info", "nothing")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_bad_picture_and_a_cut_model(run, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert main(["predict", str(bad), "--model", str(run / "out")]) == 1
    assert str(bad) in capsys.readouterr().err
    cut = tmp_path / "cut.keras"
    cut.write_bytes((run / "out" / "model.keras").read_bytes()[:999])
    assert main(["evaluate", "mnist", "--model", str(cut)]) == 1
    assert "exists but is not a readable .keras archive" in capsys.readouterr().err


WITHOUT_BACKEND = """
import sys
from cnnzoo.cli.main import main
for arguments in (["list"], ["info", "vgg16"], ["info", "nope"]):
    main(arguments)
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"keras", "tensorflow", "numpy", "matplotlib", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_list_and_info_need_no_backend():
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_BACKEND], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_tensorflow_does_not_warn_of_many_small_networks(monkeypatch, capsys):
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    assert main(["list"]) == 0
    assert not logger.isEnabledFor(logging.WARNING)
    assert logger.isEnabledFor(logging.ERROR)


def test_a_reader_that_closes_the_pipe():
    command = f"{sys.executable} -m cnnzoo list | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert result.stderr == ""
    assert result.stdout.startswith("network")


def test_files_that_are_no_images_are_listed(run, tmp_path, capsys):
    for name in "05":
        (tmp_path / name).mkdir()
        Image.open(run / "digit.png").save(tmp_path / name / "1.png")
    (tmp_path / "0" / "photo.heic").write_bytes(b"x")
    out = str(tmp_path / "out")
    code = main(["evaluate", str(tmp_path), "--model", str(run / "out"), "--out", out])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "ignored extensions: .heic 1" in captured.err
    assert f"{out}/evaluation.json" in captured.out


def test_without_graphviz_the_stages_are_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    for ending in ("png", "svg"):
        target = tmp_path / f"vgg.{ending}"
        assert main(["plot", "vgg11", "--out", str(target)]) == 0
        assert "Graphviz's program `dot` was not found" in capsys.readouterr().out
    assert width(tmp_path / "vgg.png") > 500
    text = (tmp_path / "vgg.svg").read_text()
    assert text.count("stage") >= 5


def test_logs_for_other_programs(run, tmp_path, capsys, monkeypatch):
    """Keras's own CSV and TensorBoard's, an epoch a line."""
    train = [*TRAIN[2:], "--epochs", "2", "--csv", "--tensorboard"]
    train[train.index("out")] = str(tmp_path)
    assert main(["train", str(run / "train.csv"), *train]) == 0
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].split(",")[0] == "epoch"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    column = lines[0].split(",").index("val_loss")
    history = json.loads((tmp_path / "history.json").read_text())
    losses = [float(line.split(",")[column]) for line in lines[1:]]
    assert losses == pytest.approx(history["val_loss"], rel=1e-6)
    kinds = {path.parent.name for path in tmp_path.glob("tensorboard/*/events*")}
    assert kinds == {"train", "validation"}
    monkeypatch.setattr("cnnzoo.cli.commands.training.find_spec", lambda name: None)
    assert main(["train", str(run / "train.csv"), *train]) == 2
    assert "install cnnzoo[tensorboard]" in capsys.readouterr().err
