"""What people type: every form of images and labels that is taken, and the refusals."""

import io
import shutil
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from picture_files import cats_and_dogs, packed, picture
from PIL import Image

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.folders.image_files import ImageFiles
from cnnzoo.data.inputs.conversion import as_labelled, as_source, as_train_validation
from cnnzoo.data.inputs.labels import class_numbers
from cnnzoo.data.inputs.pictures import Pictures
from cnnzoo.errors import DatasetError, ImageDecodeError, LabelError, UsageError

SIZE = (24, 24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two class folders with three images each."""
    return cats_and_dogs(tmp_path_factory.mktemp("photos"), 6)


def pixels(value) -> np.ndarray:
    source = as_source(value)
    return source.load(np.arange(len(source)), SIZE, 3)


def test_one_picture_in_every_form(photos: Path):
    path = photos / "cat" / "00.png"
    image, content = Image.open(path), path.read_bytes()
    array = np.asarray(image)
    expected = cnnzoo.decode(path, SIZE, 3)
    forms = [
        *(path, str(path), [path], (str(path),), [str(path)], iter([path])),
        *(image, content, bytearray(content), memoryview(content), io.BytesIO(content)),
        *(array, array[None], array.astype(np.float32), [array], tf.constant(array)),
        *([image], [content], np.array([str(path)]), str(photos / "c*" / "00.png")),
        torch.tensor(array.astype(np.float32), requires_grad=True),
        io.TextIOWrapper(io.BytesIO(content)),
    ]
    for form in forms:
        np.testing.assert_array_equal(pixels(form), expected[None], repr(type(form)))
    assert np.asarray(image).shape == array.shape  # the caller's own is unchanged


def test_folders_and_patterns(photos: Path, monkeypatch):
    names = [f"cat/{n:02}.png" for n in (0, 2, 4)] + [
        f"dog/{n:02}.png" for n in (1, 3, 5)
    ]
    paths = tuple(str(photos / name) for name in names)
    for value in (photos, str(photos), f"{photos}/**/*.png", photos.glob("*/*.png")):
        source = as_source(value)
        assert isinstance(source, ImageFiles)
        assert sorted(source.names) == sorted(paths)
    both = as_source([photos / "dog", f"{photos}/cat/0[02].png"])
    assert isinstance(both, ImageFiles)
    assert both.names == (*paths[3:], *paths[:2])
    monkeypatch.setenv("HOME", str(photos))
    assert len(as_source("~/cat")) == 3


def test_several_pictures(photos: Path):
    first, second = (photos / "cat" / "00.png", photos / "dog" / "01.png")
    small = np.asarray(picture(20))
    mixed = as_source([first, second.read_bytes(), Image.open(first), small])
    assert isinstance(mixed, Pictures)
    loaded = mixed.load(slice(None), SIZE, 3)
    assert loaded.shape == (4, *SIZE, 3)
    np.testing.assert_array_equal(loaded[0], loaded[2])
    assert mixed.names_of(np.arange(2)) == [str(first), "image 1"]
    again = mixed.take(np.array([3, 1]))
    np.testing.assert_array_equal(again.load(slice(None), SIZE, 3), loaded[[3, 1]])
    keys = mixed.content_keys()
    assert again.content_keys() == [keys[3], keys[1]]
    assert again.fingerprint() != mixed.fingerprint()
    stack = as_source([small, small])
    assert isinstance(stack, Images)
    assert stack.images.shape == (2, 20, 20, 3)
    batches = as_source([np.stack([small, small + 1]), small[None], small + 2])
    assert isinstance(batches, Images)
    expected = np.stack([small, small + 1, small, small + 2])
    np.testing.assert_array_equal(batches.images, expected)
    grey = as_source([small[..., 0]])
    assert grey.image_shape == (20, 20, 1)


def test_keys_of_pictures_tell_their_colours_apart():
    def palette(red: int, **info) -> Image.Image:
        image = Image.new("P", (2, 2))
        image.putpalette([red, 0, 0])
        image.info.update(info)
        return image

    turned = Image.new("RGB", (2, 2))
    turned.getexif()[0x0112] = 6
    forms = [palette(1), palette(2), palette(1, transparency=0), turned]
    forms += [Image.new("RGB", (2, 2)), Image.new("HSV", (2, 2))]
    keys = [key for form in forms for key in as_source(form).content_keys()]
    assert len(set(keys)) == len(forms)
    assert as_source(palette(1)).content_keys() == keys[:1]


def test_data_sets_as_images(tmp_path: Path):
    assert len(as_source("mnist")) == 10_000
    digits = cnnzoo.load_mnist("test").take(np.arange(3))
    assert as_source(digits) is digits
    lines = [",".join(map(str, image.ravel())) for image in digits.images[:, :4, :4]]
    header = ",".join(f"p{i}" for i in range(16))
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *lines]))
    np.testing.assert_array_equal(as_source(path).images, digits.images[:, :4, :4])  # pyright: ignore


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected the path of an image, a folder or a pattern.*found NoneType"),
        (3, "found int"),
        ([[1, 2]], "found list of 2"),
        ({"a": 1}, "found dict of 1"),
        (keras.Input((2, 2, 3)), "cannot take images"),
        (np.zeros((4, 4), np.uint8), r"found the shape \(4, 4\)"),
        (np.zeros((3, 32, 32), np.uint8), r"found the shape \(3, 32, 32\)"),
        (np.random.default_rng(0).random((1, 4, 4, 3)), "float64 between 0.* not sc"),
        ("https://a.org/cat.jpg", "is an address or an archive; .* download and unpack"),
        ("photos.ZIP", "is an address or an archive"),
        (np.array([{}]), "found dict"),
    ],
)
def test_no_images(value, message):
    with pytest.raises(UsageError, match=message) as caught:
        as_source(value)
    assert len(str(caught.value)) <= 1000


def test_places_without_images(tmp_path: Path):
    for value in (tmp_path, f"{tmp_path}/*.jpg"):
        with pytest.raises(DatasetError, match=r"found no images by.*check the path"):
            as_source(value)
    with pytest.raises(ImageDecodeError, match=r"a\.jpg.*no regular file"):
        pixels(tmp_path / "a.jpg")
    deep = Image.fromarray(np.zeros((4, 4), np.int32))
    with pytest.raises(ImageDecodeError, match="32-bit pixels, whose range is not known"):
        pixels(deep)
    first = np.zeros((1, 3, 8, 8), np.uint8)  # channels first
    with pytest.raises(DatasetError, match="transpose arrays that have them first"):
        pixels(first)
    for bad in (b"no image", [b""]):
        with pytest.raises(ImageDecodeError, match=r"an image in memory.*none of these"):
            pixels(bad)
    denied = patch("os.scandir", side_effect=PermissionError(13, "denied"))
    with denied, pytest.raises(DatasetError, match=r"13. denied, so allow access"):
        as_source(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageDecodeError, match=r"link\.jpg.*a link to nothing"):
        as_source(tmp_path)


CATS = ("cat", "dog")
TEXTS = np.array([b"dog", b"cat", b"dog"], object)


@pytest.mark.parametrize(
    ("labels", "known", "numbers", "names"),
    [
        ([1, 0, 1], (), [1, 0, 1], ("0", "1")),
        (np.array([[2], [0], [1]]), (), [2, 0, 1], ("0", "1", "2")),
        (np.array([1.0, 0.0, 1.0], np.float32), (), [1, 0, 1], ("0", "1")),
        ([True, False, True], (), [1, 0, 1], ("0", "1")),
        (np.array([1, 0, 1], object), CATS, [1, 0, 1], CATS),
        (np.eye(2, dtype=int)[[1, 0, 1]].astype(object), (), [1, 0, 1], ("0", "1")),
        (np.eye(4)[[3, 1, 1]], (), [3, 1, 1], ("0", "1", "2", "3")),
        (np.eye(2, dtype=int)[[1, 0, 1]], CATS, [1, 0, 1], CATS),
        ([0, 0, 1], CATS, [0, 0, 1], CATS),
        ([0, 0, 0], tuple("012"), [0, 0, 0], tuple("012")),
        (["dog", "cat", "dog"], (), [1, 0, 1], CATS),
        (TEXTS, (), [1, 0, 1], CATS),
        (TEXTS[:, None], ("dog", "owl", "cat"), [0, 2, 0], ("dog", "owl", "cat")),
        (["dog", "cat", "dog"], ("0", "1"), [1, 0, 1], CATS),
    ],
)
def test_labels_by_one_rule(labels, known, numbers, names):
    found, classes = class_numbers(labels, 3, known)
    assert found.dtype == np.int64
    assert found.tolist() == numbers
    assert classes == names


class Missing:
    """Stands for pandas.NA, whose comparisons are neither true nor false."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __repr__(self):
        return "<NA>"


@pytest.mark.parametrize(
    ("labels", "known", "message"),
    [
        ([0, 1], (), r"one for each of 3 images, found the shape \(2,\)"),
        ("cat", (), r"found the shape \(\)"),
        ([[0], [1], [1, 2]], (), "a list or an array, found"),
        (np.full((3, 2), 0.5), (), r"a single 1 in each, found rows such as \[0.5, 0.5"),
        (np.eye(3), CATS, "one-hot rows, 2 columns"),
        ([0, 1, 2], CATS, "numbers below 2, the number of classes, found 2"),
        ([0, -1, 1], (), "-1 as label 1"),
        ([0, 0.5, 1], (), "0.5 as label 1"),
        ([0, None, 1], (), "None as label 1"),
        ([0, "a", {}], (), "'a' as label 1"),
        (["a", np.nan, "a"], (), "after the first, found nan as label 1"),
        (["a", Missing(), "a"], (), "after the first, found <NA> as label 1"),
    ],
)
def test_bad_labels(labels, known, message):
    with pytest.raises(LabelError, match=f"cannot take these labels: .*{message}"):
        class_numbers(labels, 3, known)


class Pairs(keras.utils.PyDataset):
    def __init__(self, x, y, size: int = 4):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    @property
    def num_batches(self) -> int | None:
        return None if self.size == 0 else -(-len(self.x) // self.size)

    def __getitem__(self, index: int):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]


def test_pairs_in_every_form(photos: Path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    y = np.arange(10) % 2
    flat = tf.data.Dataset.from_tensor_slices((x, y))
    forms = [
        *((x, y), (x, y[:, None]), (x, np.eye(2)[y]), (x, y.tolist()), (list(x), y)),
        *(flat, flat.batch(4), Pairs(x, y), Pairs(x, y[:, None])),
        tf.data.Dataset.from_tensor_slices((x, np.eye(2)[y])).batch(3),
        (Images(x, None, ()), y),
    ]
    for form in forms:
        source = as_labelled(form)
        np.testing.assert_array_equal(source.load(slice(None), (8, 8), 3), x)
        assert source.labels is not None
        assert source.labels.tolist() == y.tolist()
        assert source.class_names == ("0", "1")
    grey = x[..., 0]
    for form in ((grey, y), Pairs(grey, y), flat.map(lambda a, b: (a[..., :1], b))):
        source = as_labelled(form)
        np.testing.assert_array_equal(source.load(slice(None), (8, 8), 1)[..., 0], grey)
    only = as_source(flat.map(lambda a, b: a).batch(5))
    assert (only.labels, len(only)) == (None, 10)
    wide = tf.data.Dataset.from_tensor_slices((x, np.eye(8)[y]))  # 8 rows, 8 classes
    assert as_labelled(wide).image_shape == (8, 8, 3)
    grays = as_source(tf.data.Dataset.from_tensor_slices(grey).batch(5))
    np.testing.assert_array_equal(grays.load(slice(None), (8, 8), 1)[..., 0], grey)
    paths = sorted(map(str, photos.glob("*/*.png")))
    named = as_labelled((paths, [Path(path).parent.name for path in paths]))
    assert named.class_names == CATS
    assert named.take(np.array([5])).labels == [1]


def test_data_sets_by_path_and_names_of_classes(photos: Path):
    folder = as_labelled(str(photos))
    assert folder.class_names == CATS
    assert folder.fingerprint() == scan(photos).fingerprint()
    assert len(as_labelled("mnist")) == 10_000
    assert as_labelled(folder) is folder
    found = keras.utils.image_dataset_from_directory(
        photos, image_size=SIZE, batch_size=4, verbose=False
    )
    source = as_labelled(found, tuple("01"))
    assert source.class_names == CATS
    assert len(source) == 6


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, UsageError, r"expected \(images, labels\), 'mnist'.*found NoneType"),
        ([1, 2], UsageError, "cannot take labelled images: .*found list of 2"),
        ((1, 2, 3), UsageError, "found tuple of 3"),
        ("nowhere/", DatasetError, "nowhere is no data set.*unpack archives"),
        ((np.zeros((2, 4, 4, 3), np.uint8), [0]), LabelError, "one for each of 2"),
        (Pairs([], [], 0), UsageError, "an end; found one that repeats for ever"),
        (Pairs([], []), UsageError, "images of one size; found none or several"),
        (
            Pairs(np.zeros((4, 2)), np.zeros(4)),
            UsageError,
            r"2 parts, of which the first has the shape \(4, 2\)",
        ),
    ],
)
def test_no_labelled_images(value, error, message):
    with pytest.raises(error, match=message) as caught:
        as_labelled(value)
    assert len(str(caught.value)) <= 1000


def test_data_sets_that_have_no_end_no_labels_or_weights():
    x = np.zeros((4, 8, 8, 3), np.uint8)
    for value, message in (
        (tf.data.Dataset.from_tensor_slices((x, np.zeros(4))).repeat(), "repeats for"),
        (tf.data.Dataset.from_tensor_slices(x), "images without labels"),
        (tf.data.Dataset.from_tensor_slices((x, np.zeros(4), np.ones(4))), "3 parts"),
        (tf.data.Dataset.from_tensor_slices(x).map(lambda x: {"a": x}), r"shape \(\)"),
    ):
        with pytest.raises(UsageError, match=message):
            as_labelled(value)
    scaled = tf.data.Dataset.from_tensor_slices(np.full((4, 8, 8, 3), 0.5, np.float32))
    with pytest.raises(UsageError, match=r"float32 between 0\.5 and 0\.5, so pass"):
        as_source(scaled)


def test_training_and_validation_images(photos: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), np.arange(20) % 2
    expected = as_labelled((x, y)).split(0.2, seed=3)
    found = as_train_validation((x, y), 0.2, seed=3)
    for one, other in zip(found, expected, strict=True):
        assert one.fingerprint() == other.fingerprint()
    assert list(map(len, as_train_validation((x, y), 6))) == [14, 6]
    train, validation = as_train_validation((x, y), (x[:4], ["1", "0", "1", "0"]))
    assert (len(train), validation.class_names) == (20, ("0", "1"))
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(20)
    for other in (0.2, shuffled):  # a training on either can be resumed
        found = (as_train_validation(shuffled, other) for _ in range(3))
        assert len({tuple(one.fingerprint() for one in pair) for pair in found}) == 1
    named = (x, np.array(["ape", "bat"])[y])
    validation = as_train_validation(named, (x[:3], [1, 0, 0]))[1]
    assert validation.class_names == ("ape", "bat")
    train, validation = as_train_validation(photos, 2)
    assert (len(train), len(validation)) == (4, 2)
    assert train.checksums is not None
    with pytest.raises(DatasetError, match=r"6 images of .* are copies of images in"):
        as_train_validation(photos, str(photos))
    for part, rows in (("train", (0, 1, 2, 3)), ("val", (4, 5))):
        for n in rows:
            path = tmp_path / part / CATS[n % 2] / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed(picture(seed=n), "PNG"))
    assert list(map(len, as_train_validation(tmp_path, 0.5))) == [4, 2]
    shutil.copytree(photos, tmp_path / "test")
    for value in (tmp_path, str(tmp_path)):  # val/ and not test/
        assert len(as_train_validation((x, np.array(CATS)[y]), value)[1]) == 2
    with pytest.raises(UsageError, match=r"fraction=2\.5"):
        as_train_validation((x, y), 2.5)


def test_classes_of_a_folder(photos: Path):
    dogs = scan(photos).only(["dog"])
    assert [Path(name).parent.name for name in dogs.names] == ["dog"] * 3
    assert dogs.class_names == ("dog",)
    assert dogs.labels is not None
    assert dogs.labels.tolist() == [0, 0, 0]
    turned = scan(photos).only(["dog", "cat"])
    assert turned.labels is not None
    assert turned.labels.tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(UsageError, match="takes the path of a folder; got a list, so pa"):
        scan(["a.jpg"])  # pyright: ignore
    with pytest.raises(UsageError, match="unknown class 'cow'"):
        dogs.only(["cow"])
