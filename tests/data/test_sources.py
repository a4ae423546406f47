"""Folders of images, and their batches."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import cnnzoo
from cnnzoo.data.arrays import Rows, Source, labels_hash
from cnnzoo.data.batches import Batches
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.pipeline import load_images
from cnnzoo.errors import DatasetError, ImageDecodeError, UsageError
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run
from cnnzoo.transfer.cut_points import cuts
from cnnzoo.transfer.features.cache import FeatureCache
from cnnzoo.zoo import build

GREY = np.arange(54, dtype=np.uint8).reshape(6, 9)
QUIET: dict[str, Any] = {"verbose": 0}


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of 4, 6 and 10 images, each image of one grey of its own."""
    value = 0
    for name, count in (("b", 4), ("10", 6), ("2", 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            saved(tmp_path / name / f"{number}.png", np.full((5, 4), value, np.uint8))
            value += 1
    return tmp_path


def test_scan(photos: Path):
    folder = scan(photos)
    assert folder.class_names == ("10", "2", "b")
    assert np.asarray(folder.labels).dtype == np.int64
    assert np.asarray(folder.labels).tolist() == [0] * 6 + [1] * 10 + [2] * 4
    assert len(folder) == 20
    assert folder.root == photos
    assert folder.paths[0] == photos / "10" / "0.png"
    assert folder.report.ignored == {}
    classes = [folder.class_names[label] for label in np.asarray(folder.labels)]
    assert [path.parent.name for path in folder.paths] == classes


def test_scan_counts_files_with_other_endings(photos: Path):
    for name in [
        "a.JPG",
        "b.jpeg",
        "c.bmp",
        "d.gif",
        "e.WebP",
        "f.tif",
        "g.tiff",
        "h.ppm",
    ]:
        (photos / "b" / name).touch()
    (photos / "b" / "i.jfif").touch()
    for name in ["x.heic", "y.HEIC", "notes.txt", "README", "Thumbs.db"]:
        (photos / "b" / name).touch()
    for name in ["._x.png", ".DS_Store", ".hidden.jpg"]:
        (photos / "b" / name).touch()
    (photos / "b" / "inner.png").mkdir()
    saved(photos / "b" / "inner.png" / "deep.png", GREY)
    (photos / ".cache").mkdir()
    (photos / "__MACOSX").mkdir()
    (photos / "loose.png").touch()
    folder = scan(photos, depth="names")
    assert np.bincount(np.asarray(folder.labels)).tolist() == [6, 10, 14]
    assert "b/inner.png/deep.png" in folder.names
    assert folder.class_names == ("10", "2", "b")
    assert folder.report.ignored == {"": 1, ".heic": 2, ".txt": 1}
    assert folder.report.hidden == 6
    assert folder.report.warnings == (
        "1 images lie beside the class folders and are left out",
    )


def test_unusual_names(photos: Path):
    names = ["ü😀", "a b ", "new\nline", os.fsdecode(b"\xff\xfe")]
    for name in names:
        saved(photos / "b" / f"{name}.png", GREY)
    images = load_images(scan(photos), (2, 2, 1))
    assert len(images) == 24


def test_unusable_folders(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"gone as a set of images: .*found nothing"):
        scan(tmp_path / "gone")
    file = saved(tmp_path / "1.png", GREY)
    with pytest.raises(
        DatasetError, match=r"1\.png as .*expected a folder, found a file"
    ):
        scan(file)
    layout = "found 0 such folders and 1 images beside them.*photos/cat/1.jpg"
    with pytest.raises(DatasetError, match=layout):
        scan(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(
        DatasetError, match="each class, at least two, found 1 such folders"
    ):
        scan(tmp_path)
    (tmp_path / "b" / "deeper").mkdir(parents=True)
    saved(tmp_path / "a" / "1.png", GREY)
    with pytest.raises(
        DatasetError, match=r"b as .*found none that can be used, so add images"
    ):
        scan(tmp_path)


def test_unreadable_folder(photos: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"readable folders, found.*Permission denied"):
        scan(photos)


class Generated(Source):
    """A third kind of source: row n is an image of grey n, made when it is loaded."""

    ROWS = ("greys",)

    def __init__(self, greys: np.ndarray, labels: np.ndarray, class_names=("a", "b")):
        self.greys, self.labels, self.class_names = greys, labels, tuple(class_names)

    def __len__(self) -> int:
        return len(self.greys)

    def load(self, rows: Rows, size: tuple[int, int], channels: int) -> np.ndarray:
        greys = self.greys[rows].astype(np.uint8)
        return np.broadcast_to(
            greys[:, None, None, None], (len(greys), *size, channels)
        ).copy()

    def fingerprint(self) -> str:
        return labels_hash(self).hexdigest() + self.greys.tobytes().hex()

    def content_keys(self) -> list[str]:
        return [f"{grey:032x}" for grey in self.greys]


def test_a_third_kind_of_source(tmp_path: Path):
    """No other code depends on its class."""
    whole = Generated(np.arange(40), np.arange(40) // 20)
    train, validation = whole.split(0.5, seed=0)
    model = build("mlp", input_shape=(4, 4, 1), classes=2, depth=1, width=4)
    Run(tmp_path / "run").fit(model, train, validation, Recipe(epochs=1))
    assert cnnzoo.evaluate(model, validation).images == 20
    cut = cuts(model)[-1].name
    rows = FeatureCache.build(model, whole, cut, tmp_path / "cache")
    assert len(rows.rows(np.arange(40))) == 40
    with pytest.raises(UsageError, match="expected a folder of image files, in whose"):
        whole.split(0.5, seed=0, group_by="x")


def test_split_of_a_folder(photos: Path):
    folder = scan(photos)
    train, validation = folder.split(0.5, seed=1)
    assert np.bincount(np.asarray(train.labels)).tolist() == [3, 5, 2]
    assert np.bincount(np.asarray(validation.labels)).tolist() == [3, 5, 2]
    assert sorted(train.paths + validation.paths) == sorted(folder.paths)
    for part in (train, validation):
        for path, label in zip(part.paths, np.asarray(part.labels), strict=True):
            assert path.parent.name == folder.class_names[label]
    assert folder.split(0.5, seed=1)[0].paths == train.paths
    assert folder.split(0.5, seed=2)[0].paths != train.paths


def test_split_needs_two_images_a_class(photos: Path):
    for number in range(1, 4):
        (photos / "b" / f"{number}.png").unlink()
    with pytest.raises(DatasetError, match=r"class 'b': expected at least 2.*found 1"):
        scan(photos).split(0.5, seed=1)


def test_load(photos: Path):
    folder = scan(photos)
    images = load_images(folder, (3, 2, 3))
    assert images.images.shape == (20, 3, 2, 3)
    assert images.images[:, 0, 0, 0].tolist() == [*range(4, 20), *range(4)]
    np.testing.assert_array_equal(images.labels, folder.labels)
    assert images.class_names == folder.class_names
    folder.paths[7].write_bytes(b"")
    with pytest.raises(ImageDecodeError, match=r"/2/1\.png: "):
        load_images(folder, (3, 2, 3))


# Batches ---------------------------------------------------------------------------


def order(batches: Batches) -> list[int]:
    """The grey of every image, which identifies it, in the order of an epoch."""
    passed = [batches[index] for index in range(len(batches))]
    for images, labels in passed:
        greys = images[:, 0, 0, 0]
        classes = np.select([greys < 4, greys < 10], [2, 0], 1)
        np.testing.assert_array_equal(labels, classes)
    return np.concatenate([images[:, 0, 0, 0] for images, _ in passed]).tolist()


def test_batches(photos: Path):
    batches = Batches(scan(photos), (5, 4, 1), 8, shuffle=False, seed=0)
    assert len(batches) == 3
    images, labels = batches[2]
    assert images.shape == (4, 5, 4, 1)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert order(batches) == [*range(4, 20), *range(4)]


def test_order_comes_from_seed_and_epoch(photos: Path):
    folder = scan(photos)
    first = Batches(folder, (5, 4, 1), 8, shuffle=True, seed=5)
    orders = []
    for epoch in range(3):
        first.epoch = epoch
        orders.append(order(first))
        expected = np.random.default_rng([5, epoch]).permutation(20)
        assert orders[-1] == ((expected + 4) % 20).tolist()
    assert orders[0] != orders[1] != orders[2]
    other = Batches(folder, (5, 4, 1), 3, shuffle=True, seed=6)
    assert sorted(order(other)) == list(range(20))
    assert order(other) != orders[0]


class Noting(Batches):
    """Records the images of each batch, as the model receives them."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.passes: dict[int, list[list[int]]] = {}

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        images, labels = super().__getitem__(index)
        if self._under_way:
            self.passes.setdefault(self.epoch, []).append(images[:, 0, 0, 0].tolist())
        return images, labels


def small_model() -> keras.Model:
    images = keras.Input((5, 4, 1))
    scaled = keras.layers.Rescaling(1 / 255)(images)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(scaled))
    model = keras.Model(images, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_keras_takes_batches(photos: Path):
    folder = scan(photos)
    train = Noting(folder, (5, 4, 1), 8, shuffle=True, seed=5)
    check = Batches(folder, (5, 4, 1), 6, shuffle=False, seed=0)
    model = small_model()
    model.fit(train, validation_data=check, epochs=3, **QUIET, shuffle=False)
    assert list(train.passes) == [0, 1, 2]
    for epoch, batches in train.passes.items():
        expected = (np.random.default_rng([5, epoch]).permutation(20) + 4) % 20
        assert [grey for batch in batches for grey in batch] == expected.tolist()
    assert train.epoch == 3
    images = load_images(folder, (5, 4, 1))
    np.testing.assert_allclose(
        model.predict(check, **QUIET),
        model.predict(images.images, **QUIET),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        model.evaluate(check, **QUIET),
        model.evaluate(images.images, images.labels, **QUIET),
        rtol=1e-5,
    )


def test_a_bad_file_is_named_by_fit(photos: Path):
    (photos / "b" / "2.png").write_bytes(b"")
    batches = Batches(scan(photos, depth="names"), (5, 4, 1), 8, shuffle=False, seed=0)
    with pytest.raises(Exception, match=r"/b/2\.png"):
        small_model().fit(batches, **QUIET, shuffle=False)


@pytest.mark.parametrize(
    ("size", "channels", "batch_size", "seed", "message"),
    [
        ((5, 4), 2, 8, 0, "to 2 channels"),
        ((0, 4), 1, 8, 0, r"size \(0, 4\)"),
        ((5, 4), 1, 0, 0, "batch_size=0: expected a whole number of at least 1"),
        ((5, 4), 1, 8, -1, "seed=-1: expected a number of at least 0"),
    ],
)
def test_impossible_batches(
    photos: Path, size, channels: int, batch_size: int, seed: int, message: str
):
    with pytest.raises(UsageError, match=message):
        Batches(scan(photos), (*size, channels), batch_size, shuffle=True, seed=seed)
