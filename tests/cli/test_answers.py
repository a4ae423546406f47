"""What needs no TensorFlow is answered before it is imported, each with its exit code."""

import inspect
import json
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from picture_files import png_header
from PIL import Image

import cnnzoo
from cnnzoo import errors
from cnnzoo.cli import options
from cnnzoo.cli.commands import comparison, inference, training
from cnnzoo.cli.parser import make_parser
from cnnzoo.ensemble import storage
from cnnzoo.evaluation import PREDICTIONS_FILE
from cnnzoo.train import losses, recipe, run_metadata
from cnnzoo.transfer import measurement
from cnnzoo.visualization import graphviz

TRAIN, TRANSFER = "train photos --model lenet_gap --out o", "transfer photos --out o"
COMPARE = "compare photos --models"
ANSWERS = [
    ("list --family vgq", 2, "did you mean 'vgg'?"),
    ("info lenet6 --layers", 2, "did you mean 'lenet5'?"),
    ("plot vggg16", 2, "did you mean 'vgg16'?"),
    ("plot mlp --out x.jpg", 2, "expected a .png or .svg file, got x.jpg"),
    ("plot mlp --out file/x.png", 3, "file is a file, not a folder"),
    ("plot mlp --out folder.png", 3, "cannot write folder.png: folder.png is a folder"),
    ("identify nowhere.h5", 1, "there is no file nowhere.h5"),
    ("identify file", 2, "a file of weights ends in .keras"),
    ("--threads 0 list", 2, "a whole number of at least 1, got 0"),
    ("check nowhere", 1, "expected a folder, found nothing"),
    ("check file", 1, "expected a folder, found a file"),
    ("check photos --labels nowhere.csv", 1, "nowhere.csv: expected a CSV file"),
    ("check photos", 0, "photos: 12 images that can be read"),
    ("train nowhere --model mlp --out o", 1, "nowhere is no data set"),
    ("train nowhere.csv --model mlp --out o", 1, "no regular file"),
    ("train empty --model mlp --out o", 1, "a folder for each class, at least two"),
    ("train photos --model lenet6 --out o", 2, "did you mean 'lenet5'?"),
    ("train photos --model mlp --out file", 3, "cannot write file: file is a file"),
    ("train photos --model mlp --out file/o", 3, "file is a file, not a folder"),
    ("train photos --model mlp --out /proc/o", 3, "cannot write /proc/o"),
    (f"{TRAIN} --size 3", 2, "at least 12x12 pixels, got 3x3; pass a larger --size"),
    (f"{TRAIN} --size 30000", 2, "expected at most 89,478,485 pixels, got 30000"),
    ("train photos --model mlp --out old", 2, "old holds a training of lenet5, not of"),
    ("kfold photos --model mlp --out folds", 2, "fold-1 holds a training of lenet5"),
    (f"{TRAIN} --optimizer adm", 2, "unknown optimizer 'adm'; did you mean 'adam'?"),
    (f"{TRAIN} --loss hing", 2, "unknown loss 'hing'; did you mean 'hinge'?"),
    (f"{TRAIN} --loss-options label_smoothing=no", 2, "label_smoothing=0.1 or the like"),
    (f"{TRAIN} --loss-options smoothing=0.1", 2, "did you mean 'label_smoothing'?"),
    (f"{TRAIN} --augment rotation=1", 2, "did you mean 'rotation_range'?"),
    (f"{TRAIN} --augment rotation_range=-1", 2, "expected degrees of at least 0"),
    (f"{TRAIN} --preprocessing foo", 2, "invalid choice: 'foo'"),
    (f"{TRAIN} --preprocessing featurewise", 2, "a folder is not"),
    (f"{TRAIN} --group-by (", 2, "expected a regular expression"),
    (f"{TRAIN} --group-by zzz", 2, "finds nothing in 'a/0.png'"),
    (f"{TRAIN} --validation 2.5", 2, "a share above 0 and below 1"),
    (f"{TRAIN} --validation 100", 1, "add images or choose a fraction nearer to 0.5"),
    (f"{TRAIN} --partial", 2, "pass labels (--labels), too"),
    ("kfold nowhere", 1, "expected the file predictions.npz"),
    (f"kfold {PREDICTIONS_FILE}", 0, "out of fold: accuracy 100.00 %"),
    ("kfold photos --model mlp", 2, "needs --model and --out"),
    ("kfold photos --model mlp --out o --folds 99", 1, "cannot make 99 folds"),
    ("kfold photos --model mlp --out o --preprocessing featurewise", 2, "test images"),
    (f"{TRANSFER} --model vgg6 --weights imagenet", 2, "did you mean 'vgg16'?"),
    (
        f"{TRANSFER} --model vgg16 --weights imagenat",
        2,
        "vgg16 has no weights 'imagenat'",
    ),
    (f"{TRANSFER} --model vgg16 --weights no.h5", 1, "there is no file no.h5"),
    (f"{TRANSFER} --model resnet18", 2, "resnet18, which has none in the package"),
    (
        f"{TRANSFER} --model resnet18 --weights imagenet",
        2,
        "that have are vgg16",
    ),
    (f"{TRANSFER} --model empty", 1, "empty holds no model.keras"),
    (f"{TRANSFER} --model small_vgg --size 3", 2, "at least 16x16 pixels, got 3x3"),
    (f"{TRANSFER} --model small_vgg --folds 99", 1, "cannot make 99 folds"),
    ("evaluate nowhere --model m.keras", 1, "nowhere is no data set"),
    ("evaluate photos", 2, "--model is missing"),
    ("evaluate photos --model nowhere", 1, "no file or folder nowhere, and no network"),
    ("evaluate photos --model m.keras --weights mnist", 2, "leave out --weights"),
    ("evaluate photos --model m.keras --out file", 3, "file is a file, not a folder"),
    ("evaluate photos --model x.keras", 1, "x.keras is a file of another kind"),
    ("evaluate photos --model cut.keras", 1, "it was cut or damaged, so get it again"),
    ("evaluate photos --model plain.keras", 1, "give it as weights to the network that"),
    ("evaluate photos --model twice.keras", 4, "two members of one name"),
    (
        "predict nowhere.jpg --model m.keras",
        1,
        "there is no picture nowhere.jpg",
    ),
    ("predict file --model m.keras", 1, "1 of 1 files cannot be read as images: 'file'"),
    ("predict huge.png --model m.keras", 1, "20000x8000 pixels, more than 89,478,485"),
    ("predict bomb.png --model m.keras", 1, "(far more than 89,478,485 pixels)"),
    ("predict empty --model m.keras", 1, "found no images by 'empty'"),
    ("predict x.png --model resnet18", 2, "--weights is missing for resnet18"),
    ("predict x.png --model resnet19", 1, "no network of that name"),
    ("predict x.png --model m.keras --top 0", 2, "at least 1, got 0"),
    ("predict nowhere.csv --model m.keras", 1, "no regular file"),
    ("predict d.csv --model m.keras --out file/x.csv", 3, "file is a file, not a folder"),
    (f"{COMPARE} resnet18", 2, "--weights is missing for resnet18"),
    (f"{COMPARE} resnet20 lenet6=x.h5", 2, "did you mean 'lenet5'?"),
    (f"{COMPARE} resnet20 run/a", 1, "there is no file or folder run/a, and no network"),
    (f"{COMPARE} resnet20=imagenet", 2, "resnet20 has no weights 'imagenet'"),
    (f"{COMPARE} resnet20=nowhere.h5", 1, "there is no file nowhere.h5"),
    (f"{COMPARE} xception=imagenet --size 64", 2, "at least 71x71 pixels, got 64x64"),
    (f"{COMPARE} resnet20 resnet20", 2, "a network twice in resnet20 resnet20"),
    (f"{COMPARE} m.keras=mnist", 2, "m.keras has its own weights"),
    (f"{COMPARE} m.keras --size 64", 2, "--size has no use, since each of m.keras has"),
    (f"{COMPARE} resnet20=cifar10 --weights cifar10", 2, "--weights has no use, since"),
    (f"{COMPARE} resnet20 --images 0", 2, "at least 1, got 0"),
    (f"{COMPARE} resnet20 --out file", 3, "cannot write file: file is a file"),
    ("compare nowhere --models resnet20", 1, "nowhere is no data set"),
    ("demo --out file", 3, "cannot write file: file is a file, not a folder"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, list]:
    """What each command answers, all of them in one process."""
    here: Path = tmp_path_factory.mktemp("answers")
    for name in ("empty", "folder.png", "photos/a", "photos/b"):
        (here / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 40, 40), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        name = f"photos/{'ab'[number % 2]}/{number}.png"
        Image.fromarray(picture).save(here / name)
    Image.fromarray(pixels[0]).save(here / "x.png")
    for name, height in {"huge": 8000, "bomb": 20_000}.items():
        (here / f"{name}.png").write_bytes(png_header(20_000, height))
    for name in ("file", "x.keras"):
        (here / name).write_text("no picture, no model")
    for name in ("old", "folds/fold-1"):
        (here / name).mkdir(parents=True)
        (here / name / "run.json").write_text('{"network": {"name": "lenet5"}}')
    np.savetxt(here / "d.csv", pixels[:, :4, :4].reshape(12, 16), "%d", ",")
    np.savez(
        here / PREDICTIONS_FILE,
        probabilities=np.eye(2, dtype="float32"),
        labels=[0, 1],
        class_names=["a", "b"],
    )
    model = cnnzoo.build("lenet_gap")
    cnnzoo.save(model, here / "m.keras")
    model.save(here / "plain.keras")
    (here / "cut.keras").write_bytes((here / "m.keras").read_bytes()[:999])
    with ZipFile(here / "twice.keras", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in "ab":
            archive.writestr("config.json", content)
    lines = [json.dumps(shlex.split(command)) for command, _, _ in ANSWERS]
    helper = Path(__file__).parents[1] / "helpers" / "without_keras.py"
    done = subprocess.run(
        [sys.executable, helper],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=here,
    )
    assert done.returncode == 0, done.stderr
    found = map(json.loads, done.stdout.splitlines())
    assert not (here / "o").exists()
    return dict(zip([command for command, _, _ in ANSWERS], found, strict=True))


@pytest.mark.parametrize(("command", "code", "message"), ANSWERS)
def test_answers_without_keras(command: str, code: int, message: str, answers: dict):
    found, out, err = answers[command]
    assert (found, message in out + err) == (code, True), (found, out, err)
    assert "Traceback" not in err


def test_every_exit_code_has_a_meaning(capsys):
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.CnnzooError)}
    assert codes | {0, 130, 143} == set(errors.EXIT_CODES)
    assert {code for _, code, _ in ANSWERS} == {0, 1, 2, 3, 4}
    text = " ".join(make_parser().format_help().split())
    for code, meaning in errors.EXIT_CODES.items():
        assert f"{code} {meaning}" in text


def test_names_that_are_copies():
    """They stand in the command line, since the import of their homes takes seconds."""
    assert options.PICTURES == graphviz.FORMATS
    assert inference.ENSEMBLE_FILE == storage.ENSEMBLE_FILE
    assert training.RUN_FILE == run_metadata.RUN_FILE
    assert comparison.IMAGES == measurement.PROBED
    kinds = [kind for _, kind in inspect.getmembers(keras.optimizers, inspect.isclass)]
    names = {kind.__name__.lower() for kind in kinds}
    assert set(filter(recipe._is_optimizer, names)) <= set(options.OPTIMIZERS)
    model, every = cnnzoo.build("lenet_gap"), set()
    for name in options.LOSSES:
        kind = losses._class_of(keras.losses.get(name))
        assert losses.choose(model, name) == name
        every |= set(inspect.signature(kind).parameters) - losses.FIXED
    assert every == set(options.LOSS_OPTIONS)
