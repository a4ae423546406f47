"""The feature cache, with the failures F01 to F08 of the project's list."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.augment import Augment
from cnnzoo.data.folders.folder import scan
from cnnzoo.spec import Preprocess
from cnnzoo.system import files
from cnnzoo.transfer import FeatureCache
from cnnzoo.transfer.cut_points import front
from cnnzoo.transfer.features import extractor, shards
from cnnzoo.transfer.features.cache import CachedBatches

CUT = "pool1"
SHIFTS = Augment(width_shift_range=2.5, height_shift_range=2.5)


def network(seed: int = 0, filters: int = 4) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(filters, 3, activation="relu", name="conv1")(inputs)
    x = keras.layers.MaxPooling2D(name=CUT)(x)
    x = keras.layers.Flatten(name="flat")(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="classifier")(x))


def images(count: int = 40, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    return Images(pixels, np.arange(count) % 3, ("a", "b", "c"))


def built(folder: Path, source=None, model=None, **options) -> FeatureCache:
    return FeatureCache.build(
        model or network(), source or images(), CUT, folder, **options
    )


def small_files(monkeypatch) -> None:
    """A file of so few rows that there are many."""
    monkeypatch.setattr(extractor, "SHARD", 36 * 4 * 8)


def test_rows_are_the_outputs_of_the_front(tmp_path: Path):
    every = np.arange(40)
    cache = built(tmp_path)
    seen = front(network(), [CUT]).predict_on_batch(images().images.astype("float32"))
    np.testing.assert_array_equal(cache.rows(every), seen)
    assert cache.shape == (3, 3, 4)
    assert (len(cache), cache.computed, cache.reused) == (40, 40, 0)
    again = built(tmp_path, memory=0)  # from the disk
    assert (again.computed, again.reused) == (0, 40)
    mixed = np.array([7, 0, 39, 7])
    np.testing.assert_array_equal(again.rows(mixed), seen[mixed])
    half = built(tmp_path, dtype="float16")
    np.testing.assert_array_equal(half.rows(every), seen.astype("float16"))


def test_views_depend_on_the_image_and_not_on_its_row(tmp_path: Path):
    options = {"augment": SHIFTS, "views": 3, "seed": 5}
    cache = built(tmp_path / "one", **options)
    every = np.arange(40)
    plain = built(tmp_path / "plain").rows(every)
    np.testing.assert_array_equal(cache.rows(every, 0), plain)
    for view in (1, 2):
        assert (cache.rows(every, view) != plain).any((1, 2, 3)).mean() > 0.8
    turned = images().take(every[::-1])
    other = built(tmp_path / "other", turned, **options)
    np.testing.assert_array_equal(other.rows(every[::-1], 2), cache.rows(every, 2))
    assert built(tmp_path / "one", **{**options, "seed": 6}).computed == 80


def test_batches_show_each_image_once_an_epoch(tmp_path: Path):
    cache = built(tmp_path, augment=SHIFTS, views=2)
    labels = np.arange(40)
    batches = CachedBatches(cache, labels, 16, shuffle=True, seed=1)
    epochs = []
    for epoch in range(2):
        batches.begin(epoch)
        parts = [batches[i] for i in range(len(batches))]
        assert [len(rows) for rows, _ in parts] == [16, 16, 8]
        seen = np.concatenate([own for _, own in parts])
        assert sorted(seen) == list(range(40))
        epochs.append((seen, np.concatenate([rows for rows, _ in parts])))
        views = [
            (epochs[-1][1] == cache.rows(seen, view)).all((1, 2, 3)).mean()
            for view in (0, 1)
        ]
        assert min(views) > 0.2
    assert (epochs[0][0] != epochs[1][0]).any()
    batches.begin(0)
    np.testing.assert_array_equal(batches[0][0], epochs[0][1][:16])


def test_f02_a_changed_front_is_computed_again(tmp_path: Path):
    built(tmp_path)
    assert built(tmp_path, model=network(seed=1)).computed == 40
    assert built(tmp_path, preprocessing=Preprocess(scale=1 / 255)).computed == 40
    assert built(tmp_path, dtype="float16").computed == 40
    retrained = network()
    retrained.get_layer("classifier").kernel.assign(
        retrained.get_layer("classifier").kernel * 2
    )
    assert built(tmp_path, model=retrained).computed == 0  # it is behind the cut
    retrained.get_layer("conv1").bias.assign(np.full(4, 1e-7))
    assert built(tmp_path, model=retrained).computed == 40
    assert len(list(tmp_path.iterdir())) == 5
    assert built(tmp_path).reused == 40  # the old one stays


def test_f03_only_new_or_changed_images_are_computed(tmp_path: Path):
    first = built(tmp_path, images(40))
    more = Images(
        np.concatenate([images(3, seed=9).images, images(40).images[5:]]),
        np.zeros(38, int),
        ("a",),
    )
    cache = built(tmp_path, more)
    assert (cache.computed, cache.reused) == (3, 35)
    np.testing.assert_array_equal(
        cache.rows(np.arange(3, 38)), first.rows(np.arange(5, 40))
    )
    twice = images(4).take(np.array([0, 1, 0, 0]))
    assert built(tmp_path / "new", twice).computed == 2


def test_f03_files_are_identified_by_content(tmp_path: Path):
    from PIL import Image

    for name, pixels in zip("abcdef", images(6).images, strict=True):
        path = tmp_path / "photos" / ("one" if name < "d" else "two") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    photos, place = tmp_path / "photos", tmp_path / "cache"
    first = built(place, scan(photos, checksums=True))
    (photos / "one" / "a.png").rename(photos / "one" / "z.png")
    Image.fromarray(images(1, seed=3).images[0, ..., 0]).save(photos / "two" / "e.png")
    cache = built(place, scan(photos))
    assert (cache.computed, cache.reused) == (1, 5)
    order = [1, 2, 0]  # b, c and the old a, which is the new z
    np.testing.assert_array_equal(cache.rows(np.arange(3)), first.rows(np.array(order)))
    assert built(place / "memory", images(6)).computed == 6
    found = scan(photos, checksums=True)
    Image.fromarray(images(1, seed=4).images[0, ..., 0]).save(photos / "two" / "e.png")
    with pytest.raises(cnnzoo.DatasetError, match=r"e\.png has changed since"):
        built(place / "later", found)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file, note: file.write_bytes(file.read_bytes()[:-9]), "bytes in place"),
        (lambda file, note: flip(file), "SHA-256"),
        (lambda file, note: file.write_bytes(bytes(file.stat().st_size)), "SHA-256"),
        (lambda file, note: file.unlink(), "No such file"),
        (lambda file, note: note.write_text("{"), "Expecting"),
        (lambda file, note: note.write_text("[]"), "list"),
        (lambda file, note: fewer(note), "rows for"),
        (lambda file, note: older(note), "format 0 in place of 1"),
    ],
    ids=["cut", "flipped", "zeros", "gone", "note cut", "note odd", "row count", "older"],
)
def test_f04_damaged_files_are_computed_again(damage, reason, tmp_path, monkeypatch):
    small_files(monkeypatch)
    expected = built(tmp_path).rows(np.arange(40))
    file = sorted(tmp_path.glob("*/rows-*.npy"))[1]
    damage(file, file.with_suffix(".json"))
    cache = built(tmp_path)
    (rejected,) = cache.rejected
    assert rejected.startswith(file.stem)
    assert reason in rejected
    assert 0 < cache.computed < 40
    np.testing.assert_array_equal(cache.rows(np.arange(40)), expected)
    assert built(tmp_path).rejected == ()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def fewer(note: Path) -> None:
    record = json.loads(note.read_text())
    note.write_text(json.dumps({**record, "keys": record["keys"][1:]}))


def older(note: Path) -> None:
    note.write_text(note.read_text().replace('"format": 1', '"format": 0'))


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_feature_cache import built, extractor
extractor.SHARD = 36 * 4 * 2
built({place!r}, batch_size=1)
"""


def test_the_same_bytes_in_another_shape_are_another_image():
    tall = images().images.reshape(40, 16, 4, 1)
    one, other = (
        replace(images(), images=pixels).content_keys()
        for pixels in (images().images, tall)
    )
    assert not set(one) & set(other)


def test_f01_killed_at_any_moment(tmp_path: Path, monkeypatch):
    """The missing rest is computed each time; complete files are reused."""
    monkeypatch.setattr(extractor, "SHARD", 36 * 4 * 2)
    writes: list[int] = []
    real = shards.write

    def ends_after(count: int):
        def write(*args):
            if len(writes) == count:
                # half a file and no note, as a kill leaves it
                (args[0] / f"rows-{'0' * 16}.npy").write_bytes(b"half")
                raise KeyboardInterrupt
            writes.append(1)
            return real(*args)

        return write

    expected = built(tmp_path / "whole").rows(np.arange(40))
    left = 40
    for count in (0, 1, 5, 9):
        writes.clear()
        monkeypatch.setattr(shards, "write", ends_after(count))
        with pytest.raises(KeyboardInterrupt):
            built(tmp_path / "cut", batch_size=1)
        left -= 2 * count
        monkeypatch.setattr(shards, "write", real)
        whole, rejected = shards.find(next((tmp_path / "cut").iterdir()))
        assert sum(len(shard.keys) for shard in whole) == 40 - left
        assert not rejected
    cache = built(tmp_path / "cut", batch_size=1)
    assert cache.computed == left
    # Another size of batches rounds otherwise.
    np.testing.assert_allclose(cache.rows(np.arange(40)), expected, rtol=1e-5)


def test_f01_old_temporary_files_are_removed(tmp_path: Path, monkeypatch):
    """Recent files stay, since their writer may still be running."""
    place = built(tmp_path).folder
    whole = set(place.iterdir())
    left = {place / f"rows-{'0' * 16}.npy", place / f"{files.TEMPORARY_PREFIX}1-2.npy"}
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))  # as a copy of it would have
    assert built(tmp_path).reused == 40
    assert set(place.iterdir()) == whole | left
    monkeypatch.setattr(shards, "FORGOTTEN", -1.0)
    assert built(tmp_path).reused == 40
    assert set(place.iterdir()) == whole


def test_f01_kill_9(tmp_path: Path):
    """A process is killed while it computes; the next one reuses its files."""
    place = tmp_path / "cache"
    code = KILLED.format(tests=str(Path(__file__).parent), place=str(place))
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        limit = time.monotonic() + 120
        while len(list(place.glob("*/rows-*.json"))) < 3 and time.monotonic() < limit:
            assert process.poll() is None or list(place.glob("*/rows-*.json"))
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    cache = built(place)
    assert cache.reused >= 6
    expected = built(tmp_path / "other").rows(np.arange(40))
    np.testing.assert_allclose(cache.rows(np.arange(40)), expected, rtol=1e-5)


def test_f05_several_write_at_once(tmp_path: Path, monkeypatch):
    small_files(monkeypatch)
    expected = built(tmp_path / "alone").rows(np.arange(40))
    made: list[FeatureCache] = []
    models = [network() for _ in range(4)]  # Keras's seed is one for all threads

    def work(turn: int) -> None:
        order = np.random.default_rng(turn).permutation(40)
        source = images().take(order)
        cache = built(tmp_path / "shared", source, models[turn], batch_size=32)
        np.testing.assert_array_equal(cache.rows(np.arange(40)), expected[order])
        made.append(cache)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    last = built(tmp_path / "shared")
    assert (last.computed, last.rejected) == (0, ())


def test_f06_a_full_disk_leaves_complete_files(tmp_path: Path, monkeypatch):
    small_files(monkeypatch)
    real, count = files.write_bytes, []

    def full(path, content):
        count.append(path)
        if len(count) == 4:
            raise cnnzoo.SaveError(f"cannot write {path}: No space left on device")
        return real(path, content)

    monkeypatch.setattr("cnnzoo.system.files.write_bytes", full)
    with pytest.raises(cnnzoo.SaveError, match="No space left"):
        built(tmp_path, batch_size=8)
    monkeypatch.setattr("cnnzoo.system.files.write_bytes", real)
    cache = built(tmp_path, batch_size=8)
    assert (cache.rejected, cache.reused > 0, cache.computed > 0) == ((), True, True)


def test_class_weights_of_a_validation_loss(tmp_path: Path):
    labels = np.arange(40) % 2
    batches = CachedBatches(built(tmp_path), labels, 16, weights={0: 0.5, 1: 2.0})
    _, own, weights = batches[2]
    np.testing.assert_array_equal(weights, np.where(own == 1, 2.0, 0.5))
    assert len(CachedBatches(built(tmp_path), labels, 16)[0]) == 2


def test_f07_no_locks_are_needed(tmp_path: Path):
    """Another process may hold them, or the file system have none."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")
    expected = built(tmp_path).rows(np.arange(40))
    held = [path.open("rb") for path in tmp_path.rglob("*.npy")]
    assert held
    for file in held:
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        cache = built(tmp_path, memory=0)
        assert cache.reused == 40
        np.testing.assert_array_equal(cache.rows(np.arange(40)), expected)
    finally:
        for file in held:
            file.close()


def largest(place: str, queue) -> None:
    import resource

    source = images(400)
    model = network(filters=512)  # 18 kB a row, 7 MB in all, and 64 times as many views
    cache = built(Path(place), source, model, augment=SHIFTS, views=64, memory=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    batches = CachedBatches(cache, np.zeros(400, int), 32, shuffle=True)
    total = 0.0
    for epoch in range(4):
        batches.begin(epoch)
        total += sum(float(batches[i][0].sum()) for i in range(len(batches)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(path.stat().st_size for path in Path(place).rglob("*.npy"))
    queue.put((size, (after - before) * 1024, total))


@pytest.mark.proof
def test_f08_features_larger_than_memory(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=largest, args=(str(tmp_path), queue))
    child.start()
    size, more, total = queue.get(timeout=600)
    child.join()
    assert size > 400e6
    assert more < 100e6
    assert total > 0


def test_the_size_limit_is_kept(tmp_path: Path):
    size = 40 * 36 * 4  # images, numbers of a row, bytes of a number
    with pytest.raises(cnnzoo.UsageError, match="features would add"):
        built(tmp_path, disk=size - 1)
    assert not list(tmp_path.rglob("*.npy"))
    assert built(tmp_path, disk=size).computed == 40
    assert built(tmp_path, disk=0).computed == 0  # since nothing is added


def test_features_that_cannot_be_cached(tmp_path: Path):
    with pytest.raises(cnnzoo.UsageError, match="cannot cache 2 views"):
        built(tmp_path, views=2)
    with pytest.raises(cnnzoo.DatasetError, match="features of no images"):
        FeatureCache.build(network(), images(0), CUT, tmp_path)
    with pytest.raises(cnnzoo.UsageError, match=r"unknown cut .*'pool1'"):
        FeatureCache.build(network(), images(), "pool2", tmp_path)
    loud = network()
    loud.get_layer("conv1").bias.assign(np.full(4, 1e6))
    with pytest.raises(cnnzoo.UsageError, match="which float16 cannot hold"):
        built(tmp_path, model=loud, dtype="float16")
    assert not list(tmp_path.glob("*/*"))
