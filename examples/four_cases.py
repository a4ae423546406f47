"""The four cases of transfer learning, on digits and generated images.

ResNet20 is trained on the digits 0 to 4, then adapted to four data sets: few and many of
the digits 5 to 9, which are similar, and few and many gratings (stripes in eight
directions), which are different. For each, cnnzoo measures the case, makes a plan and
trains by it; the accuracy is compared with that of a training from random weights. A data
set counts as large from 2,000 images here, not 20,000, so that it takes only minutes.

    python examples/four_cases.py
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import cnnzoo
from cnnzoo import transfer
from cnnzoo.data.arrays import Images
from cnnzoo.system import files
from cnnzoo.train import Recipe, Run
from cnnzoo.transfer.cases import SHIFTS

LARGE = 2000  # number of images from which a data set is large
FEW_DIGITS, FEW_GRATINGS, MANY = 100, 500, 2600
SETS = ("few digits", "many digits", "few gratings", "many gratings")
BATCH = 32  # images per batch for training the whole network
DIRECTIONS = 8
# Clear gratings are easy to classify by the last stage, too.
FAINT = {"contrast": (20, 60), "noise": 50}
SIDE = 28


def gratings(
    count: int, seed: int, contrast: tuple[float, float] = (30, 100), noise: float = 30
) -> Images:
    """Stripes in eight directions, with random offsets and widths.

    Args:
        count: Number of images.
        seed: Random seed.
        contrast: Least and largest contrast of the stripes, in units of pixels 0 to 255.
        noise: Standard deviation of each pixel, in the same units.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % DIRECTIONS
    angles = (np.pi * labels / DIRECTIONS)[:, None, None]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    position = rows * np.cos(angles) + columns * np.sin(angles)
    frequency, phase, amplitude = (
        rng.uniform(low, high, (count, 1, 1))
        for low, high in ((0.7, 1.5), (0, 2 * np.pi), contrast)
    )
    pixels = 128 + amplitude * np.sin(frequency * position + phase)
    pixels = (pixels + rng.normal(0, noise, pixels.shape)).clip(0, 255).astype(np.uint8)
    names = tuple(f"{180 * k / DIRECTIONS:g} degrees" for k in range(DIRECTIONS))
    return Images(pixels[..., None], labels, names)


@dataclass(frozen=True)
class Outcome:
    """The result for one data set.

    Attributes:
        images: Number of training images.
        case: Measured case, 1 to 4.
        accuracy: Test accuracy by the plan of the case, 0 to 1.
        random: Test accuracy of a network trained from random weights, 0 to 1.
    """

    images: int
    case: int
    accuracy: float
    random: float


def train_source(network: str, digits: Images, out: Path, epochs: int) -> keras.Model:
    """A network trained on the digits 0 to 4."""
    keras.utils.set_random_seed(0)
    images = digits.only("01234")
    shape = (SIDE, SIDE, 1)
    model = cnnzoo.build(network, input_shape=shape, class_names=images.class_names)
    recipe = Recipe(epochs=epochs, patience=None, augment=SHIFTS)
    Run(out).fit(model, *images.split(0.1, seed=0), recipe)
    return model


def adapt(model: keras.Model, data: Images, test: Images, epochs: int) -> Outcome:
    """Measures the case of a data set, and trains by its plan and from random weights.

    Args:
        model: Source network.
        data: Training and validation images.
        test: Test images.
        epochs: Maximum number of epochs for training the whole network.
    """
    train, validation = data.split(0.2, seed=0)
    assessment = transfer.assess(model, train, small=LARGE)
    print(f"\n{assessment.explain()}")
    case_plan = transfer.plan(assessment)
    random_plan = transfer.plan(freeze="none", init="random")
    for phase in (case_plan.phases[-1], random_plan.phases[0]):
        if phase.until is None:  # the phase trains the whole network
            phase.epochs, phase.batch_size = epochs, BATCH
    accuracies = []
    for plan in (case_plan, random_plan):
        adapted = transfer.fit(model, train, validation, plan).model
        accuracies.append(cnnzoo.evaluate(adapted, test).accuracy)
    return Outcome(len(train), assessment.case, *accuracies)


def main(
    out: Path,
    *,
    network: str = "resnet20",
    names: Sequence[str] = SETS,
    source_epochs: int = 5,
    epochs: int = 8,
) -> dict[str, Outcome]:
    """Trains the source network and adapts it; returns the outcomes by data set.

    Args:
        out: Output folder.
        network: Catalog name of the source network.
        names: Names of the data sets.
        source_epochs: Number of epochs for the source network.
        epochs: Maximum number of epochs for training the whole network.
    """
    digits = cnnzoo.load_mnist("train")
    model = train_source(network, digits, out / "source", source_epochs)
    others = digits.only("56789")
    few, many = (others.split(count, seed=1)[1] for count in (FEW_DIGITS, MANY))
    test_digits = cnnzoo.load_mnist("test").only("56789")
    test_gratings = gratings(1000, seed=3, **FAINT)
    sets = {
        "few digits": (few, test_digits),
        "many digits": (many, test_digits),
        "few gratings": (gratings(FEW_GRATINGS, seed=1, **FAINT), test_gratings),
        "many gratings": (gratings(MANY, seed=2, **FAINT), test_gratings),
    }
    outcomes = {name: adapt(model, *sets[name], epochs) for name in names}
    table = Table("data", "images", "case", "accuracy", "from random weights", box=None)
    for name, outcome in outcomes.items():
        accuracies = (f"{100 * a:.1f} %" for a in (outcome.accuracy, outcome.random))
        table.add_row(name, str(outcome.images), str(outcome.case), *accuracies)
    Console().print(table)
    records = {name: vars(outcome) for name, outcome in outcomes.items()}
    files.write_json(out / "outcomes.json", records)
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("four_cases"))
    main(parser.parse_args().out)
