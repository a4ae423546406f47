"""The main job on real input in some minutes: `cnnzoo demo`.

Lists the zoo, draws networks, trains LeNetGAP on the 6,000 digits in the package,
evaluates it on MNIST's test split, predicts a picture file, asks the package's three
trained networks together, and writes a report.
"""

import io
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from cnnzoo.cli.output import verbosity
from cnnzoo.data.augment import add_shifted_copies
from cnnzoo.data.mnist import load_embedded
from cnnzoo.ensemble import Ensemble, EnsembleEvaluation
from cnnzoo.ensemble.ensemble import PRETRAINED
from cnnzoo.inference import Evaluation, Prediction, evaluate, predict
from cnnzoo.models.index import list_models, model_info
from cnnzoo.system import files
from cnnzoo.train import Recipe, Run
from cnnzoo.visualization import figures
from cnnzoo.visualization.html import Section, html
from cnnzoo.zoo import build, sketch

NETWORK = "lenet_gap"
DRAWN = ("lenet_gap", "vgg16", "inception_v1", "resnet18")
RECIPE = Recipe(epochs=12, batch_size=64, learning_rate=2e-3)


def run(out: Path) -> Evaluation:
    """Runs the whole demonstration; its pictures and `report.html` go into `out`."""
    keras.utils.set_random_seed(0)
    started = time.monotonic()
    say(f"1. The zoo has {len(list_models())} networks: {', '.join(list_models())}")
    say(f"\n2. Drawing {', '.join(DRAWN)}")
    drawn = {name: draw(name, out / f"{name}.png") for name in DRAWN}
    model, curves = learn(out)

    test = load_embedded("test")
    result = evaluate(model, test)
    say(
        f"\n4. On MNIST's test split: {100 * result.accuracy:.2f} % of "
        f"{result.images:,} digits right"
    )
    confusion, misclassified = (
        figures.confusion(result),
        figures.misclassified(test, result),
    )
    files.write_bytes(out / "confusion.png", confusion)
    files.write_bytes(out / "misclassified.png", misclassified)

    prediction = predict_file(model, test.images[0], out / "digit.png")
    name, share = prediction.top[0]
    say(f"\n5. {prediction.path} shows a {name} ({100 * share:.1f} % sure)")
    digit = figures.gallery(test.images[:1], [f"read as {name}"])

    judgement = Ensemble.pretrained("mnist").evaluate(test)
    say(f"\n6. {together(judgement)}")

    pictures = (curves, confusion, misclassified, digit)
    page = report(drawn, result, pictures, prediction, judgement)
    files.write_text(out / "report.html", page)
    say(f"\nDone in {time.monotonic() - started:.0f} s. Written, for you to look at:")
    for path in sorted(out.iterdir()):
        if not path.name.startswith("."):
            say(f"  {path}")
    return result


def learn(out: Path) -> tuple[keras.Model, bytes]:
    """A network trained on the package's digits, and its learning curves."""
    train, validation = load_embedded("train").split(0.1, seed=0)
    say(
        f"\n3. Training {NETWORK} on {len(train):,} digits, each also moved four ways; "
        f"{len(validation):,} held out"
    )
    model = build(NETWORK, include_preprocessing=True)
    learned = add_shifted_copies(train, 2)
    history = Run(out).fit(model, learned, validation, RECIPE, verbose=verbosity())
    curves = figures.learning_curves(history)
    files.write_bytes(out / "curves.png", curves)
    return model, curves


def draw(name: str, path: Path) -> bytes:
    """The network's stages as a picture, in `path` and returned."""
    picture = figures.stages(sketch(name))
    files.write_bytes(path, picture)
    return picture


def predict_file(model: keras.Model, pixels: np.ndarray, path: Path) -> Prediction:
    """Writes a digit as a PNG and reads it back as any picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    files.write_bytes(path, buffer.getvalue())
    return predict(model, [path], top=3)[0]


def together(judgement: EnsembleEvaluation) -> str:
    """What three trained networks misread, alone and together."""
    alone = ", ".join(
        f"{name} {member.errors}"
        for name, member in zip(PRETRAINED["mnist"], judgement.members, strict=True)
    )
    whole = judgement.whole
    return (
        f"Three networks that were trained on all digits misread {whole.errors} of "
        f"{whole.images:,} together, {whole.error_percent:.2f} %; alone {alone}"
    )


def report(
    drawn: dict[str, bytes],
    result: Evaluation,
    pictures: tuple[bytes, bytes, bytes, bytes],
    prediction: Prediction,
    judgement: EnsembleEvaluation,
) -> str:
    """The page that tells all of it."""
    curves, confusion, misclassified, digit = pictures
    zoo = [
        (i.name, f"{i.parameters:,}", f"{i.macs / 1e6:,.1f} M", i.min_size)
        for i in map(model_info, list_models())
    ]
    best = ", ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.top)
    return html(
        "cnnzoo demo",
        f"{NETWORK}, trained here on the package's digits, reads "
        f"{100 * result.accuracy:.2f} % of MNIST's {result.images:,} test digits.",
        [
            Section("Learning", pictures=[(curves, "loss and accuracy by epoch")]),
            Section(
                "On the test split",
                f"{result.error_percent:.2f} % of {result.images:,} digits are misread; "
                "the mistakes it was surest of stand below.",
                pictures=[
                    (confusion, "confusion matrix"),
                    (misclassified, "digits that were misread"),
                ],
            ),
            Section("Trained networks", f"{together(judgement)}."),
            Section(
                "One picture file",
                f"{prediction.path}: {best}.",
                pictures=[(digit, "the digit in the file")],
            ),
            Section(
                "Four networks of the zoo",
                "A box a stage: its height is the image's, its width the channels'.",
                pictures=[(data, name) for name, data in drawn.items()],
            ),
            Section(
                "The whole zoo",
                header=("network", "parameters", "MACs", "smallest image"),
                rows=zoo,
            ),
        ],
    )


def say(text: str) -> None:
    print(text, flush=True)
