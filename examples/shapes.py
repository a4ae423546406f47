"""Draws circles, rectangles and triangles, and trains a network to classify them.

Shows all steps for a folder of images: PNG files in class folders, `cnnzoo.scan`, a
split, `ShapesCNN`, `fit`, an evaluation on a separate test folder, and predictions for
single files.

    python examples/shapes.py

In 27 s on two cores, 98.33 % of 600 test images were classified correctly.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageDraw

import cnnzoo
from cnnzoo.data.folders.folder import Folder
from cnnzoo.data.pipeline import load_images
from cnnzoo.evaluation import Evaluation
from cnnzoo.system import files
from cnnzoo.train import Recipe, Run
from cnnzoo.visualization import figures

KINDS = ("circle", "rectangle", "triangle")
SIDE = 24  # pixels
ZOOM = 4  # shapes are drawn this many times as large, then shrunk for smooth edges
NOISE = 12  # standard deviation, for pixels of 0 to 255


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """One shape with a random position, size and colours, and noise."""
    background = tuple(rng.integers(180, 256, 3).tolist())  # lighter than the shape
    color = tuple(rng.integers(0, 141, 3).tolist())
    width, height = ZOOM * rng.integers(10, 21, 2)
    if kind == "circle":
        height = width
    left, right = np.array((0, width - 1)) + rng.integers(0, ZOOM * SIDE - width + 1)
    top, bottom = np.array((0, height - 1)) + rng.integers(0, ZOOM * SIDE - height + 1)

    image = Image.new("RGB", (ZOOM * SIDE, ZOOM * SIDE), background)
    canvas = ImageDraw.Draw(image)
    if kind == "circle":
        canvas.ellipse((left, top, right, bottom), fill=color)
    elif kind == "rectangle":
        canvas.rectangle((left, top, right, bottom), fill=color)
    else:
        base, tip = rng.permutation((top, bottom))  # pointing up or down
        canvas.polygon(
            [(left, base), (right, base), (rng.integers(left, right), tip)], color
        )
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
    sample = folder.take(np.linspace(0, len(folder) - 1, 9).astype(int))
    predictions = cnnzoo.predict(model, sample.paths, top=1)
    indices, captions = [], []
    for path, label, prediction in zip(
        sample.paths, np.asarray(sample.labels), predictions, strict=True
    ):
        name, probability = prediction.top[0]
        indices.append(sample.class_names.index(name))
        captions.append(f"{name}\n{100 * probability:.1f} %")
        print(
            f"{path.relative_to(sample.root)}: class {indices[-1]}, {name}, "
            f"probability {probability:.4f} (true class {label})"
        )
    pixels = load_images(sample, (SIDE, SIDE, 3)).images
    files.write_bytes(picture, figures.gallery(pixels, captions, columns=len(sample)))
    return indices


def main(
    out: Path, images: int = 800, test_images: int = 200, epochs: int = 10, seed: int = 0
) -> Evaluation:
    """Draws the images, trains and evaluates; all files go into `out`."""
    keras.utils.set_random_seed(seed)
    train_rng, test_rng = np.random.default_rng(seed).spawn(2)  # independent
    shapes = write_shapes(out / "train", images, train_rng)
    test = write_shapes(out / "test", test_images, test_rng)
    train, validation = shapes.split(0.2, seed)

    model = cnnzoo.ShapesCNN(include_preprocessing=True)
    Run(out).fit(model, train, validation, Recipe(epochs, batch_size=32), verbose=2)

    result = cnnzoo.evaluate(model, test)
    print(f"{100 * result.accuracy:.2f} % of {result.images} test images correct")
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
