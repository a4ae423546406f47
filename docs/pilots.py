"""The pilots that chose the ranges of the recipe `ours`, on training images alone.

    CNNZOO_DATA=folder python docs/pilots.py stronger

Half an hour on one core each. What they came to stands in `docs/trainings.json`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras

import cnnzoo
from cnnzoo.data.augment import Augment
from cnnzoo.train import RECIPES, Run

STRONGER = Augment(
    rotation_range=20,
    shear_range=15,
    zoom_range=0.15,
    width_shift_range=0.15,
    height_shift_range=0.15,
)
CHANGES = {
    "mild": Augment(
        rotation_range=15,
        shear_range=10,
        zoom_range=0.1,
        width_shift_range=0.1,
        height_shift_range=0.1,
    ),
    "stronger": STRONGER,
    "elastic": replace(STRONGER, elastic=(34, 4)),
}
HELD_OUT = 20_000  # digits


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("changes", choices=CHANGES)
    name = parser.parse_args().changes
    learned, held_out = cnnzoo.load_mnist("train").split(HELD_OUT, 0)
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("very_small_vgg", include_preprocessing=True)
    recipe = replace(RECIPES["ours"], epochs=8, augment=CHANGES[name])
    Run(Path("runs") / f"pilot-{name}").fit(model, learned, held_out, recipe, verbose=2)
    print(f"{name}: {cnnzoo.evaluate(model, held_out).errors} errors")


if __name__ == "__main__":
    main()
