"""ImageNet's class names, and the pictures' geometry for each source of its weights."""

import json
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
from parity import randomise
from PIL import Image
from torch_weights import import_torchvision

import cnnzoo
from cnnzoo.cli.main import main
from cnnzoo.data.decode import decode
from cnnzoo.data.folders import imagenet
from cnnzoo.inference import class_names, probabilities
from cnnzoo.models.index import every_model
from cnnzoo.spec import Geometry
from cnnzoo.weights.sources.geometries import geometry
from cnnzoo.zoo import build

KERAS = Geometry("crop", 224 / 256, "bicubic")


def test_class_names():
    names = imagenet.class_names()
    assert len(set(names)) == 1000
    picked = {0: "tench", 151: "Chihuahua", 281: "tabby", 388: "giant panda"}
    assert {i: names[i] for i in picked} == picked
    assert names[134] == "crane bird"
    assert names[517] == "crane"
    assert imagenet.names_of(["n02085620", "n01440764"]) == ("Chihuahua", "tench")
    assert imagenet.names_of(["n02085620", "dog"]) == ("n02085620", "dog")


def test_class_names_are_those_of_others():
    """timm has WordNet's words for each id, in an order of its own."""
    assert (
        list(imagenet.class_names())
        == import_torchvision().models._meta._IMAGENET_CATEGORIES
    )
    spec = find_spec("timm")
    assert spec
    assert spec.submodule_search_locations
    info = Path(spec.submodule_search_locations[0]) / "data" / "_info"
    ids = (info / "imagenet_synsets.txt").read_text().split()
    assert list(imagenet.names_by_id()) == ids
    lines = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    words = dict(line.split("\t", 1) for line in lines)
    differ = [
        name
        for key, name in imagenet.names_by_id().items()
        if name.lower() not in words[key].lower()
    ]
    assert differ == ["crane bird", "maillot tank suit"]  # told from another class


@pytest.mark.parametrize("network", cnnzoo.list_models(weights="imagenet"))
def test_keras_applications(network: str):
    side = every_model()[network].input_shape[0]
    expected = Geometry("crop", side / {224: 256, 299: 341}[side], "bicubic")
    assert geometry("keras.applications", network) == expected


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *[(name, name) for name in ("resnet18", "resnet34", "vgg11", "vgg16_bn")],
        *[(f"resnet{n}_v1_5", f"resnet{n}") for n in (50, 101, 152)],
        ("alexnet_torchvision", "alexnet"),
        ("googlenet_bn", "googlenet"),
        ("inception_v3_torchvision", "inception_v3"),
    ],
)
def test_torchvision(ours: str, theirs: str):
    models = import_torchvision().models
    preset = models.get_model_weights(theirs)["IMAGENET1K_V1"].transforms()
    (side,), (resized,) = preset.crop_size, preset.resize_size
    expected = Geometry("crop", side / resized, preset.interpolation.value)
    assert geometry("torchvision", ours) == expected


@pytest.mark.proof
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("inception_v4", "inception_v4.tf_in1k"),
        ("inception_resnet_v2", "inception_resnet_v2.tf_in1k"),
        ("xception_timm", "legacy_xception.tf_in1k"),
        ("resnet18_v2", "resnetv2_18.ra4_e3600_r224_in1k"),
        ("resnet34_v2", "resnetv2_34.ra4_e3600_r224_in1k"),
        ("resnet50_v2_timm", "resnetv2_50.a1h_in1k"),
        ("vgg16", "vgg16.tv_in1k"),
    ],
)
def test_timm(ours: str, theirs: str):
    import_torchvision()
    import timm

    preset = timm.get_pretrained_cfg(theirs)
    assert preset is not None
    side = preset.input_size[-1]
    found = geometry("timm", ours)
    assert found is not None
    assert found.interpolation == preset.interpolation
    assert round(side / found.crop_pct) == int(side / preset.crop_pct)


def test_caffe_and_unknown_sources():
    zoo = "the ONNX model zoo"
    assert geometry(zoo, "alexnet") == Geometry("stretch", 227 / 256)
    assert geometry(zoo, "inception_v1") == Geometry("stretch", 224 / 256)
    assert geometry("elsewhere", "vgg16") is None


def test_decode_predictions():
    p = np.zeros((2, 1000), "float32")
    p[0, 388], p[1, 1] = 0.75, 1.0
    first, second = cnnzoo.decode_predictions(p, top=1)
    assert (first, second) == ((("giant panda", 0.75),), (("goldfish", 1.0),))
    with pytest.raises(cnnzoo.UsageError, match=r"shape \(n, 1000\)"):
        cnnzoo.decode_predictions(p[:, :10])


# Weights of keras.applications, with random numbers -----------------------------------


@pytest.fixture(scope="module")
def theirs() -> keras.Model:
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 48, 3))
    randomise(model)
    return model


@pytest.fixture
def dog(tmp_path: Path) -> Path:
    """Under a name of ImageNet's folders."""
    pixels = np.random.default_rng(1).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    path = tmp_path / "val" / "n02085620" / "dog.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    return path


def expected(theirs: keras.Model, path: Path, how: Geometry) -> np.ndarray:
    pixels = decode(path, (64, 48), 3, how)[None].astype("float32")
    return np.asarray(theirs(keras.applications.resnet.preprocess_input(pixels)))


def test_weights_bring_names_and_geometry(theirs, dog: Path):
    model = build("resnet50", input_shape=(64, 48, 3))
    cnnzoo.load_weights(model, theirs)
    assert class_names(model) == imagenet.class_names()
    assert model.cnnzoo.geometry == KERAS
    result = cnnzoo.evaluate(model, dog.parents[1])  # by the name of the folder
    assert result.labels.tolist() == [151]
    found = result.probabilities
    np.testing.assert_allclose(found, expected(theirs, dog, KERAS), atol=1e-5)
    (one,) = cnnzoo.predict(model, dog, top=1)
    assert one.top[0][0] == imagenet.class_names()[int(found.argmax())]


def test_the_tag_without_a_top(theirs, monkeypatch):
    def builder(weights: str, include_top: bool) -> keras.Model:
        assert (weights, include_top) == ("imagenet", False)
        return keras.Model(theirs.input, theirs.layers[-3].output)

    monkeypatch.setattr(keras.applications, "ResNet50", builder)
    model = build("resnet50", include_top=False, weights="imagenet")
    assert model.cnnzoo.geometry == KERAS
    assert model.cnnzoo.class_names is None


def test_a_file_on_the_command_line(theirs, dog: Path, tmp_path: Path, capsys):
    """With a fit of the user's, in place of that of the weights."""
    file = tmp_path / "resnet50.weights.h5"
    theirs.save_weights(file)
    options = ["--model", "resnet50", "--weights", str(file), "--size", "64x48"]
    assert main(["predict", str(dog), *options, "--fit", "pad", "--json"]) == 0
    (name, share), *_ = json.loads(capsys.readouterr().out)[0]["top"]
    (found,) = expected(theirs, dog, Geometry("pad"))
    assert name == imagenet.class_names()[int(found.argmax())]
    assert share == pytest.approx(float(found.max()), abs=1e-6)
    assert share != pytest.approx(float(expected(theirs, dog, KERAS).max()), abs=1e-6)


def test_a_file_of_other_classes_on_the_command_line(dog: Path, tmp_path: Path, capsys):
    model = cnnzoo.build("resnet20", classes=7)
    file = cnnzoo.save_weights(model, tmp_path / "a.weights.h5")
    options = ["--model", "resnet20", "--weights", str(file), "--top", "9", "--json"]
    assert main(["predict", str(dog), *options]) == 0
    found = dict(json.loads(capsys.readouterr().out)[0]["top"])
    assert [found[name] for name in "0123456"] == pytest.approx(
        probabilities(model, dog)[0]
    )
