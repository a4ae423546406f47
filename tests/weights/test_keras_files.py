"""Keras files of every age and form: nested, fine-tuned, subclassed, without names."""

import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from parity import images, randomise, relative

import cnnzoo
from cnnzoo.weights.formats.keras_archive import WEIGHTS_MEMBER
from cnnzoo.weights.loading import load_weights

SIDE, CLASSES = 75, 4
FORMS = ("a.keras", "b.weights.h5", "c.h5")


def nested() -> keras.Model:
    """As people fine-tune: the base is a layer behind one that scales the pixels."""
    base = keras.applications.Xception(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3)
    )
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            base,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(CLASSES, activation="softmax", name="my_classes"),
        ]
    )
    randomise(base)
    return model


def flat() -> keras.Model:
    base = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), pooling="avg"
    )
    outputs = layers.Dense(CLASSES, activation="softmax")(base.output)
    model = keras.Model(base.input, outputs)
    randomise(model)
    return model


def saved(model: keras.Model, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)  # its state comes along
        model.save(path)
    return path


def without_names(path: Path) -> Path:
    """The file as Keras 3.0 to 3.5 wrote it: layers have no names among the weights."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    inner = path.with_name("weights.h5")
    inner.write_bytes(members[WEIGHTS_MEMBER])
    with h5py.File(inner, "r+") as file:
        file.visititems(lambda _, group: group.attrs.pop("name", None))
    members[WEIGHTS_MEMBER] = inner.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def same(model: keras.Model, theirs: keras.Model, scaled: bool) -> None:
    x = images(SIDE)
    expected = np.asarray(theirs((x + 1) * 127.5 if scaled else x, training=False))
    assert relative(np.asarray(model(x, training=False)), expected) <= 1e-4


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("name", "make", "form"),
    [
        ("xception", nested, "b.weights.h5"),
        *(
            pytest.param(*network, form, marks=pytest.mark.proof)
            for network in (("xception", nested), ("resnet50", flat))
            for form in FORMS
            if (*network, form) != ("xception", nested, "b.weights.h5")
        ),
    ],
)
def test_fine_tuned(name: str, make, form: str, tmp_path: Path):
    theirs = make()
    path = saved(theirs, tmp_path / form)
    model = cnnzoo.build(name, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    report = load_weights(model, path)
    assert len(report.loaded) == len(model.weights)
    same(model, theirs, make is nested)
    other = cnnzoo.build(name, input_shape=(SIDE, SIDE, 3), classes=9)
    with pytest.raises(cnnzoo.WeightFileError, match=r"has 4 outputs, .*new_head=True"):
        load_weights(other, path)
    assert len(load_weights(other, path, new_head=True).new) == 2


def small() -> keras.Model:
    """A network of the catalog between layers of one's own."""
    shape = (32, 32, 3)
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255, name="scale"),
            keras.Sequential([layers.RandomFlip("horizontal")], name="augmentation"),
            cnnzoo.build("resnet20", include_top=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax", name="mine"),
        ]
    )
    randomise(model)
    return model


@pytest.mark.parametrize("form", [None, *FORMS[:2]])
def test_nested_in_memory_as_in_files(form: str | None, tmp_path: Path):
    theirs = small()
    source = theirs if form is None else saved(theirs, tmp_path / form)
    model = cnnzoo.build("resnet20", classes=CLASSES)
    notes = str(load_weights(model, source))
    assert ("'scale' takes pixels times 0.00392" in notes) == (form != FORMS[1])
    x = images(32)
    expected = np.asarray(theirs((x + 1) * 127.5, training=False))
    found = np.asarray(model((x + 1) / 2, training=False))
    assert relative(found, expected) <= 1e-4
    if form is None:
        with pytest.warns(UserWarning, match=r"new predictions/kernel.*'scale' takes"):
            cnnzoo.build("resnet20", classes=9, weights=theirs)
        with pytest.warns(UserWarning, match="which is to be done likewise"):
            bare = cnnzoo.build("resnet20", include_top=False, weights=theirs)
        kernel = bare.get_layer("stem_conv").kernel
        np.testing.assert_array_equal(kernel, model.get_layer("stem_conv").kernel)


@pytest.mark.parametrize(
    ("name", "make"),
    [("xception", nested), pytest.param("resnet50", flat, marks=pytest.mark.proof)],
)
def test_archives_up_to_keras_3_5(name: str, make, tmp_path: Path):
    theirs = make()
    path = without_names(saved(theirs, tmp_path / "old.keras"))
    model = cnnzoo.build(name, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    report = load_weights(model, path)
    same(model, theirs, make is nested)
    scaled = r"its 'rescaling\w*' takes pixels times 0.00784313725490196 plus -1,"
    assert any(re.match(scaled, note) for note in report.notes) == (make is nested)


def test_a_config_that_is_broken(tmp_path: Path):
    path = saved(cnnzoo.build("lenet_gap"), tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"] = 3
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(cnnzoo.WeightFileError, match="has a broken config"):
        load_weights(cnnzoo.build("lenet_gap"), path)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.network = cnnzoo.build("lenet_gap")

    def call(self, inputs):
        return self.network(inputs)


def test_subclassed(tmp_path: Path):
    theirs = Subclassed()
    theirs(np.zeros((1, 28, 28, 1)))
    randomise(theirs.network)
    theirs.save_weights(tmp_path / "a.weights.h5")
    model = cnnzoo.build("lenet_gap")
    load_weights(model, tmp_path / "a.weights.h5")
    for one, two in zip(model.get_weights(), theirs.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_group_within_itself(tmp_path: Path):
    path = tmp_path / "a.weights.h5"
    cnnzoo.build("lenet_gap").save_weights(path)
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/again"] = file["layers"]
    with pytest.raises(cnnzoo.UnsafeFileError, match="refers to data outside itself for"):
        load_weights(cnnzoo.build("lenet_gap"), path)
