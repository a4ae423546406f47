"""The content of the wheel, and its installation outside of the repository."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import cnnzoo

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1 << 20

SMOKE = """
import cnnzoo, pathlib, sys
assert pathlib.Path(cnnzoo.__file__).is_relative_to(sys.argv[1]), cnnzoo.__file__
assert len(cnnzoo.load_mnist("test")) == 10_000
assert len(cnnzoo.load_mnist("train")) == 6_000
model = cnnzoo.LeNetGAP(include_preprocessing=True)
again = cnnzoo.load(cnnzoo.save(model, "m.keras"))
assert again.count_params() == cnnzoo.model_info("lenet_gap").parameters
from cnnzoo.cli.main import main
assert main(["info", "vgg16"]) == 0
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution, built without network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    result = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_wheel_contents(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"cnnzoo-{cnnzoo.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        weights = [m for m in archive.infolist() if m.filename.endswith(".safetensors")]
        metadata = archive.read(
            f"cnnzoo-{cnnzoo.__version__}.dist-info/METADATA"
        ).decode()
        entry = archive.read(f"cnnzoo-{cnnzoo.__version__}.dist-info/entry_points.txt")
    packed = sum(member.compress_size for member in weights)
    assert 2 * MEGABYTE < wheel.stat().st_size - packed < 4 * MEGABYTE
    assert sum(member.file_size for member in weights) <= 45_000_000
    for needed in (
        "py.typed",
        "models/index.json",
        "weights/sources/names.toml",
        "data/digits/train.npz",
        "data/digits/test.npz",
        "data/digits/NOTICE",
    ):
        assert f"cnnzoo/{needed}" in names
    assert {name.split("/")[0] for name in names} == {
        "cnnzoo",
        f"cnnzoo-{cnnzoo.__version__}.dist-info",
    }
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "cnnzoo").rglob("*.py")}
    assert sources <= names
    assert b"cnnzoo = cnnzoo.cli.main:main" in entry
    for extra in ("onnx", "openvino", "torch", "jax", "test", "docs", "bench"):
        assert f"Provides-Extra: {extra}" in metadata


def test_source_distribution_contents(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "cnnzoo/zoo/factory.py",
    ):
        assert needed in names
    assert any(name.startswith("tests/golden/") for name in names)
    assert not any(name.startswith((".venv", "demo", "runs")) for name in names)


def test_the_wheel_works_on_its_own(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    place = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*install, "--target", str(place), str(wheel)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "CNNZOO_DATA"}
    result = subprocess.run(
        [sys.executable, "-c", SMOKE, str(place)],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env={**environment, "PYTHONPATH": str(place)},
    )
    assert result.returncode == 0, result.stderr
    assert "138,357,544" in result.stdout
