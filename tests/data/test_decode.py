"""Image files: one rule for every form in which a picture comes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import png_header
from PIL import Image

from cnnzoo.data import decode as decoding
from cnnzoo.data.decode import decode
from cnnzoo.errors import ImageDecodeError, UsageError
from cnnzoo.spec import Geometry

RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
LUMA = np.asarray(Image.fromarray(COLOUR).convert("L"))


def stacked(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)


def saved(path: Path, image: Image.Image | np.ndarray, **options: Any) -> Path:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "tiff", "ppm", "webp"])
def test_lossless_formats(tmp_path: Path, ending: str):
    colour = saved(tmp_path / f"c.{ending}", COLOUR, lossless=True)
    np.testing.assert_array_equal(decode(colour, None, 3), COLOUR)
    np.testing.assert_array_equal(decode(colour, None, 1)[..., 0], LUMA)
    if ending != "webp":
        grey = saved(tmp_path / f"g.{ending}", GREY)
        np.testing.assert_array_equal(decode(grey, None, 1)[..., 0], GREY)
        np.testing.assert_array_equal(decode(grey, None, 3), stacked(GREY))


def test_luma_is_itu_r_601():
    expected = COLOUR @ [0.299, 0.587, 0.114]
    assert np.abs(LUMA - expected).max() <= 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_jpeg_is_near(tmp_path: Path, options: dict[str, bool]):
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    path = saved(tmp_path / "a.jpg", smooth, quality=95, **options)
    assert np.abs(decode(path, None, 1)[..., 0] - smooth.astype(int)).max() <= 4
    assert decode(path, None, 3).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("geometry", "first"), [(None, 128), (Geometry(crop_pct=0.4), 256)]
)
def test_a_large_jpeg_is_first_decoded_at_twice_the_size(
    geometry: Geometry | None, first: int, tmp_path: Path
):
    noise = RNG.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.jpg", noise)
    with Image.open(path) as image:
        image.draft(None, (first, first))
        assert image.size == (first, first)
        whole = round(50 / (geometry.crop_pct if geometry else 1.0))
        edge = round((whole - 50) / 2)
        expected = np.asarray(image.resize((whole, whole), Image.Resampling.BILINEAR))
    expected = expected[edge : edge + 50, edge : edge + 50]
    np.testing.assert_array_equal(decode(path, (50, 50), 3, geometry), expected)


def test_palette(tmp_path: Path):
    few = COLOUR // 128 * 127
    palette = Image.fromarray(few).quantize(8)
    assert palette.mode == "P"
    for name in ("a.png", "a.gif"):
        np.testing.assert_array_equal(
            decode(saved(tmp_path / name, palette), None, 3), few
        )


def test_one_bit(tmp_path: Path):
    path = saved(tmp_path / "a.png", Image.fromarray(GREY > 127))
    with Image.open(path) as image:
        assert image.mode == "1"
    expected = np.where(GREY > 127, 255, 0)
    np.testing.assert_array_equal(decode(path, None, 1)[..., 0], expected)
    np.testing.assert_array_equal(decode(path, None, 3), stacked(expected))


@pytest.mark.parametrize("ending", ["png", "tif", "ppm"])
def test_sixteen_bit_grey(tmp_path: Path, ending: str):
    deep = GREY.astype(np.uint16) * 257
    path = saved(tmp_path / f"a.{ending}", deep)
    np.testing.assert_array_equal(decode(path, None, 1)[..., 0], GREY)
    np.testing.assert_array_equal(decode(path, None, 3), stacked(GREY))


def test_every_sixteen_bit_value_is_rounded(tmp_path: Path):
    values = np.arange(65536)
    path = saved(tmp_path / "a.png", values.astype(np.uint16).reshape(256, 256))
    nearest = (values + 128) // 257
    np.testing.assert_array_equal(decode(path, None, 1).ravel(), nearest)


def test_big_endian_sixteen_bit(tmp_path: Path):
    image = Image.frombytes("I;16B", (9, 6), (GREY.astype(">u2") * 257).tobytes())
    path = saved(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(decode(path, None, 1)[..., 0], GREY)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str):
    path = tmp_path / "a.png"
    options = {}
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (3, 1), (10,) * (len(mode) - 1) + (255,))
        image.putpixel((1, 0), (10,) * (len(mode) - 1) + (0,))
        image.putpixel((2, 0), (10,) * (len(mode) - 1) + (51,))
        expected = [10, 255, 206]  # 10 * 0.2 + 255 * 0.8
    else:
        image = Image.new("RGB", (2, 1), (10, 10, 10))
        image.putpixel((1, 0), (90, 90, 90))
        image = image.quantize(2) if mode == "P" else image.convert(mode)
        options["transparency"] = image.getpixel((1, 0))
        expected = [10, 255]
    saved(path, image, **options)
    assert decode(path, None, 1).ravel().tolist() == expected
    assert decode(path, None, 3)[0, :, 2].tolist() == expected


def test_opaque_alpha_changes_nothing(tmp_path: Path):
    path = saved(tmp_path / "a.png", Image.fromarray(COLOUR).convert("RGBA"))
    np.testing.assert_array_equal(decode(path, None, 3), COLOUR)


def test_cmyk(tmp_path: Path):
    inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for name in ("a.tif", "a.jpg"):
        found = decode(saved(tmp_path / name, inks), None, 3)
        assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("png", {}),
        ("jpg", {}),
        ("webp", {"lossless": True}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
    ],
)
def test_exif_orientation(
    tmp_path: Path, orientation: int, ending: str, options: dict[str, Any]
):
    picture = Image.fromarray(
        np.kron(GREY[:2, :3] // 128 * 255, np.ones((8, 8), np.uint8))
    )
    # What a camera stores: the inverse of the turn that the tag asks for.
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture.transpose(turns[orientation]) if orientation > 1 else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{ending}", stored, exif=exif, **options)
    found = decode(path, None, 1)[..., 0]
    assert np.abs(found - np.asarray(picture).astype(int)).max() <= 8


def test_exif_orientation_of_sixteen_bits(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(GREY.astype(np.uint16) * 257)
    path = saved(tmp_path / "a.png", image, exif=exif)
    np.testing.assert_array_equal(decode(path, None, 1)[..., 0], np.rot90(GREY, -1))


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_first_frame(tmp_path: Path, ending: str):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"a.{ending}"
    saved(path, frames[0], save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
    np.testing.assert_array_equal(decode(path, None, 3), np.full((4, 4, 3), [255, 0, 0]))


def test_content_tells_the_format(tmp_path: Path):
    path = saved(tmp_path / "a.jpg", COLOUR, format="PNG")
    np.testing.assert_array_equal(decode(path, None, 3), COLOUR)


def test_resize(tmp_path: Path):
    path = saved(tmp_path / "a.png", COLOUR)
    found = decode(path, (4, 5), 3)
    expected = Image.fromarray(COLOUR).resize((5, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected))
    np.testing.assert_array_equal(decode(path, (6, 9), 3), COLOUR)
    # Antialiased: stripes of one pixel shrink to their mean, not to one of them.
    stripes = np.tile(np.array([0, 200], np.uint8), (64, 32))
    small = decode(saved(tmp_path / "b.png", stripes), (8, 8), 1)
    assert np.abs(small.astype(int) - 100).max() <= 5
    # Colours of a palette are mixed as colours, not as numbers of the palette.
    two = Image.fromarray(stacked(stripes)).quantize(2)
    mixed = decode(saved(tmp_path / "c.png", two), (8, 8), 1)
    np.testing.assert_array_equal(mixed, small)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(tmp_path: Path, shape: tuple[int, int]):
    path = saved(tmp_path / "a.png", np.full(shape, 77, np.uint8))
    assert decode(path, None, 1).shape == (*shape, 1)
    assert np.unique(decode(path, (32, 16), 3)).tolist() == [77]


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp"])
def test_damaged_files(tmp_path: Path, ending: str):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{ending}", noise)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:30], b"<html></html>" * 9):
        path.write_bytes(content)
        with pytest.raises(
            ImageDecodeError, match=rf"cannot decode .*a\.{ending}: "
        ) as e:
            decode(path, (8, 8), 3)
        assert len(str(e.value)) <= 1000


def test_formats_that_start_programs_are_not_read(tmp_path: Path):
    path = saved(tmp_path / "a.png", Image.fromarray(COLOUR), format="EPS")
    with pytest.raises(ImageDecodeError, match="content in none of these formats"):
        decode(path, None, 3)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("F", (2, 2)), "floating-point pixels, whose range is not known"),
        (Image.new("I", (2, 2), 70000), "32-bit values outside the 16-bit range"),
        (Image.new("I", (2, 2), -1), "32-bit values outside the 16-bit range"),
    ],
)
def test_pixels_without_a_known_range(tmp_path: Path, image: Image.Image, reason: str):
    with pytest.raises(ImageDecodeError, match=reason):
        decode(saved(tmp_path / "a.tif", image), None, 1)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9460, 16000, 40000])
def test_bombs_are_refused_from_the_header(tmp_path: Path, side: int):
    assert decoding.MAX_PIXELS == 89_478_485
    path = tmp_path / "a.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(ImageDecodeError, match=r"a\.png.*found.* pixels"):
        decode(path, (8, 8), 3)


def test_largest_image_is_not_refused_for_its_size(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(9459, 9459))
    with pytest.raises(ImageDecodeError, match=r"found (?!.*pixels)"):
        decode(path, (8, 8), 3)


def test_only_regular_files_are_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone")
    for name in ("pipe", "folder", "broken", "missing", "n" * 300):
        with pytest.raises(ImageDecodeError, match=rf"{name}\.png: .*no regular file"):
            decode(tmp_path / f"{name}.png", None, 3)


@pytest.mark.parametrize(
    ("size", "channels", "message"),
    [
        (None, 4, "to 4 channels: expected 1 for grey or 3 for RGB"),
        ((0, 5), 3, r"size \(0, 5\): expected a height and a width of at least 1"),
        ((5,), 3, r"size \(5,\)"),
    ],
)
def test_impossible_target(tmp_path: Path, size, channels: int, message: str):
    path = saved(tmp_path / "a.png", GREY)
    with pytest.raises(UsageError, match=message):
        decode(path, size, channels)
