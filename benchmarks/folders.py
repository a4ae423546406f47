"""Folders of photographs: `CNNZOO_DATA=folder python -m benchmarks.folders PAGE`.

Reads the photographs of `hymenoptera_train.zip`, compared with Keras's
`image_dataset_from_directory`, and scans folders of 100,000 small files and of a million
names. Writes `docs/folders.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.machine import describe
from tools.pages import table

SIZES = (64, 224)  # pixels to which photographs are resized
BATCH = 32
ROUNDS = 5
LARGE = 8  # every eighth photograph is enlarged
CLASSES = 10
FILES = 100_000
NAMES = 1_000_000


def photographs(folder: Path) -> Path:
    """The photographs, without the placeholder for a missing one."""
    with zipfile.ZipFile(Path(os.environ["CNNZOO_DATA"]) / "hymenoptera_train.zip") as z:
        z.extractall(folder)
    for path in folder.rglob("*.gif"):
        path.unlink()
    return next(path.parent for path in folder.rglob("ants"))


def enlarge(folder: Path, photos: Path) -> Path:
    """Some of the photographs, enlarged to 12 megapixels."""
    for path in sorted(photos.rglob("*.jpg"))[::LARGE]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.resize((4000, 3000), Image.Resampling.BICUBIC).save(target, quality=90)
    return folder


def cnnzoo_reader(root: Path, size: int, *, later: bool = False) -> Callable[[], int]:
    """A function that reads two batches at a time, as `Run` does.

    Args:
        root: Folder of the photographs.
        size: Side of the images in pixels.
        later: Whether to measure a pass after the first, with decoded images in memory.
    """
    from cnnzoo.data.batches import Batches
    from cnnzoo.data.folders.folder import scan

    folder = scan(root)
    cache: list[Batches] = []

    def read() -> int:
        if not (later and cache):
            cache[:] = [Batches(folder, (size, size, 3), BATCH, shuffle=False, seed=0)]
        (batches,) = cache
        with ThreadPoolExecutor(2) as readers:
            return sum(readers.map(lambda i: len(batches[i][0]), range(len(batches))))

    return read


def keras_reader(root: Path, size: int) -> Callable[[], int]:
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        root, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
    )
    return lambda: sum(len(images) for images, _ in dataset)


def reading_table() -> str:
    """The table of images per second, with the ratio of the medians."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = photographs(Path(folder) / "photos")
        megapixels = enlarge(Path(folder) / "large", root)
        for kind, photos in (("original", root), ("12 megapixels", megapixels)):
            for size in SIZES:
                for later in (False, True):
                    ours, theirs = in_turns(
                        cnnzoo_reader(photos, size, later=later),
                        keras_reader(photos, size),
                    )
                    rates = (f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}")
                    name = "later" if later else "first"
                    rows.append((kind, f"{size} px", name, *rates))
    header = (
        "photographs",
        "size",
        "pass",
        "cnnzoo, images/s",
        "Keras, images/s",
        "ratio",
    )
    return table(header, "lllrrr", rows)


def in_turns(*readers: Callable[[], int]) -> list[float]:
    """The median images per second of each reader; the readers take turns."""
    rates: list[list[float]] = [[] for _ in readers]
    for round_ in range(ROUNDS + 1):
        order = range(len(readers))
        for i in order if round_ % 2 else reversed(order):
            start = time.perf_counter()
            images = readers[i]()
            if round_:  # the first is a warm-up
                rates[i].append(images / (time.perf_counter() - start))
    return [median(rate) for rate in rates]


def write_files(folder: Path) -> Path:
    """100,000 PNG files of 8x8 pixels in ten classes."""
    rng = np.random.default_rng(0)
    for number in range(FILES):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
    return folder


def write_names(folder: Path) -> Path:
    """A million file names, in groups of hard links to one file."""
    source = folder / "source.png"
    Image.new("L", (8, 8)).save(source)
    for number in range(NAMES):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        if number % 20_000 == 0:  # file systems limit the links to a file
            source = folder / f"source{number}.png"
            Image.new("L", (8, 8)).save(source)
        os.link(source, path)
    return folder


def child(root: str, depth: str) -> None:
    """Scans in a process of its own; prints the seconds and the additional megabytes."""
    from cnnzoo.data.folders.folder import scan

    before = peak_kilobytes()
    start = time.perf_counter()
    folder = scan(root, depth=depth)  # pyright: ignore[reportArgumentType]
    seconds = time.perf_counter() - start
    more = (peak_kilobytes() - before) / 1024
    print(json.dumps({"images": len(folder), "seconds": seconds, "mb": more}))


def peak_kilobytes() -> int:
    """The peak memory of this process; `getrusage` would include that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def scanning_table() -> str:
    rows = []
    for write, depths in (
        (write_files, ("names", "headers", "pixels")),
        (write_names, ("names",)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            root = write(Path(folder))
            for depth in depths:
                command = [sys.executable, "-m", "benchmarks.folders", ""]
                process = subprocess.run(
                    [*command, "--child", str(root), depth],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                scan = json.loads(process.stdout)
                measures = (f"{scan['seconds']:.1f}", f"{scan['mb']:.0f}")
                rows.append((depth, f"{scan['images']:,}", *measures))
    return table(("depth", "files", "seconds", "additional memory, MB"), "lrrr", rows)


PAGE = """# Speed of reading folders of photographs

Measured on {date} with `python -m benchmarks.folders docs/folders.md` on
{cpu}, {cores} cores, Python {python}; load average before the run {load}.

## Reading

The photographs of `hymenoptera_train.zip`, about 500x375 pixels, and every eighth of them
enlarged to 12 megapixels. cnnzoo and `keras.utils.image_dataset_from_directory` with its
defaults take turns for {rounds} rounds; the ratio is that of the medians. In later passes
cnnzoo takes decoded images from memory, of which it keeps {cache} MB, and Keras decodes
them again.

{reading}

Both libraries decode with libjpeg. cnnzoo downscales with antialiasing, as Pillow,
torchvision and timm do, and Keras does not. cnnzoo decodes large photographs at a half, a
quarter or an eighth of their size, which libjpeg does at little cost.

## Scanning

PNG files of 8x8 pixels in ten classes, each scan in a process of its own. The goals are
2 s for the names of 100,000 files, 60 s and less than 100 MB for their headers, and 20 s
for a million names.

{scanning}
"""


def write(path: Path) -> None:
    """Measures, and writes the page."""
    from cnnzoo.data.batches import MEMORY

    facts = describe()
    page = PAGE.format(
        date=date.today(),
        cpu=facts["cpu"],
        cores=facts["cores"],
        python=facts["python"],
        load=facts["load"],
        rounds=ROUNDS,
        cache=MEMORY >> 20,
        reading=reading_table(),
        scanning=scanning_table(),
    )
    path.write_text(page, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", help="the file to write, such as docs/folders.md")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
    else:
        write(Path(args.page))


if __name__ == "__main__":
    main()
