"""How pictures of any shape become the size that a network takes."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch_weights import import_torchvision

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.decode import decode
from cnnzoo.data.folders.folder import scan
from cnnzoo.data.inputs.conversion import as_source
from cnnzoo.data.pipeline import load_images
from cnnzoo.errors import UsageError
from cnnzoo.inference import probabilities
from cnnzoo.saving import load, save
from cnnzoo.spec import Geometry
from cnnzoo.train import Recipe, Run
from cnnzoo.train.compilation import make_inputs
from cnnzoo.transfer.features.embeddings import in_memory
from cnnzoo.transfer.features.extractor import folder_name

RNG = np.random.default_rng(5)
COLUMNS = np.arange(0, 240, 6, dtype=np.uint8)  # a grey for each of 40 columns
WIDE = np.broadcast_to(COLUMNS[None, :, None], (20, 40, 3)).copy()


@pytest.mark.parametrize(
    ("side", "resized", "interpolation"),
    [(224, 256, "bilinear"), (299, 342, "bilinear"), (224, 235, "bicubic")],
)
def test_the_same_pixels_as_torchvision(tmp_path: Path, side, resized, interpolation):
    """Sides with and without remainders, smaller and larger than the result."""
    import_torchvision()
    from torchvision.transforms import InterpolationMode, functional

    mode = InterpolationMode[interpolation.upper()]
    geometry = Geometry("crop", side / resized, interpolation)
    for height, width in ((375, 500), (500, 333), (97, 131), (256, 256), (301, 767)):
        pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        theirs = functional.resize(image, [resized], mode)
        theirs = np.asarray(functional.center_crop(theirs, [side]))
        image.save(tmp_path / "a.png")
        for picture in (tmp_path / "a.png", image, pixels):
            found = decode(picture, (side, side), 3, geometry)
            np.testing.assert_array_equal(found, theirs)


def test_photographs_are_near_torchvisions_where_jpeg_is_decoded_smaller(tmp_path: Path):
    import_torchvision()
    from torchvision.transforms import functional

    small = Image.fromarray(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg")
    whole = functional.resize(Image.open(tmp_path / "a.jpg"), [64])
    theirs = np.asarray(functional.center_crop(whole, [56]), float)
    found = decode(tmp_path / "a.jpg", (56, 56), 3, Geometry("crop", 56 / 64))
    assert 0 < np.abs(found - theirs).max() <= 4
    assert np.abs(found - theirs).mean() < 0.5


def test_ways_to_a_size():
    """Of 20 x 40 pixels, a square of 20 keeps the middle columns, or all of them."""
    np.testing.assert_array_equal(
        decode(WIDE, (20, 20), 3, Geometry("crop"))[0, :, 0], COLUMNS[10:30]
    )
    stretched = decode(WIDE, (20, 20), 1)[0, :, 0].astype(int)
    assert np.abs(stretched[1:-1] - (COLUMNS[2:-2:2] + 3)).max() <= 1
    padded = decode(WIDE, (40, 40), 3, Geometry("pad"))
    np.testing.assert_array_equal(padded[10:30], WIDE)
    assert padded[:10].max() == padded[30:].max() == 0
    tall = decode(WIDE.swapaxes(0, 1), (40, 40), 3, Geometry("pad"))
    np.testing.assert_array_equal(tall, padded.swapaxes(0, 1))
    part = decode(WIDE, (10, 20), 3, Geometry("stretch", 0.5))
    np.testing.assert_array_equal(part, WIDE[5:15, 10:30])
    other = decode(WIDE, (10, 40), 3, Geometry("crop"))  # not square
    np.testing.assert_array_equal(other, WIDE[5:15])


def test_arrays_of_the_size_stay_as_they_are():
    geometry = Geometry("crop", 0.5, "bicubic")
    np.testing.assert_array_equal(decode(WIDE, (20, 40), 3, geometry), WIDE)
    assert decode(Image.fromarray(WIDE), (20, 40), 3, geometry)[0, 0, 0] > COLUMNS[5]


def test_very_long_pictures_take_no_memory():
    line = Image.new("L", (60_000, 1), 77)
    for fit in ("crop", "pad", "stretch"):
        found = decode(line, (32, 32), 1, Geometry(fit))
        assert (found.shape, found.max()) == ((32, 32, 1), 77)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fit": "squash"}, 'fit=.squash.: expected "stretch" or "crop" or "pad"'),
        ({"crop_pct": 87.5}, r"crop_pct=87.5: expected a number from 0.1 to 1"),
        ({"crop_pct": "1"}, "crop_pct='1'"),
        ({"interpolation": "cubic"}, "'cubic': expected .bilinear. or .bicubic."),
    ],
)
def test_wrong_values(values, message):
    with pytest.raises(UsageError, match=message):
        Geometry(**values)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [("squash", "fit='squash'"), (3, "geometry=3: expected a fit or a Geometry")],
)
def test_build_refuses_other_geometries(geometry, message):
    with pytest.raises(UsageError, match=message):
        cnnzoo.build("lenet5", geometry=geometry)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        name, pixels = "ab"[number % 2], np.roll(WIDE, number * 3, 1)
        path = tmp_path / "photos" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def test_training_and_prediction_prepare_alike(photos: Path, tmp_path: Path):
    geometry = Geometry("crop", 0.8)
    model = cnnzoo.build("lenet_gap", geometry=geometry, classes=2)
    folder = scan(photos)
    expected = load_images(folder.with_geometry(geometry), (28, 28, 1)).images
    assert not np.array_equal(expected, load_images(folder, (28, 28, 1)).images)
    recipe = Recipe(epochs=1, batch_size=12)
    _, (validation, _) = make_inputs(
        model, "categorical_crossentropy", recipe, *2 * [folder]
    )
    fed = np.asarray(validation[0][0]) * 255
    np.testing.assert_allclose(fed, expected, atol=1e-3)
    np.testing.assert_array_equal(in_memory(model, folder).images, expected)
    before = folder_name(model, "stage1_pool", None, "float32")
    model.cnnzoo = replace(model.cnnzoo, geometry=None)
    assert folder_name(model, "stage1_pool", None, "float32") != before
    model.cnnzoo = replace(model.cnnzoo, geometry=geometry)
    assert folder_name(model, "stage1_pool", None, "float32") == before

    Run(tmp_path / "run").fit(model, folder, 0.5, Recipe(epochs=1))
    again = load(tmp_path / "run")
    assert again.cnnzoo.geometry == geometry
    arrays = probabilities(again, expected)
    for images in (folder, photos, [Image.open(path) for path in folder.paths]):
        np.testing.assert_allclose(probabilities(again, images), arrays, atol=1e-6)
    plain = cnnzoo.build("lenet_gap", classes=2)
    with pytest.raises(cnnzoo.ResumeMismatchError, match=r"geometry was \{'fit': 'crop'"):
        Run(tmp_path / "run").fit(plain, folder, 0.5, Recipe(epochs=1))
    new = cnnzoo.reset_classifier(again, class_names=tuple("xyz"))
    assert new.cnnzoo.geometry == geometry


def test_sources_keep_their_geometry():
    geometry = Geometry("pad")
    for source in (Images(WIDE[None], None, ()), as_source([Image.fromarray(WIDE)])):
        changed = source.with_geometry(geometry).take(np.array([0]))
        found = changed.load(np.array([0]), (40, 40), 3)
        np.testing.assert_array_equal(found[0], decode(WIDE, (40, 40), 3, geometry))
        assert source.geometry is None


def test_a_file_of_other_geometry_is_refused(tmp_path: Path):
    path = save(cnnzoo.build("lenet5", geometry="pad"), tmp_path / "a.keras")
    assert load(path).cnnzoo.geometry == Geometry("pad")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(content["cnnzoo.json"])

    def with_geometry(geometry: object) -> Path:
        changed = json.dumps({**metadata, "geometry": geometry}).encode()
        with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
            for name, data in {**content, "cnnzoo.json": changed}.items():
                archive.writestr(name, data)
        return tmp_path / "b.keras"

    assert load(with_geometry(None)).cnnzoo.geometry is None
    for geometry in ({"fit": "x"}, {"crop_pct": 1e-9}, {"size": 9}, [1], "pad"):
        with pytest.raises(cnnzoo.WeightFileError, match="that this version does not"):
            load(with_geometry(geometry))
