"""MNIST in the package, in `.npz` and IDX files, and images and labels in CSV files."""

import gzip
import importlib.util
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnzoo.data.arrays import Images
from cnnzoo.data.inputs.conversion import as_labelled, as_source
from cnnzoo.data.mnist import is_mnist_folder, load_mnist, read_idx
from cnnzoo.data.sources import open_source, open_train_validation
from cnnzoo.data.table import read_csv
from cnnzoo.errors import DatasetError, UsageError

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "cnnzoo" / "data" / "digits"
WHOLE = Path(os.environ.get("CNNZOO_DATA", "")) / "mnist.npz"
needs_mnist = pytest.mark.skipif(
    "CNNZOO_DATA" not in os.environ or not WHOLE.is_file(),
    reason="needs mnist.npz in the folder CNNZOO_DATA",
)


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the whole of MNIST, as for a user who has only the package."""
    monkeypatch.delenv("CNNZOO_DATA", raising=False)


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    return images, np.arange(20, dtype=np.uint8) % 10


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """The bytes of an IDX file, written by the format's own definition."""
    header = bytes((0, 0, code, array.ndim)) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.tobytes()


def write_folder(
    folder: Path,
    sample: tuple[np.ndarray, np.ndarray],
    prefix: str = "train",
    dot: bool = False,
    packed: bool = False,
) -> None:
    for kind, array in zip(("images-idx3", "labels-idx1"), sample, strict=True):
        name = f"{prefix}-{kind.replace('-', '.') if dot else kind}-ubyte"
        content = gzip.compress(idx(array)) if packed else idx(array)
        (folder / (name + ".gz" * packed)).write_bytes(content)


# The digits in the package ---------------------------------------------------------


def test_test_split_in_package():
    digits = load_mnist("test")
    assert digits.images.shape == (10000, 28, 28, 1)
    assert digits.images.dtype == np.uint8
    assert digits.labels is not None
    assert digits.labels.dtype == np.int64
    assert digits.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert digits.images.mean() == pytest.approx(33.791224489795916, rel=1e-12)
    assert digits.class_names == tuple("0123456789")
    assert len(digits) == 10000


@pytest.mark.usefixtures("no_data")
def test_training_digits_in_package():
    digits = load_mnist("train")
    assert digits.images.shape == (6000, 28, 28, 1)
    assert digits.labels is not None
    assert np.bincount(digits.labels).tolist() == [600] * 10


@needs_mnist
def test_package_equals_mnist(monkeypatch: pytest.MonkeyPatch):
    whole_train, whole_test = load_mnist("train"), load_mnist("test", WHOLE)
    assert len(whole_train) == 60000
    assert whole_train.labels is not None
    monkeypatch.delenv("CNNZOO_DATA")
    train, test = load_mnist("train"), load_mnist("test")
    with np.load(DIGITS / "train.npz") as arrays:
        index = arrays["index"]
    assert len(np.unique(index)) == 6000
    np.testing.assert_array_equal(train.images, whole_train.images[index])
    np.testing.assert_array_equal(train.labels, whole_train.labels[index])
    np.testing.assert_array_equal(test.images, whole_test.images)
    np.testing.assert_array_equal(test.labels, whole_test.labels)
    np.testing.assert_array_equal(make_digits().choose(whole_train.labels), index)


def make_digits():
    spec = importlib.util.spec_from_file_location(
        "make_digits", ROOT / "tools" / "make_digits.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_packing_gives_the_same_bytes_and_arrays(tmp_path: Path):
    arrays = {"images": np.arange(5000, dtype=np.uint8), "labels": np.arange(3)}
    pack = make_digits().pack
    first = pack(arrays)
    assert pack(arrays) == first
    (tmp_path / "a.npz").write_bytes(first)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        clocks = {member.date_time for member in archive.infolist()}
    assert clocks == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "a.npz") as back:
        assert {name: back[name].tolist() for name in back} == {
            name: array.tolist() for name, array in arrays.items()
        }


# Where MNIST comes from ------------------------------------------------------------


def test_data_folder_and_download(
    tmp_path: Path, sample, monkeypatch: pytest.MonkeyPatch
):
    x, y = sample
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: ((x[:15], y[:15]), 0))
    monkeypatch.setenv("CNNZOO_DATA", str(tmp_path))
    assert len(load_mnist("train", download=True)) == 20
    assert len(load_mnist("test", download=True)) == 10000
    monkeypatch.setenv("CNNZOO_DATA", str(tmp_path / "missing"))
    assert len(load_mnist("train", download=True)) == 15
    assert len(load_mnist("train")) == 6000


@pytest.mark.usefixtures("no_data")
def test_failed_download(monkeypatch: pytest.MonkeyPatch):
    def fail():
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(DatasetError, match=r"download.*URL fetch failure.*network"):
        load_mnist("train", download=True)


@pytest.mark.parametrize(
    ("name", "shape", "first"),
    [("fashion_mnist", (28, 28), "T-shirt/top"), ("cifar10", (32, 32, 3), "airplane")],
)
def test_other_data_sets_of_keras(name: str, shape, first: str, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), np.uint8)
    y = np.arange(20)[:, None] % 10 if name == "cifar10" else np.arange(20) % 10
    parts = (x[:15], y[:15]), (x[15:], y[15:])
    module = getattr(keras.datasets, name)
    monkeypatch.setattr(module, "load_data", lambda: parts)
    test = open_source(name, "test", download=True)
    assert test.labels is not None
    assert test.labels.tolist() == [5, 6, 7, 8, 9]
    found = open_source(name, "train", download=True)
    assert found.class_names[0] == first
    assert found.image_shape == (*shape[:2], x[..., None].shape[3])
    assert isinstance(found, Images)
    np.testing.assert_array_equal(found.images.reshape(15, *shape), x[:15])
    for opens in (open_source, as_labelled, as_source):
        with pytest.raises(DatasetError, match=f"{name} is not.*'{name}', download"):
            opens(name)
    with pytest.raises(DatasetError, match=r"not in the package.*--download"):
        open_train_validation(name)
    monkeypatch.setattr(module, "load_data", lambda: 1 / 0)
    with pytest.raises(DatasetError, match=f"cannot download {name} by.*division by"):
        open_source(name, download=True)


def test_rgb_images_and_class_names_of_an_npz(tmp_path: Path):
    x, y = np.full((2, 8, 9, 3), 7, np.uint8), np.array([[1], [0]])
    arrays = {"x_test": x, "y_test": y}
    np.savez(tmp_path / "a.npz", **arrays, class_names=np.array(["cat", "dog"]))
    found = open_source(str(tmp_path / "a.npz"), "test")
    assert (found.image_shape, found.class_names) == ((8, 9, 3), ("cat", "dog"))
    np.savez(tmp_path / "b.npz", **arrays)
    assert load_mnist("test", tmp_path / "b.npz").class_names == tuple("0123456789")
    np.savez(tmp_path / "c.npz", **arrays, class_names=np.array(["cat"]))
    with pytest.raises(DatasetError, match="labels of 0 to 0, found labels of 0 to 1"):
        load_mnist("test", tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", **arrays, class_names=np.array(["cat", {}], object))
    with pytest.raises(DatasetError, match=r"d\.npz.*a sound \.npz.*allow_pickle"):
        load_mnist("test", tmp_path / "d.npz")


def test_unknown_split():
    with pytest.raises(UsageError, match="unknown split 'val'; known: test, train"):
        load_mnist("val")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_npz(tmp_path: Path, sample, dtype: type):
    x, y = sample
    np.savez_compressed(tmp_path / "a.npz", x_train=x, y_train=y.astype(dtype))
    digits = load_mnist("train", tmp_path / "a.npz")
    np.testing.assert_array_equal(digits.images[..., 0], x)
    np.testing.assert_array_equal(digits.labels, y)
    with pytest.raises(DatasetError, match=r"a\.npz.*arrays x_test and y_test"):
        load_mnist("test", tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 28, 28), np.float32), np.zeros(2, int), "uint8 images.*float32"),
        (np.zeros((2, 784), np.uint8), np.zeros(2, int), r"images \(n, h, w\).*784"),
        (np.zeros((2, 8, 8, 4), np.uint8), np.zeros(2, int), r"\(n, h, w, 3\).*8, 4\)"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, int), r"found uint8 \(0, 28"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, int), r"2 integer labels.*\(3,\)"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(2), "integer labels.*float64"),
        (np.zeros((2, 28, 28), np.uint8), np.array([0, 10]), "of 0 to 9, found.*0 to 10"),
        (np.zeros((2, 28, 28), np.uint8), np.array([-1, 3]), "of 0 to 9, found.*-1 to 3"),
        (np.array([{}], object), np.zeros(1, int), r"sound \.npz.*allow_pickle"),
    ],
)
def test_npz_of_something_else(
    tmp_path: Path, x: np.ndarray, y: np.ndarray, message: str
):
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
    with pytest.raises(DatasetError, match=f"a.npz.*{message}"):
        load_mnist("train", tmp_path / "a.npz")


def test_damaged_npz(tmp_path: Path, sample):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x_train=sample[0], y_train=sample[1])
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (b"", b"PK", whole[:500], bytes(flipped), b"x" * 1000):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"a\.npz: expected a sound \.npz"):
            load_mnist("train", path)


def test_npz_bombs(tmp_path: Path):
    path = tmp_path / "a.npz"
    header = np.lib.format.magic(1, 0) + struct.pack("<H", 118)
    claim = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,)}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", header + claim.ljust(117) + b"\n")
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DatasetError, match=r"sound \.npz"):
        load_mnist("train", path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", bytes(1000))
    # The size that the archive declares for its member, little-endian: 1,000, as 2 GiB.
    content = path.read_bytes().replace(struct.pack("<I", 1000), struct.pack("<I", 2**31))
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="2147483648 bytes where at most 1073741824"):
        load_mnist("train", path)


@pytest.mark.parametrize("name", ["missing.npz", "pipe"])
def test_no_regular_file(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match=f"{name}: expected an .npz.*neither"):
        load_mnist("train", tmp_path / name)
    with pytest.raises(DatasetError, match=f"{name}: expected an IDX file, found no"):
        read_idx(tmp_path / name, rank=3)
    with pytest.raises(DatasetError, match=f"{name}: expected a CSV file, found no"):
        read_csv(tmp_path / name)


# IDX files -------------------------------------------------------------------------


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_folder(tmp_path: Path, sample, dot: bool, packed: bool):
    assert not is_mnist_folder(tmp_path)
    write_folder(tmp_path, sample, "t10k", dot, packed)
    assert is_mnist_folder(tmp_path)
    digits = load_mnist("test", tmp_path)
    np.testing.assert_array_equal(digits.images[..., 0], sample[0])
    np.testing.assert_array_equal(digits.labels, sample[1])
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte, with or without"):
        load_mnist("train", tmp_path)


def test_no_mnist_folder(tmp_path: Path):
    assert not is_mnist_folder(tmp_path / "missing")
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    assert not is_mnist_folder(tmp_path)
    assert not is_mnist_folder(DIGITS / "test.npz")


def test_idx_counts_that_differ(tmp_path: Path, sample):
    write_folder(tmp_path, (sample[0], sample[1][:-1]))
    with pytest.raises(DatasetError, match=r"20 integer labels.*found uint8 \(19,\)"):
        load_mnist("train", tmp_path)


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-1], "15680 bytes of values.*found 15679"),
        (lambda b: b + b"x", "15680 bytes of values.*found more"),
        (lambda b: b[:10], "3 dimensions of 4 bytes, found 6 bytes"),
        (lambda b: b"", "0x00000803, an IDX file of.*found 0x,"),
        (lambda b: b"\1" + b[1:], "0x00000803.*found 0x01000803"),
        (lambda b: b[:2] + b"\x0d" + b[3:], "unsigned bytes.*found 0x00000d03"),
        (lambda b: b[:3] + b"\1" + b[4:], "3 dimensions.*found 0x00000801"),
        (lambda b: b[:4] + bytes(4) + b[8:], r"above 0, found \(0, 28, 28\)"),
        (lambda b: b[:4] + b"\x80\0\0\0" + b[8:], "declares 1683627180032,"),
        (lambda b: b[:4] + b"\x7f\0\0\0\x7f\0\0\0\x7f\0\0\0", "declares 9673215223"),
    ],
)
def test_bad_idx(tmp_path: Path, sample, change: Change, message: str, packed: bool):
    content = change(idx(sample[0]))
    (tmp_path / "a").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DatasetError, match=f"a: expected .*{message}"):
        read_idx(tmp_path / "a", rank=3)


def test_idx_header_that_claims_much_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    claim = bytes((0, 0, 8, 3)) + struct.pack(">3I", 1000, 1000, 1000)
    monkeypatch.setattr(np, "frombuffer", None)  # nothing may get as far as an array
    for content in (claim, gzip.compress(claim)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DatasetError, match="declares 1000000000, "):
            read_idx(tmp_path / "a", rank=3)


def test_gzip_bomb_is_not_unpacked(tmp_path: Path):
    bomb = gzip.compress(idx(np.zeros((4, 5), np.uint8)) + bytes(10_000_000))
    # Cut, so that who unpacks all of it fails in another way.
    (tmp_path / "a.gz").write_bytes(bomb[:-8])
    with pytest.raises(DatasetError, match=r"expected 20 bytes of values.*found more"):
        read_idx(tmp_path / "a.gz", rank=2)


def test_damaged_gzip(tmp_path: Path, sample):
    whole = gzip.compress(idx(sample[0]))
    flipped = bytearray(whole)
    flipped[-6] ^= 255  # in the checksum
    for content in (whole[:-9], whole[:200], whole[:5], bytes(flipped)):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"readable bytes, found .*fetch it"):
            read_idx(tmp_path / "a.gz", rank=3)


# The split -------------------------------------------------------------------------


def test_split_is_stratified_and_repeatable():
    labels = np.repeat(np.arange(3), (100, 50, 10))
    images = np.arange(160, dtype=np.uint8).reshape(-1, 1, 1, 1)
    whole = Images(images, labels, ("a", "b", "c"), tuple(map(str, range(160))))
    train, validation = whole.split(0.2, seed=3)
    assert train.labels is not None
    assert validation.labels is not None
    assert np.bincount(train.labels).tolist() == [80, 40, 8]
    assert np.bincount(validation.labels).tolist() == [20, 10, 2]
    for part in (train, validation):
        rows = part.images.ravel()
        np.testing.assert_array_equal(part.labels, labels[rows])
        assert part.ids == tuple(map(str, rows))
        assert np.all(np.diff(rows.astype(int)) > 0)
    together = np.concatenate([train.images, validation.images]).ravel()
    assert sorted(together.tolist()) == list(range(160))
    again, other = whole.split(32, seed=3), whole.split(0.2, seed=4)
    np.testing.assert_array_equal(again[1].images, validation.images)
    assert not np.array_equal(other[1].images, validation.images)


@pytest.mark.parametrize(
    ("labels", "fraction", "seed", "error", "message"),
    [
        ([0, 0, 1], 0.5, 0, DatasetError, "class 'b': expected at least 2.*found 1"),
        ([0, 0, 1, 1], 0.25, 0, DatasetError, "4 images of 2 classes with fraction 0.25"),
        ([0] * 50 + [1] * 2, 0.1, 0, DatasetError, "every class in both parts, found"),
        ([0, 0, 1, 1], 0.0, 0, UsageError, "fraction=0.0: expected a share above 0"),
        ([0, 0, 1, 1], 1.0, 0, UsageError, "fraction=1.0"),
        ([0, 0, 1, 1], 0, 0, UsageError, "fraction=0: expected a share above 0"),
        ([0, 0, 1, 1], 4, 0, DatasetError, "4 images of 2 classes with fraction 4"),
        (
            [0, 0, 1, 1],
            0.5,
            -1,
            UsageError,
            "seed=-1: expected a whole number from 0",
        ),
        (None, 0.5, 0, DatasetError, "4 unlabelled images"),
    ],
)
def test_impossible_split(labels, fraction, seed, error: type[Exception], message: str):
    images = np.zeros((len(labels or range(4)), 1, 1, 1), np.uint8)
    whole = Images(images, labels and np.array(labels), ("a", "b"))
    with pytest.raises(error, match=message):
        whole.split(fraction, seed)
