"""Pictures of 16 bits whose values use a part of the range, such as 12 bits."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from short_runs import RECIPE, network

import cnnzoo
from cnnzoo.cli.main import main
from cnnzoo.data.decode import decode
from cnnzoo.errors import ImageDecodeError, ResumeMismatchError, UsageError
from cnnzoo.spec import Geometry
from cnnzoo.train import Run

RAMP = np.linspace(0, 4095, 144).reshape(12, 12).astype(np.uint16)
TOLD = Geometry(value_range=(0, 4095))


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_colours(path: Path, pixels: np.ndarray) -> Path:
    """A PNG of 16 bits and three colours, which Pillow cannot write."""
    rows = np.stack([pixels] * 3, -1).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *pixels.shape[::-1], 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""):
        check = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + check
    path.write_bytes(content)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(8):
        pixels = RAMP if number % 2 else RAMP[::-1]
        write(
            tmp_path / f"photos/{'ab'[number % 2]}/{number}.png", pixels.clip(9) - number
        )
    return tmp_path / "photos"


def test_the_range_becomes_0_to_255(tmp_path: Path):
    path = write(tmp_path / "x.png", RAMP)
    scaled = decode(path, None, 1, TOLD)[..., 0]
    np.testing.assert_array_equal(scaled, np.rint(RAMP / (4095 / 255)))
    assert decode(path, None, 1).max() == 16
    narrow = decode(path, None, 1, Geometry(value_range=(1000, 3000)))[..., 0]
    assert (narrow[RAMP <= 1000] == 0).all()
    assert (narrow[RAMP >= 3000] == 255).all()
    assert abs(narrow[np.abs(RAMP.astype(int) - 2000).argmin() // 12][-1] - 128) < 30
    eight = write(tmp_path / "y.png", (RAMP // 16).astype(np.uint8))
    same = decode(eight, None, 1, TOLD)
    np.testing.assert_array_equal(same, decode(eight, None, 1))


@pytest.mark.parametrize("bad", [(0, 0), (4095, 0), (0, 65536), (-1, 9), (0.0, 1.0), 5])
def test_ranges_that_are_none(bad, tmp_path: Path):
    with pytest.raises(UsageError, match="a pair of whole numbers from 0 to 65535"):
        cnnzoo.scan(tmp_path, value_range=bad)


@pytest.mark.parametrize("depth", ["headers", "pixels"])
def test_the_scan_warns(depth, photos: Path):
    (warning,) = cnnzoo.scan(photos, depth=depth).report.warnings
    assert warning.startswith("8 pictures of 16 bits have no value above 4095 and become")
    assert "value_range=(0, 4095) (--value-range 0 4095)" in warning
    ranged = cnnzoo.scan(photos, depth=depth, value_range=(0, 4095))
    assert ranged.report.warnings == ()
    write(photos / "a/black.png", RAMP * 0)
    ranged = cnnzoo.scan(photos, depth=depth, value_range=(0, 4095))
    assert ranged.report.warnings == ()
    (warning,) = cnnzoo.scan(photos, value_range=(0, 1023)).report.warnings
    assert warning.startswith("8 pictures of 16 bits have values above 1023, up to 4095")


def test_colours_warn_and_have_no_range(photos: Path):
    path = write_colours(photos / "a/colours.png", RAMP)
    (warning,) = cnnzoo.scan(photos).report.warnings
    assert warning.startswith("9 pictures of 16 bits have no value above 4095 and")
    assert decode(path, None, 3).max() == 15
    with pytest.raises(ImageDecodeError, match="only grey has a value_range"):
        decode(path, None, 3, TOLD)
    for depth in ("headers", "pixels"):
        with pytest.raises(ImageDecodeError, match=r"colours.png' \(16-bit colours or"):
            cnnzoo.scan(photos, depth=depth, value_range=(0, 4095))


def test_full_ranges_do_not_warn(tmp_path: Path):
    for number in range(4):
        name = f"{'ab'[number % 2]}/{number}"
        write(tmp_path / f"{name}.png", (RAMP * 15).astype(np.uint16))
        write(tmp_path / f"{name}.pgm", np.zeros((4, 4), np.uint8))
    assert cnnzoo.scan(tmp_path).report.warnings == ()


def test_a_model_reads_as_it_was_trained(photos: Path, tmp_path: Path):
    def fit(**more):
        data = cnnzoo.scan(photos, **more)
        model = network(class_names=("a", "b"), classes=None)
        Run(tmp_path / "run").fit(model, data, cnnzoo.scan(photos), RECIPE)
        return model

    model = fit(value_range=(0, 4095))
    loaded = cnnzoo.load(tmp_path / "run")
    assert loaded.cnnzoo.geometry == model.cnnzoo.geometry == TOLD
    one = str(photos / "a/0.png")
    pixels = np.rint((RAMP[::-1].clip(9)) / (4095 / 255)).astype(np.uint8)[..., None]
    ((first,), (second,)) = (
        cnnzoo.predict(loaded, images) for images in (one, pixels[None])
    )
    assert first.top == second.top
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["network"]["geometry"]["value_range"] == [0, 4095]
    with pytest.raises(ResumeMismatchError, match="sha256 was"):
        fit(value_range=(0, 2047))


def test_on_the_command_line(photos: Path, tmp_path: Path, capsys):
    assert main(["check", str(photos)]) == 0
    assert "8 pictures of 16 bits have no value above 4095" in capsys.readouterr().out
    given = ["--value-range", "0", "4095"]
    assert main(["check", str(photos), *given]) == 0
    assert "16 bits" not in capsys.readouterr().out
    out = str(tmp_path / "run")
    small = ["--model", "lenet_gap", "--size", "12", "--epochs", "1"]
    train = ["train", str(photos), *small, "--validation", "0.25", "--out", out]
    assert main([*train, *given]) == 0
    assert cnnzoo.load(out).cnnzoo.geometry == TOLD
    assert main(["evaluate", str(photos), "--model", out]) == 0
    shown = capsys.readouterr()
    assert "16 bits" not in shown.out + shown.err
