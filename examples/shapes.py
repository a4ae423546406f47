"""Draws circles, rectangles and triangles, and trains a network to classify them.

All steps for a folder of images: PNG files in class folders, `cnnzoo.scan`, a split,
`ShapesCNN`, `fit`, an evaluation on a separate test folder, and predictions for single
files.

    python examples/shapes.py

Measured on two cores in 27 s: 98.33 % of 600 test images are classified correctly.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageDraw

import cnnzoo
from cnnzoo.data.folders.folder import Folder
from cnnzoo.data.pipeline import load_images
from cnnzoo.inference import Evaluation
from cnnzoo.system import files
from cnnzoo.train import Recipe, Run
from cnnzoo.visualization import figures

KINDS = ("circle", "rectangle", "triangle")
SIDE = 24  # pixels
ZOOM = 4  # factor by which shapes are drawn larger, then shrunk to smooth the edges
NOISE = 12  # standard deviation, of pixels of 0 to 255


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """One shape with a random position, size and colours, and noise."""
    paper = tuple(rng.integers(180, 256, 3).tolist())  # lighter than the ink
    ink = tuple(rng.integers(0, 141, 3).tolist())
    width, height = ZOOM * rng.integers(10, 21, 2)
    if kind == "circle":
        height = width
    left, right = np.array((0, width - 1)) + rng.integers(0, ZOOM * SIDE - width + 1)
    top, bottom = np.array((0, height - 1)) + rng.integers(0, ZOOM * SIDE - height + 1)

    image = Image.new("RGB", (ZOOM * SIDE, ZOOM * SIDE), paper)
    pen = ImageDraw.Draw(image)
    if kind == "circle":
        pen.ellipse((left, top, right, bottom), fill=ink)
    elif kind == "rectangle":
        pen.rectangle((left, top, right, bottom), fill=ink)
    else:
        base, tip = rng.permutation((top, bottom))  # pointing up or down
        pen.polygon([(left, base), (right, base), (rng.integers(left, right), tip)], ink)
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
    noisy = pixels + rng.normal(0, NOISE, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write_shapes(folder: Path, images: int, rng: np.random.Generator) -> Folder:
    """Writes `images` PNG files of each kind, folder/KIND/NUMBER.png, and scans them."""
    for kind in KINDS:
        for number in range(images):
            with files.replacing(folder / kind / f"{number:04}.png") as temporary:
                draw(kind, rng).save(temporary)
    return cnnzoo.scan(folder)


def show_predictions(model: keras.Model, folder: Folder, picture: Path) -> list[int]:
    """Predicts and draws nine files of the folder; returns their class numbers."""
    some = folder.take(np.linspace(0, len(folder) - 1, 9).astype(int))
    predictions = cnnzoo.predict(model, some.paths, top=1)
    indices, captions = [], []
    for path, label, prediction in zip(
        some.paths, np.asarray(some.labels), predictions, strict=True
    ):
        name, probability = prediction.top[0]
        indices.append(some.class_names.index(name))
        captions.append(f"{name}\n{100 * probability:.1f} %")
        print(
            f"{path.relative_to(some.root)}: class {indices[-1]}, {name}, "
            f"probability {probability:.4f} (true class {label})"
        )
    pixels = load_images(some, (SIDE, SIDE, 3)).images
    files.write_bytes(picture, figures.gallery(pixels, captions, columns=len(some)))
    return indices


def main(
    out: Path, images: int = 800, test_images: int = 200, epochs: int = 10, seed: int = 0
) -> Evaluation:
    """Draws the images, trains and evaluates; all files go into `out`."""
    keras.utils.set_random_seed(seed)
    train_rng, test_rng = np.random.default_rng(seed).spawn(2)  # independent
    drawn = write_shapes(out / "train", images, train_rng)
    test = write_shapes(out / "test", test_images, test_rng)
    train, validation = drawn.split(0.2, seed)

    model = cnnzoo.ShapesCNN(include_preprocessing=True)
    Run(out).fit(model, train, validation, Recipe(epochs, batch_size=32), verbose=2)

    result = cnnzoo.evaluate(model, test)
    print(f"{100 * result.accuracy:.2f} % of {result.images} test images right")
    files.write_bytes(out / "confusion.png", figures.confusion(result))
    show_predictions(model, test, out / "predictions.png")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/shapes"))
    parser.add_argument("--images", type=int, default=800, help="of each kind")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    main(args.out, args.images, epochs=args.epochs)
