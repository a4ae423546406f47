"""Augmentation: fixed parameters against SciPy and Keras, draws, batches, training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from training import fit

from cnnzoo.cli.commands.training import parse_augment
from cnnzoo.cli.main import main
from cnnzoo.data.augment import Augment
from cnnzoo.data.batches import Batches, own_errors
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.pipeline import load_images, make_model_inputs
from cnnzoo.data.pixels.affine import FILL_MODES, affine_maps, displacements, resample
from cnnzoo.data.preprocess import preprocess_input
from cnnzoo.data.transforms import TransformParams, apply, apply_augment, sample_params
from cnnzoo.errors import ImageDecodeError, UsageError
from cnnzoo.spec import Preprocess
from cnnzoo.train.recipe import Recipe
from cnnzoo.zoo import build

BOUND = 1e-4 * 255
SHAPES = [(8, 8, 1), (9, 9, 3), (12, 7, 1), (5, 14, 3), (1, 6, 1), (6, 1, 3)]
FLIPS = np.array([[False, False], [True, False], [False, True], [True, True]])
STILL = TransformParams(
    rotation=np.zeros(4),
    shift=np.zeros((4, 2)),
    shear=np.zeros(4),
    zoom=np.ones((4, 2)),
    flips=np.zeros((4, 2), bool),
)
MOVED = replace(
    STILL,
    rotation=np.array([13.0, -41.0, 77.0, 160.0]),
    shift=np.array([[1.3, -2.2], [0.0, 3.1], [-7.7, 0.4], [11.6, 19.3]]),
    shear=np.array([7.0, -23.0, 0.5, 40.0]),
    zoom=np.array([[1.1, 0.8], [0.7, 0.9], [1.6, 1.0], [0.5, 2.3]]),
)
EVERYTHING = Augment(
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=3,
    shear_range=10,
    zoom_range=0.2,
    brightness_range=(0.8, 1.2),
    channel_shift_range=20,
    horizontal_flip=True,
    vertical_flip=True,
    elastic=(10, 3),
)


def pictures(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def expected_map(numbers: TransformParams, i: int, height: int, width: int) -> np.ndarray:
    """Image i's 3x3 matrix from a pixel of the result to its place, step by step."""
    turn, lean = np.deg2rad(numbers.rotation[i]), np.deg2rad(numbers.shear[i])
    centre, rotation, shift, shear, zoom = (np.eye(3) for _ in range(5))
    centre[:2, 2] = (height - 1) / 2, (width - 1) / 2
    rotation[:2, :2] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    shift[:2, 2] = numbers.shift[i]
    shear[:2, 0] = np.cos(lean), -np.sin(lean)
    zoom[[0, 1], [0, 1]] = numbers.zoom[i] * np.where(numbers.flips[i], -1, 1)
    return centre @ rotation @ shift @ shear @ zoom @ np.linalg.inv(centre)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", FILL_MODES)
def test_affine_transforms_equal_scipy(mode: Any, shape: tuple[int, int, int]):
    images = pictures((4, *shape))
    numbers = replace(MOVED, flips=FLIPS)
    augment = Augment(rotation_range=1, fill_mode=mode, cval=17)
    found = apply(images, augment, numbers)
    assert found.dtype == np.float32
    for i, channel in np.ndindex(4, shape[2]):
        matrix = expected_map(numbers, i, *shape[:2])
        expected = ndimage.affine_transform(
            images[i, ..., channel].astype(float),
            matrix[:2, :2],
            matrix[:2, 2],
            order=1,
            mode=mode,
            cval=17,
        )
        np.testing.assert_allclose(found[i, ..., channel], expected, rtol=0, atol=BOUND)


# Keras imports from a namespace that SciPy gives up.
@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("mode", FILL_MODES)
def test_square_images_move_as_in_keras(mode: Any):
    """There, the shift of the height goes along the width, and the other way round."""
    images = pictures((4, 10, 10, 3)).astype(np.float32)
    augment = Augment(rotation_range=1, fill_mode=mode, cval=3)
    added = np.array([30.0, -50.0, 0.0, 7.0])
    numbers = replace(MOVED, flips=FLIPS, channel_shift=added)
    found = apply(images, augment, numbers)
    generator = keras.src.legacy.preprocessing.image.ImageDataGenerator(
        fill_mode=mode, cval=3
    )
    for i in range(4):
        how = {
            "theta": numbers.rotation[i],
            "tx": numbers.shift[i, 1],
            "ty": numbers.shift[i, 0],
            "shear": numbers.shear[i],
            "zx": numbers.zoom[i, 1],
            "zy": numbers.zoom[i, 0],
            "flip_vertical": numbers.flips[i, 0],
            "flip_horizontal": numbers.flips[i, 1],
            "channel_shift_intensity": added[i],
        }
        expected = generator.apply_transform(images[i], how)
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=BOUND)


def test_brightness_is_keras_without_its_rounding():
    images = pictures((4, 6, 5, 3))
    factors = np.array([0.0, 0.6, 1.0, 1.9])
    augment = Augment(brightness_range=(0, 2))
    found = apply(images, augment, replace(STILL, brightness=factors))
    np.testing.assert_allclose(
        found, np.clip(images * factors[:, None, None, None], 0, 255), rtol=1e-6
    )
    for i in range(4):
        expected = keras.src.legacy.preprocessing.image.apply_brightness_shift(
            images[i].astype(np.float32), factors[i], False
        )
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=1)


@pytest.mark.parametrize("shape", [(9, 12, 1), (10, 7, 3)])
@pytest.mark.parametrize("mode", FILL_MODES)
def test_elastic_deformation_equals_scipy(mode: Any, shape: tuple[int, int, int]):
    rng = np.random.default_rng(1)
    noise = 2 * rng.random((4, 2, *shape[:2]), np.float32) - 1
    field = displacements(noise, 30.0, 2.5)
    filtered = 30 * ndimage.gaussian_filter(
        noise.astype(float), (0, 0, 2.5, 2.5), mode="constant"
    )
    np.testing.assert_allclose(field, filtered, rtol=0, atol=1e-4)
    assert np.abs(field).max() > 1
    images = pictures((4, *shape))
    augment = Augment(elastic=(30, 2.5), fill_mode=mode, cval=9)
    found = apply(images, augment, replace(MOVED, displacement=field))
    grid = np.stack(np.meshgrid(*map(np.arange, shape[:2]), indexing="ij"))
    for i, channel in np.ndindex(4, shape[2]):
        matrix = expected_map(MOVED, i, *shape[:2])
        places = np.tensordot(matrix[:2, :2], grid, 1) + matrix[:2, 2, None, None]
        expected = ndimage.map_coordinates(
            images[i, ..., channel].astype(float),
            places + field[i],
            order=1,
            mode=mode,
            cval=9,
        )
        np.testing.assert_allclose(found[i, ..., channel], expected, rtol=0, atol=BOUND)


def test_elastic_noise_has_the_documented_deviation():
    noise = 2 * np.random.default_rng(2).random((40, 50, 50), np.float32) - 1
    inner = displacements(noise, 34, 4)[:, 16:-16, 16:-16]
    assert inner.std() == pytest.approx(0.16 * 34 / 4, rel=0.05)


def test_many_images_are_resampled_in_blocks():
    images = pictures((70, 32, 32, 3))
    numbers = sample_params(EVERYTHING, images.shape, 1, 2, 3)
    maps = affine_maps(
        numbers.rotation, numbers.shift, numbers.shear, numbers.zoom, numbers.flips
    )
    together = resample(images, maps, numbers.displacement, "reflect", 0)
    assert numbers.displacement is not None
    for i in range(70):
        one = slice(i, i + 1)
        alone = resample(images[one], maps[one], numbers.displacement[one], "reflect", 0)
        assert alone.tobytes() == together[one].tobytes()


# Exactness ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", FILL_MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_flips_and_whole_shifts_are_exact(mode: Any, shape: tuple[int, int, int]):
    images = pictures((4, *shape)) * np.float32(0.3)
    augment = Augment(horizontal_flip=True, fill_mode=mode)
    np.testing.assert_array_equal(apply(images, augment, STILL), images)
    flipped = apply(images, augment, replace(STILL, flips=FLIPS))
    np.testing.assert_array_equal(flipped[1], images[1, ::-1])
    np.testing.assert_array_equal(flipped[2], images[2, :, ::-1])
    np.testing.assert_array_equal(flipped[3], images[3, ::-1, ::-1])
    if min(shape[:2]) > 2:
        moved = apply(images, augment, replace(STILL, shift=np.full((4, 2), [2, -1])))
        np.testing.assert_array_equal(moved[:, :-2, 1:], images[:, 2:, :-1])


def test_a_quarter_turn_is_rot90():
    images = pictures((4, 7, 7, 1))
    turned = apply(
        images, Augment(rotation_range=1), replace(STILL, rotation=np.full(4, 90))
    )
    np.testing.assert_allclose(turned, np.rot90(images, 1, (1, 2)), atol=BOUND)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_default_values_change_nothing(dtype: type):
    images = pictures((3, 5, 6, 1)).astype(dtype)
    for augment in (Augment(), Augment(zoom_range=(1, 1), elastic=(0, 1), cval=5)):
        assert not augment.random
        assert apply_augment(images, augment, 0, 0, 0) is images


def test_input_images_are_not_modified():
    images = pictures((4, 6, 6, 3)).astype(np.float32)
    before = images.copy()
    colours = Augment(channel_shift_range=9, brightness_range=(0.5, 0.6))
    for augment in (colours, EVERYTHING):
        assert not np.array_equal(apply_augment(images, augment, 0, 0, 0), before)
        np.testing.assert_array_equal(images, before)


# Draws --------------------------------------------------------------------------------


def draw(count: int = 4000, shape=(20, 40, 1), **options: Any) -> TransformParams:
    return sample_params(Augment(**options), (count, *shape), 1, 2, 3)


def spans(values: np.ndarray, low: float, high: float) -> bool:
    """Whether values lie in a range, come near its ends, and are even on average."""
    reach = high - low
    inside = low <= values.min() < low + 0.01 * reach and values.max() <= high
    middle = abs(values.mean() - (low + high) / 2) < 0.03 * reach
    return inside and values.max() > high - 0.01 * reach and middle


def test_parameters_fill_their_ranges():
    assert spans(draw(rotation_range=30).rotation, -30, 30)
    assert spans(draw(shear_range=12.5).shear, -12.5, 12.5)
    numbers = draw(zoom_range=0.3)
    assert spans(numbers.zoom[:, 0], 0.7, 1.3)
    assert spans(numbers.zoom[:, 1], 0.7, 1.3)
    assert abs(np.corrcoef(numbers.zoom.T)[0, 1]) < 0.05
    assert spans(draw(zoom_range=[0.5, 3]).zoom, 0.5, 3)
    brightness = draw(brightness_range=(0.2, 0.9)).brightness
    added = draw(channel_shift_range=40).channel_shift
    assert brightness is not None
    assert spans(brightness, 0.2, 0.9)
    assert added is not None
    assert spans(added, -40, 40)
    flips = draw(horizontal_flip=True).flips
    assert not flips[:, 0].any()
    assert flips[:, 1].mean() == pytest.approx(0.5, abs=0.03)
    flips = draw(vertical_flip=True).flips
    assert not flips[:, 1].any()
    assert flips[:, 0].mean() == pytest.approx(0.5, abs=0.03)


def test_shifts_are_shares_pixels_or_choices():
    numbers = draw(width_shift_range=0.25, height_shift_range=np.float32(0.5))
    assert spans(numbers.shift[:, 0], -10, 10)  # of 20 rows
    assert spans(numbers.shift[:, 1], -10, 10)  # of 40 columns
    assert spans(draw(height_shift_range=3.0).shift[:, 0], -3, 3)
    numbers = draw(width_shift_range=3, height_shift_range=1)
    assert not numbers.shift[:, 0].any()
    values, counts = np.unique(numbers.shift[:, 1], return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(counts / 4000, [1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6], 0.15)
    chosen = draw(width_shift_range=[0.1, 0.5]).shift[:, 1]
    assert np.unique(chosen).tolist() == [-20, -4, 4, 20]
    chosen = draw(height_shift_range=np.array([2, 5])).shift[:, 0]
    assert np.unique(chosen).tolist() == [-5, -2, 2, 5]
    assert not draw(width_shift_range=0, height_shift_range=0.0).shift.any()


def test_parameters_depend_on_seed_epoch_and_batch_only():
    images = pictures((6, 12, 10, 3))
    first = apply_augment(images, EVERYTHING, 1, 2, 3)
    assert first.dtype == np.float32
    assert first.shape == images.shape
    assert apply_augment(images, EVERYTHING, 1, 2, 3).tobytes() == first.tobytes()
    for numbers in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (3, 2, 1)):
        other = apply_augment(images, EVERYTHING, *numbers)
        assert np.abs(other - first).mean() > 1
    order = np.random.default_rng([1, 2]).random()
    unit = draw(1, rotation_range=1)
    assert sample_params(Augment(rotation_range=1), (1, 2, 2, 1), 1, 2, 0).rotation != (
        2 * order - 1
    )
    everything = sample_params(EVERYTHING, (1, 20, 40, 1), 1, 2, 3)
    assert everything.rotation == 20 * unit.rotation
    plain = replace(EVERYTHING, elastic=None)
    few = apply_augment(images[:2], plain, 1, 2, 3)
    assert few.tobytes() == apply_augment(images, plain, 1, 2, 3)[:2].tobytes()


# Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rotation_range": -1},
            "rotation_range=-1: expected degrees",
        ),
        ({"rotation_range": (1, 2)}, r"range=\(1, 2\): expected degrees of at least 0"),
        (
            {"width_shift_range": -0.1},
            "width_shift_range=-0.1: expected a number of at",
        ),
        ({"height_shift_range": []}, r"=\(\): expected .*or a sequence of numbers"),
        ({"height_shift_range": "a"}, "height_shift_range='a': expected"),
        ({"shear_range": 90}, "=90: expected degrees of at least 0 and below 90"),
        ({"zoom_range": 1}, "zoom_range=1: expected a number from 0 to below 1, or two"),
        ({"zoom_range": (0, 1)}, "two factors above 0"),
        ({"zoom_range": (1.2, 0.8)}, "the smaller one first"),
        ({"zoom_range": (1, [2])}, "zoom_range=.*: expected"),
        (
            {"brightness_range": 0.5},
            "brightness_range=0.5: expected two factors of at",
        ),
        ({"brightness_range": (-1, 1)}, "brightness_range=.*: expected two factors"),
        ({"channel_shift_range": float("nan")}, "channel_shift_range=nan: expected"),
        ({"horizontal_flip": 1}, "horizontal_flip=1: expected True or False"),
        (
            {"elastic": (34, 0)},
            "expected alpha, at least 0, and sigma, above 0",
        ),
        ({"cval": float("inf")}, "cval=inf: expected a number"),
        ({"fill_mode": "mirror"}, "unknown fill mode 'mirror'"),
    ],
)
def test_impossible_values(options: Any, message: str):
    with pytest.raises(UsageError, match=message):
        Augment(**options)


def test_augment_is_immutable():
    steps = [1, 2]
    augment = Augment(width_shift_range=steps, zoom_range=[np.float64(0.5), 1])
    steps.append(3)
    assert augment.width_shift_range == (1, 2)
    assert hash(augment) == hash(Augment(width_shift_range=(1, 2), zoom_range=(0.5, 1)))


# Batches and training -----------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of twelve noisy pictures, bright above and bright below."""
    for name, bright in (("above", slice(0, 5)), ("below", slice(5, 10))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = pictures((10, 8, 3), seed=i) // 3
            pixels[bright] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_batches_from_memory_and_from_a_folder_are_the_same(photos: Path):
    folder = scan(photos)
    in_memory = load_images(folder, (10, 8, 3))
    options: Any = {"shuffle": True, "seed": 3, "augment": EVERYTHING}
    options["preprocessing"] = Preprocess(order="bgr", scale=1 / 255)
    read = Batches(folder, (10, 8, 3), 7, **options)
    held = Batches(in_memory, (10, 8, 3), 7, **options)
    assert len(read) == len(held) == 4
    read.epoch = held.epoch = 5
    order = np.random.default_rng([3, 5]).permutation(24)
    for index in (3, 0, 2):
        rows = order[7 * index : 7 * index + 7]
        images = apply_augment(in_memory.images[rows], EVERYTHING, 3, 5, index)
        expected = preprocess_input(images, options["preprocessing"])
        for batches in (read, held):
            found, labels = batches[index]
            assert found.tobytes() == expected.tobytes()
            np.testing.assert_array_equal(labels, np.asarray(folder.labels)[rows])


def test_images_in_memory_have_the_size_already(photos: Path):
    images = load_images(scan(photos), (10, 8, 3))
    message = r"batches of \(10, 9, 3\) images: expected .*found \(10, 8, 3\), so resize"
    with pytest.raises(UsageError, match=message):
        Batches(images, (10, 9, 3), 7, shuffle=True, seed=0)


def test_model_inputs(photos: Path):
    images = load_images(scan(photos), (10, 8, 3))
    plain = make_model_inputs(images, (10, 8, 3), 7, augment=Augment())
    np.testing.assert_array_equal(plain[0], images.images)
    batches, none = make_model_inputs(
        images, (12, None, 1), 7, augment=EVERYTHING, channels_first=True, outputs=2
    )
    assert none is None
    found, labels = batches[0]
    assert found.shape == (7, 1, 12, 8)
    assert found.dtype == np.float32
    assert len(labels) == 2


def test_errors_of_a_batch_are_raised(photos: Path):
    batches, _ = make_model_inputs(scan(photos), (10, 8, 3), 7)
    (photos / "above" / "3.png").write_bytes(b"")
    model = build("mlp", classes=2, input_shape=(10, 8, 3), depth=1, width=2)
    with pytest.raises(ImageDecodeError), own_errors(batches):
        model.predict(batches, verbose=0)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_training_sees_other_pixels_each_epoch(kind, photos, tmp_path, monkeypatch):
    """Validation images are not augmented, and the metrics are theirs."""
    keras.utils.set_random_seed(0)
    folder = scan(photos)
    source = folder if kind == "folder" else load_images(folder, (10, 8, 3))
    train, validation = source.split(0.25, seed=0)
    seen: list[bytes] = []
    read = Batches.__getitem__

    def note(self: Batches, index: int) -> tuple:
        batch = read(self, index)
        seen.extend(image.tobytes() for image in batch[0])
        return batch

    monkeypatch.setattr(Batches, "__getitem__", note)
    model = build(
        "mlp",
        classes=2,
        input_shape=(10, 8, 3),
        depth=1,
        width=16,
        include_preprocessing=True,
        preprocessing="unit",
    )
    augment = Augment(rotation_range=15, horizontal_flip=True, fill_mode="reflect")
    recipe = Recipe(epochs=6, batch_size=6, learning_rate=1e-2, augment=augment)
    history = fit(model, train, validation, tmp_path / "run", recipe)
    assert max(history["val_accuracy"]) > 0.8
    assert len({image for image in seen if len(image) == 4 * 240}) == 6 * len(train)
    pixels = load_images(folder, (10, 8, 3)).split(0.25, seed=0)[1].images
    predictions = model.predict(pixels, verbose=0).argmax(1)
    best = int(np.argmin(history["val_loss"]))
    accuracy = np.mean(predictions == validation.labels)
    assert accuracy == pytest.approx(history["val_accuracy"][best])


# Command line -------------------------------------------------------------------------


def test_options_as_text():
    texts = [
        "rotation_range=10",
        "width_shift_range=0.1",
        "height_shift_range=2,-3",
        "zoom_range=0.9,1.2",
        "horizontal_flip",
        "fill_mode=reflect",
        "elastic=34,4",
    ]
    expected = Augment(
        rotation_range=10,
        width_shift_range=0.1,
        height_shift_range=(2, -3),
        zoom_range=(0.9, 1.2),
        horizontal_flip=True,
        fill_mode="reflect",
        elastic=(34, 4),
    )
    assert parse_augment(texts) == expected
    assert isinstance(parse_augment(["width_shift_range=2"]).width_shift_range, int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotation", "unknown augmentation 'rotation'; did you mean 'rotation_range'"),
        ("rotation_range", "rotation_range=True: expected degrees of at least 0"),
        ("vertical_flip=1", "vertical_flip=1: expected True or False"),
        ("zoom_range=a,b", "zoom_range='a,b': expected a number from 0"),
        ("zoom_range=2", "zoom_range=2: expected a number from 0 to below 1"),
        ("fill_mode=nearer", "unknown fill mode 'nearer'; did you mean 'nearest'"),
        ("samplewise_center", "unknown augmentation 'samplewise_center'"),
    ],
)
def test_options_that_cannot_be_read(text: str, message: str):
    with pytest.raises(UsageError, match=message):
        parse_augment([text])


def test_the_command_line_trains_with_it(photos: Path, tmp_path: Path, capsys):
    command = ["train", str(photos), "--model", "mlp", "--out", str(tmp_path / "run")]
    command += ["--size", "8", "--epochs", "1", "--augment"]
    assert main([*command, "rotatoin_range=10"]) == 2
    assert "did you mean 'rotation_range'" in capsys.readouterr().err
    assert main([*command, "rotation_range=10", "horizontal_flip"]) == 0
    assert (tmp_path / "run" / "model.keras").is_file()
