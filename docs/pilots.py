"""The pilots that choose recipes, on training images alone.

    CNNZOO_DATA=folder python docs/pilots.py stronger

Half an hour on one core each. What they come to goes into `docs/trainings.json`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import keras
from make_weights import LIST, figures

import cnnzoo
from cnnzoo import files
from cnnzoo.data.augment import Augment
from cnnzoo.train import RECIPES, Run

MILD = Augment(
    rotation_range=15,
    shear_range=10,
    zoom_range=0.1,
    width_shift_range=0.1,
    height_shift_range=0.1,
)
OURS = replace(RECIPES["ours"], epochs=8)
STRONGER = OURS.augment or Augment()
RESNET = replace(OURS, epochs=5, batch_size=64, learning_rate=1e-3)
SGD = replace(RECIPES["cifar"], epochs=5, augment=STRONGER, averaging=0.999)
PILOTS = {  # what is changed of the recipe, the network, the recipe
    "mild": (
        "rotation 15, shear 10, zoom 0.1, shifts 0.1",
        "very_small_vgg",
        replace(OURS, augment=MILD),
    ),
    "stronger": (
        "rotation 20, shear 15, zoom 0.15, shifts 0.15",
        "very_small_vgg",
        OURS,
    ),
    "elastic": (
        "the same and elastic (34, 4)",
        "very_small_vgg",
        replace(OURS, augment=replace(STRONGER, elastic=(34, 4))),
    ),
    "resnet": ("batch 64, rate 1e-3", "small_resnet", RESNET),
    "resnet-slow": (
        "batch 64, rate 5e-4",
        "small_resnet",
        replace(RESNET, learning_rate=5e-4),
    ),
    "resnet-mild": (
        "batch 64, rate 1e-3, mild changes",
        "small_resnet",
        replace(RESNET, augment=MILD),
    ),
    "resnet-128": (
        "batch 128, rate 1e-3",
        "small_resnet",
        replace(RESNET, batch_size=128),
    ),
    "resnet-sgd": (
        "SGD with momentum 0.9 and weight decay, batch 128, rate 0.1",
        "small_resnet",
        SGD,
    ),
}
HELD_OUT = 20_000  # digits


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pilot", choices=PILOTS)
    name = parser.parse_args().pilot
    changes, network, recipe = PILOTS[name]
    learned, held_out = cnnzoo.load_mnist("train").split(HELD_OUT, 0)
    keras.utils.set_random_seed(0)
    model = cnnzoo.build(network, include_preprocessing=True)
    Run(Path("runs") / f"pilot-{name}").fit(model, learned, held_out, recipe, verbose=2)
    told = {
        "network": network,
        "changes": changes,
        "command": f"python docs/pilots.py {name}",
        "epochs": recipe.epochs,
        "learned": len(learned),
        "held_out": figures(cnnzoo.evaluate(model, held_out)),
    }
    known = json.loads(LIST.read_text())
    others = [one for one in known["pilots"] if one["command"] != told["command"]]
    files.write_json(LIST, {**known, "pilots": [*others, told]})


if __name__ == "__main__":
    main()
