"""Folders of photographs: `CNNZOO_DATA=folder python -m benchmarks.folders PAGE`.

Reads the photographs of `hymenoptera_train.zip` beside Keras's
`image_dataset_from_directory`, in turns, and scans folders of 100,000 small files and of
a million names. Writes `docs/folders.md`.
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


def large(folder: Path, photos: Path) -> Path:
    """Some of the photographs, enlarged to 12 megapixels."""
    for path in sorted(photos.rglob("*.jpg"))[::LARGE]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.resize((4000, 3000), Image.Resampling.BICUBIC).save(target, quality=90)
    return folder


def ours(root: Path, size: int, *, later: bool = False) -> Callable[[], int]:
    """A reader of two batches at a time, as in `Run`.

    Args:
        root: Folder of the photographs.
        size: Side of the images in pixels.
        later: Whether to measure a pass after the first, with decoded images in memory.
    """
    from cnnzoo.data.batches import Batches
    from cnnzoo.data.folders.folder import scan

    folder = scan(root)
    held: list[Batches] = []

    def read() -> int:
        if not (later and held):
            held[:] = [Batches(folder, (size, size), 3, BATCH, shuffle=False, seed=0)]
        (batches,) = held
        with ThreadPoolExecutor(2) as readers:
            return sum(readers.map(lambda i: len(batches[i][0]), range(len(batches))))

    return read


def keras_own(root: Path, size: int) -> Callable[[], int]:
    import keras

    found = keras.utils.image_dataset_from_directory(
        root, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
    )
    return lambda: sum(len(images) for images, _ in found)


def reading() -> str:
    """The table of images per second, with the ratio of the medians."""
    lines = [
        "| photographs | size | pass | cnnzoo, images/s | Keras, images/s | ratio |",
        "|---|---|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = photographs(Path(folder) / "photos")
        megapixels = large(Path(folder) / "large", root)
        for told, photos in (("as they are", root), ("12 megapixels", megapixels)):
            for size in SIZES:
                for later in (False, True):
                    one, other = in_turns(
                        ours(photos, size, later=later), keras_own(photos, size)
                    )
                    lines.append(
                        f"| {told} | {size} px | {'later' if later else 'first'} | "
                        f"{one:,.0f} | {other:,.0f} | {one / other:.2f} |"
                    )
    return "\n".join(lines)


def in_turns(*readers: Callable[[], int]) -> list[float]:
    """The median images per second of each reader; the readers take turns."""
    rates: list[list[float]] = [[] for _ in readers]
    for round_ in range(ROUNDS + 1):
        for who in range(len(readers)) if round_ % 2 else reversed(range(len(readers))):
            start = time.perf_counter()
            images = readers[who]()
            if round_:  # the first is a warm-up
                rates[who].append(images / (time.perf_counter() - start))
    return [median(rate) for rate in rates]


def files(folder: Path) -> Path:
    """100,000 PNG files of 8x8 pixels in ten classes."""
    rng = np.random.default_rng(0)
    for number in range(FILES):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
    return folder


def names(folder: Path) -> Path:
    """A million file names, thousands of them hard links to one file."""
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

    before = most_kilobytes()
    start = time.perf_counter()
    found = scan(root, depth=depth)  # pyright: ignore[reportArgumentType]
    seconds = time.perf_counter() - start
    more = (most_kilobytes() - before) / 1024
    print(json.dumps({"images": len(found), "seconds": seconds, "mb": more}))


def most_kilobytes() -> int:
    """The peak memory of this process; `getrusage` would include that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def scanning() -> str:
    lines = ["| what | files | seconds | more memory, MB |", "|---|---:|---:|---:|"]
    for make, depths in ((files, ("names", "headers", "pixels")), (names, ("names",))):
        with tempfile.TemporaryDirectory() as folder:
            root = make(Path(folder))
            for depth in depths:
                done = subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "benchmarks.folders",
                        "",
                        "--child",
                        str(root),
                        depth,
                    ],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                told = json.loads(done.stdout)
                lines.append(
                    f"| {depth} | {told['images']:,} | {told['seconds']:.1f} | "
                    f"{told['mb']:.0f} |"
                )
    return "\n".join(lines)


PAGE = """# Folders of photographs: how fast

Measured on {date} by `CNNZOO_DATA=folder python -m benchmarks.folders docs/folders.md` on
{cpu}, {cores} cores, Python {python}; load before the start {load}.

## Reading

The photographs of `hymenoptera_train.zip`, 500x375 pixels or so, and every eighth of
them made 12 megapixels, beside `keras.utils.image_dataset_from_directory` with its
defaults, in turns, {rounds} rounds; a ratio is that of the medians. A later pass takes
decoded images from memory, of which cnnzoo keeps {kept} MB; Keras decodes anew.

{reading}

Both sides call libjpeg. cnnzoo's resize averages where it shrinks (antialias), as
Pillow, torchvision and timm do, and Keras's does not. cnnzoo decodes large photographs at
a half, a quarter or an eighth, which their format does at little cost.

## Scanning

PNG files of 8x8 pixels in ten classes, in a process of its own. The goals: an index of
100,000 files in 2 s, their headers in 60 s, less than 100 MB; a million names in 20 s.

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
        kept=MEMORY >> 20,
        reading=reading(),
        scanning=scanning(),
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
