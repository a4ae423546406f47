"""Options of the command line: parsers of values, and options that verbs share.

A parser refuses what can be known to be wrong before Keras is imported.
"""

from argparse import ArgumentTypeError
from ast import literal_eval
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from cnnzoo.errors import unknown
from cnnzoo.spec import MODES, Fit
from cnnzoo.system import files, validation
from cnnzoo.system.validation import Rule

# Copies of what Keras and cnnzoo.train have, whose import takes seconds.
OPTIMIZERS = (
    *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "ftrl", "lion"),
    *("muon", "nadam", "rmsprop", "schedulefreeadamw", "sgd"),
)
LOSSES = (
    *("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy"),
    *("categorical_focal_crossentropy", "categorical_hinge", "cosine_similarity"),
    *("dice", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error"),
    *("mean_absolute_percentage_error", "mean_squared_error"),
    *("mean_squared_logarithmic_error", "poisson", "sparse_categorical_crossentropy"),
    *("squared_hinge", "tversky", "bce", "kld", "mae", "mape", "mse", "msle"),
)
LOSS_OPTIONS = (
    *("alpha", "apply_class_balancing", "beta", "delta", "gamma", "ignore_class"),
    "label_smoothing",
)
PICTURES = (".png", ".svg")
RECIPES = (
    "mnist_kkweon",
    "mnist",
    "mnist_long",
    "mnist_small_resnet",
    "cifar10",
    "cifar10_mixup",
)


def number(kind: type, rule: Rule):
    """A parser of numbers of that type that meet a rule."""
    fits, expected = rule

    def parse(text: str):
        value = kind(text)
        if not fits(value):
            raise ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    parse.__name__ = kind.__name__  # for argparse's error messages
    return parse


COUNT = number(int, validation.COUNT)
POSITIVE = number(float, validation.ABOVE_ZERO)
SEED = number(int, validation.SEED)
FOLDS = number(int, (lambda folds: folds >= 2, "2 or more"))


def part(text: str) -> float | int:
    """Parses a share, or a number of images."""
    return number(int if text.isdecimal() else float, validation.SHARE)(text)


part.__name__ = "share or number of images"  # for argparse's error messages


def one_of(kind: str, known: Sequence[str]) -> Callable[[str], str]:
    """A parser of one of Keras's names, in any spelling, to Keras's own."""

    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    def parse(text: str) -> str:
        for name in known:
            if plain(name) == plain(text):
                return name
        raise ArgumentTypeError(str(unknown(kind, text, known)))

    return parse


def named_value(text: str) -> tuple[str, Any]:
    """Parses NAME, which stands for True, or NAME=VALUE, a value of Python or a text."""
    name, equals, value = text.partition("=")
    try:
        return name, literal_eval(value) if equals else True
    except (SyntaxError, ValueError):
        return name, value


def loss_option(text: str) -> tuple[str, Any]:
    """Parses a `named_value` with numbers or True or False."""
    name, found = named_value(text)
    numbers = found if isinstance(found, tuple | list) else (found,)
    if not numbers or not all(isinstance(number, int | float) for number in numbers):
        raise ArgumentTypeError(f"expected label_smoothing=0.1 or the like, got {text}")
    return one_of("option of a loss", LOSS_OPTIONS)(name), found


def folder(text: str) -> str:
    """Parses the path of a folder to write into; raises SaveError if that cannot be."""
    files.check_place(Path(text), is_folder=True)
    return text


def file(text: str) -> str:
    """Parses the path of a file to write; raises SaveError if that cannot be."""
    files.check_place(Path(text), is_folder=False)
    return text


def picture(text: str) -> str:
    """Parses the path of a picture to write."""
    if Path(text).suffix not in PICTURES:
        raise ArgumentTypeError(f"expected a .png or .svg file, got {text}")
    return file(text)


def size(text: str) -> tuple[int, int]:
    """Parses a height and a width, such as 224x320, or one number for both."""
    from cnnzoo.data.decode import MAX_PIXELS

    height, width = map(COUNT, text.split("x") if "x" in text else (text, text))
    if height * width > MAX_PIXELS:
        raise ArgumentTypeError(f"expected at most {MAX_PIXELS:,} pixels, got {text}")
    return height, width


def add_json(verb) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def add_data(verb) -> None:
    text = (
        "mnist, fashion_mnist, cifar10, a folder of class folders, a .csv, a .npz, or "
        "MNIST's four files"
    )
    verb.add_argument("data", metavar="DATA", help=text)
    text = "allow Keras to download fashion_mnist, cifar10 and all of mnist"
    verb.add_argument("--download", action="store_true", help=text)


def add_out(verb, *, required: bool = True) -> None:
    text = "output folder; a run that was interrupted there is resumed"
    verb.add_argument("--out", required=required, type=folder, metavar="DIR", help=text)


def add_size(verb) -> None:
    """Adds the options for the size of images."""
    option = verb.add_argument
    text = "height and width of the images in pixels, or one number for both"
    option("--size", type=size, metavar="HxW", help=text)
    text = (
        "how pictures become this size: by another ratio of their sides, by cutting off "
        "what is too long, or with borders; default: as for the weights, or stretch"
    )
    option("--fit", choices=get_args(Fit), help=text)


def add_folder(verb) -> None:
    """Adds the options for folders of images."""
    option = verb.add_argument
    option("--labels", metavar="CSV", help="table of the images' classes: file,class")
    text = "leave out images that the table does not name, and lines without an image"
    option("--partial", action="store_true", help=text)
    text = "follow links that lead out of the folder"
    option("--follow-links", action="store_true", help=text)
    text = "values of pictures of 16 bits that become 0 and 255; default: 0 65535"
    bounds = ("LOW", "HIGH")
    option("--value-range", nargs=2, type=int, metavar=bounds, help=text)


def add_on_bad(verb) -> None:
    text = (
        "stop before anything else at files that cannot be read, or leave them out, and "
        "those of a format that at most one in a hundred has"
    )
    ways = ("raise", "skip")
    verb.add_argument("--on-bad", choices=ways, default="raise", help=text)


def add_seed(verb) -> None:
    text = "random seed of every choice; default: 0"
    verb.add_argument("--seed", type=SEED, default=0, help=text)


def add_reading(verb) -> None:
    """Adds the options for reading and splitting images."""
    add_size(verb)
    option = verb.add_argument
    add_seed(verb)
    text = "regular expression; images with the same match in their names stay together"
    option("--group-by", metavar="PATTERN", help=text)
    add_folder(verb)
    add_on_bad(verb)


def add_validation(verb, default: float) -> None:
    """Adds the options for the validation images."""
    option = verb.add_argument
    text = f"share or number of images for validation; default: val/, or {default}"
    option("--validation", type=part, default=default, metavar="SHARE", help=text)
    text = "accept images in val/ that are copies of images in train/"
    option("--allow-copies", action="store_true", help=text)


def add_recipe(verb, *, required: bool = True) -> None:
    """Adds the options for building and training a network."""
    text = "name of a network"
    verb.add_argument("--model", required=required, metavar="NAME", help=text)
    option = verb.add_argument_group(
        "recipe", "Options override the recipe; defaults apply without --recipe."
    ).add_argument
    text = (
        "mnist for digits, with a variant for small_resnet and kkweon's original; "
        "cifar10 for photographs of 32 pixels, as in the ResNet paper, or with mixup"
    )
    option("--recipe", choices=RECIPES, help=text)
    option("--epochs", type=COUNT, help="maximum number of epochs; default: 10")
    text = (
        "number of images per batch; default: that of a training that goes on, or a "
        "tenth of the images, at most 128"
    )
    option("--batch-size", type=COUNT, help=text)
    text = "number of steps per epoch; default: one pass over the images"
    option("--steps-per-epoch", type=COUNT, metavar="STEPS", help=text)
    text = "name of a Keras optimizer; default: adam"
    option("--optimizer", type=one_of("optimizer", OPTIMIZERS), metavar="NAME", help=text)
    text = "learning rate; default: the optimizer's"
    option("--lr", dest="learning_rate", type=POSITIVE, metavar="LR", help=text)
    text = "name of a Keras loss; default: cross-entropy"
    option("--loss", type=one_of("loss", LOSSES), metavar="NAME", help=text)
    text = "options of the loss, such as label_smoothing=0.1"
    option("--loss-options", nargs="+", type=loss_option, metavar="NAME=VALUE", help=text)
    text = "number of epochs without a lower validation loss, then stop; default: 9"
    option("--patience", type=COUNT, metavar="EPOCHS", help=text)
    text = "precision of the computation; default: auto, bfloat16 where it is fast"
    option("--precision", choices=("auto", "float32", "bfloat16"), help=text)
    text = (
        "random changes of the training images, such as rotation_range=10 "
        "zoom_range=0.9,1.2 horizontal_flip; names as in cnnzoo.data.augment.Augment"
    )
    option("--augment", nargs="+", metavar="NAME[=VALUE]", help=text)
    option = verb.add_argument
    option("--channels", type=int, choices=(1, 3), help="number of channels: grey or RGB")
    text = "preprocessing of the pixels; default: the network's"
    option("--preprocessing", choices=(*MODES, "featurewise"), help=text)


def add_weights(verb) -> None:
    text = "weights for a name: a file, imagenet, or a tag that the package has"
    verb.add_argument("--weights", metavar="PATH|TAG", help=text)


def add_models(verb) -> None:
    """Adds the options for trained networks."""
    text = (
        "folder that train wrote, .keras file, or name of a network with --weights or "
        "with weights in the package; several are averaged"
    )
    verb.add_argument("--model", action="append", metavar="DIR|NAME", help=text)
    add_weights(verb)
    add_size(verb)
    text = "the package's three networks for MNIST, averaged"
    verb.add_argument("--ensemble", action="store_true", help=text)


def add_compared(verb) -> None:
    """Adds the options for networks to compare."""
    text = (
        "names of networks, with weights as in NAME=imagenet or NAME=FILE, else those of "
        "--weights or in the package; folders that train wrote; .keras files"
    )
    names = "NAME[=WEIGHTS]|DIR"
    verb.add_argument("--models", nargs="+", required=True, metavar=names, help=text)
    add_weights(verb)
    add_size(verb)
