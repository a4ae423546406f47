"""Folders of photographs: `CNNZOO_DATA=folder python -m benchmarks.folders`.

Reads the photographs of `hymenoptera_train.zip` beside Keras's
`image_dataset_from_directory`, in turns, and scans folders of 100,000 small files and of
a million names. Prints tables for `docs/folders.md`.
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
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

SIZES = (64, 224)  # of what photographs become, pixels
BATCH = 32
ROUNDS = 5
CLASSES = 10
FILES = 100_000
NAMES = 1_000_000


def photographs(folder: Path) -> Path:
    """The photographs, without the picture that stands for a missing one."""
    with zipfile.ZipFile(Path(os.environ["CNNZOO_DATA"]) / "hymenoptera_train.zip") as z:
        z.extractall(folder)
    for path in folder.rglob("*.gif"):
        path.unlink()
    return next(path.parent for path in folder.rglob("ants"))


def ours(root: Path, size: int) -> Callable[[], int]:
    from cnnzoo.data.batches import Batches
    from cnnzoo.data.images import scan

    batches = Batches(scan(root), (size, size), 3, BATCH, shuffle=False, seed=0)

    def read() -> int:
        return sum(len(batches[index][0]) for index in range(len(batches)))

    return read


def keras_own(root: Path, size: int) -> Callable[[], int]:
    import keras

    found = keras.utils.image_dataset_from_directory(
        root, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
    )
    return lambda: sum(len(images) for images, _ in found)


def reading() -> str:
    """Images a second, in turns; the ratio is that of the medians."""
    lines = [
        "| size | cnnzoo, images/s | Keras, images/s | ratio |",
        "|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = photographs(Path(folder))
        for size in SIZES:
            readers = [ours(root, size), keras_own(root, size)]
            rates: list[list[float]] = [[], []]
            for round_ in range(ROUNDS + 1):
                for who in (0, 1) if round_ % 2 else (1, 0):
                    start = time.perf_counter()
                    images = readers[who]()
                    if round_:  # the first warms up
                        rates[who].append(images / (time.perf_counter() - start))
            one, other = map(median, rates)
            lines.append(f"| {size} px | {one:.0f} | {other:.0f} | {one / other:.2f} |")
    return "\n".join(lines)


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
    """A million names, of which thousands are one file: links do not copy."""
    source = folder / "source.png"
    Image.new("L", (8, 8)).save(source)
    for number in range(NAMES):
        path = folder / f"class{number % CLASSES}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        if number % 20_000 == 0:  # a file system limits the links to one
            source = folder / f"source{number}.png"
            Image.new("L", (8, 8)).save(source)
        os.link(source, path)
    return folder


def child(root: str, depth: str) -> None:
    """Scans in a process of its own; prints seconds, and megabytes beyond the start."""
    from cnnzoo.data.images import scan

    before = most_kilobytes()
    start = time.perf_counter()
    found = scan(root, depth=depth)  # pyright: ignore[reportArgumentType]
    seconds = time.perf_counter() - start
    more = (most_kilobytes() - before) / 1024
    print(json.dumps({"images": len(found), "seconds": seconds, "mb": more}))


def most_kilobytes() -> int:
    """The most memory that this process has held; `getrusage` tells its parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def scanning() -> str:
    lines = ["| what | files | seconds | more memory, MB |", "|---|---:|---:|---:|"]
    for make, depths in ((files, ("names", "headers", "pixels")), (names, ("names",))):
        with tempfile.TemporaryDirectory() as folder:
            root = make(Path(folder))
            for depth in depths:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.folders", str(root), depth],
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("depth", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.root:
        child(args.root, args.depth)
    else:
        print(f"{reading()}\n\n{scanning()}")


if __name__ == "__main__":
    main()
