"""A demonstration on real images in a few minutes: `cnnzoo demo`.

It lists the catalog, draws networks, trains LeNetGAP on the 6,000 digits in the package,
evaluates it on MNIST's test split, predicts an image file, evaluates the package's
ensemble of three trained networks, and writes a report.
"""

import io
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from cnnzoo.cli.output import say
from cnnzoo.data.augment import add_shifted_copies
from cnnzoo.data.mnist import load_embedded
from cnnzoo.ensemble import Ensemble, EnsembleEvaluation
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import Prediction, evaluate, predict
from cnnzoo.models.index import list_models, model_info
from cnnzoo.system import files
from cnnzoo.train import Recipe, Run
from cnnzoo.visualization import figures
from cnnzoo.visualization.html import Section, render_page
from cnnzoo.zoo import build, sketch

NETWORK = "lenet_gap"
DRAWN = ("lenet_gap", "vgg16", "inception_v1", "resnet18")
RECIPE = Recipe(epochs=12, batch_size=64, learning_rate=2e-3)


def run(out: Path) -> Evaluation:
    """Runs the whole demonstration; its pictures and `report.html` go into `out`."""
    keras.utils.set_random_seed(0)
    started = time.monotonic()
    say(f"1. The catalog has {len(list_models())} networks: {', '.join(list_models())}")
    say(f"\n2. Drawing {', '.join(DRAWN)}")
    pictures = {name: figures.stages(sketch(name)) for name in DRAWN}
    model, pictures["curves"] = train(out)

    test = load_embedded("test")
    result = evaluate(model, test, verbose="auto")
    say(f"\n4. On MNIST's test split: {result.summary}")
    pictures["confusion"] = figures.confusion(result)
    pictures["misclassified"] = figures.misclassified(test, result)

    prediction = predict_file(model, test.images[0], out / "digit.png")
    name, share = prediction.top[0]
    say(f"\n5. {prediction.path} is a {name} with a probability of {100 * share:.1f} %")

    ensemble = Ensemble.pretrained("mnist").evaluate(test)
    say(f"\n6. {describe(ensemble)}")

    for name, picture in pictures.items():
        files.write_bytes(out / f"{name}.png", picture)
    pictures["digit"] = figures.gallery(test.images[:1], [f"read as {name}"])
    page = report(result, pictures, prediction, ensemble)
    files.write_text(out / "report.html", page)
    say(f"\nDone in {time.monotonic() - started:.0f} s. Written, for you to look at:")
    for path in sorted(out.iterdir()):
        if not path.name.startswith("."):
            say(f"  {path}")
    return result


def train(out: Path) -> tuple[keras.Model, bytes]:
    """Trains a network on the package's digits; returns it and its learning curves."""
    digits, validation = load_embedded("train").split(0.1, seed=0)
    say(
        f"\n3. Training {NETWORK} on {len(digits):,} digits, each also shifted four "
        f"ways; {len(validation):,} for validation"
    )
    model = build(NETWORK, include_preprocessing=True)
    images = add_shifted_copies(digits, 2)
    history = Run(out).fit(model, images, validation, RECIPE)
    return model, figures.learning_curves(history)


def predict_file(model: keras.Model, pixels: np.ndarray, path: Path) -> Prediction:
    """Writes a digit as a PNG file, and predicts its class from the file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    files.write_bytes(path, buffer.getvalue())
    return predict(model, [path], top=3)[0]


def describe(evaluation: EnsembleEvaluation) -> str:
    """A sentence with the errors of an ensemble and of its members."""
    members = zip(evaluation.names, evaluation.members, strict=True)
    alone = ", ".join(f"{name} {member.errors}" for name, member in members)
    whole = evaluation.whole
    return (
        f"Three networks that were trained on all digits misclassify {whole.errors} of "
        f"{whole.images:,} together, {whole.error_percent:.2f} %; alone {alone}"
    )


def report(
    result: Evaluation,
    pictures: dict[str, bytes],
    prediction: Prediction,
    ensemble: EnsembleEvaluation,
) -> str:
    """Returns the report as HTML.

    Args:
        result: Evaluation of the trained network.
        pictures: PNG files by name.
        prediction: Prediction for the image file.
        ensemble: Evaluation of the package's ensemble.
    """
    best = ", ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.top)
    return render_page(
        "cnnzoo demo",
        f"{NETWORK}, trained here on the package's digits: {result.summary}.",
        [
            Section("Training", pictures=[(pictures["curves"], "loss and accuracy")]),
            Section(
                "On the test split",
                "The most confident errors are below.",
                pictures=[
                    (pictures["confusion"], "confusion matrix"),
                    (pictures["misclassified"], "misclassified digits"),
                ],
            ),
            Section("Trained networks", f"{describe(ensemble)}."),
            Section(
                "One image file",
                f"{prediction.path}: {best}.",
                pictures=[(pictures["digit"], "the digit in the file")],
            ),
            Section(
                "Four networks of the catalog",
                "One box per stage: as high as the image, as wide as it has channels.",
                pictures=[(pictures[name], name) for name in DRAWN],
            ),
            Section(
                "The whole catalog",
                header=("network", "parameters", "MACs", "smallest image"),
                rows=[
                    (i.name, f"{i.parameters:,}", f"{i.macs / 1e6:,.1f} M", i.min_size)
                    for i in map(model_info, list_models())
                ],
            ),
        ],
    )
