"""The verbs train and kfold, and the demo."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cnnzoo.cli.commands.data import check_folds, open_parts, open_source
from cnnzoo.cli.commands.networks import known_network
from cnnzoo.cli.options import named_value
from cnnzoo.cli.output import print_json, print_table, say, start
from cnnzoo.errors import UsageError, check_known, other_network
from cnnzoo.models.index import ModelInfo
from cnnzoo.system import files

if TYPE_CHECKING:
    from cnnzoo.data.arrays import Source
    from cnnzoo.data.augment import Augment
    from cnnzoo.train import Recipe
    from cnnzoo.train.callbacks import History

RUN_FILE = "run.json"  # a copy, since the import of its home needs Keras
FEW = 1000  # pictures, for which transfer is recommended


def train(args: Namespace) -> None:
    network, out = known_network(args, args.model), Path(args.out)
    _check(args)
    data, validation = open_parts(args, again=_has_begun(out, network))
    _check_featurewise(args, data)
    start(args.threads)
    import keras

    from cnnzoo.train import run_metadata
    from cnnzoo.train.mixed_precision import resolve
    from cnnzoo.train.run import Run

    recipe, loggers = _recipe(args), _loggers(args)
    before = run_metadata.read(out)
    keras.utils.set_random_seed(args.seed)
    shape, model = _network(args, network, data)
    say(
        f"{args.model} at {'x'.join(map(str, shape))}: {len(data):,} training images, "
        f"{len(validation):,} validation images, {len(data.class_names)} classes"
    )
    if data.image_shape is None and len(data) < FEW and not before:
        say(
            f"{len(data):,} pictures are few for a network that begins untrained; "
            "`cnnzoo transfer` begins with a trained one, which mostly errs less",
            file=sys.stderr,
        )
    if before:
        say(f"precision: {before.environment['precision']}, as at its start")
        say(f"{out} has this training already; it is resumed")
    else:
        say(f"precision: {resolve(recipe.precision)}")
    history = Run(out).fit(model, data, validation, recipe, callbacks=loggers)
    if history.was_over:
        say("the training was finished already; nothing was trained")
    _report(history, out)


def _has_begun(folder: Path, network: ModelInfo) -> bool:
    """Whether the folder holds a training, which may be damaged.

    Raises:
        ResumeMismatchError: It is a training of another network.
    """
    path, before = folder / RUN_FILE, network.name
    with suppress(*files.DAMAGE):
        before = files.read_json(path)["network"]["name"]
    if before != network.name:
        raise other_network(folder, before, network.name)
    return path.exists()


def _check(args: Namespace) -> None:
    """Raises UsageError for options that do not fit, as far as no data are needed."""
    if args.augment:
        parse_augment(args.augment)
    if getattr(args, "tensorboard", False) and find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard needs the package tensorboard, which is not installed; "
            "install cnnzoo[tensorboard], or use --csv"
        )


def _check_featurewise(args: Namespace, data: Source) -> None:
    if args.preprocessing == "featurewise" and data.image_shape is None:
        raise UsageError(
            "featurewise preprocessing is measured on images in memory, and a folder is "
            "not; choose another mode, or give a .csv or .npz"
        )


def _report(history: History, out: Path) -> None:
    """Draws the curves, and prints the best epoch and the files."""
    import numpy as np

    from cnnzoo.visualization import figures

    curves = files.write_bytes(out / "curves.png", figures.learning_curves(history))
    best = int(np.nanargmin(history["val_loss"]))
    say(
        f"best epoch {best + 1} of {len(history['val_loss'])}: validation accuracy "
        f"{100 * history['val_accuracy'][best]:.2f} %"
    )
    if history.evaluation:
        say(f"{history.evaluation.calibration}, by the validation images")
    for path in (out / "model.keras", out / "history.json", curves):
        say(path)


def kfold(args: Namespace) -> None:
    if args.model is None and args.out is None:
        _report_predictions(args)
        return
    if args.model is None or args.out is None:
        raise UsageError(
            "kfold trains a network, and needs --model and --out; give both, or neither "
            "and a predictions.npz that kfold wrote"
        )
    network = known_network(args, args.model)
    _has_begun(Path(args.out) / "fold-1", network)
    _check(args)
    if args.preprocessing == "featurewise":
        raise UsageError(
            "featurewise preprocessing would be measured on the test images, too; "
            "choose another mode for kfold"
        )
    source = open_source(args)
    check_folds(args, source)
    start(args.threads)
    from cnnzoo.train.cross_validation import WRITTEN, kfold

    found = kfold(
        lambda: _network(args, network, source)[1],
        source,
        args.out,
        _recipe(args),
        folds=args.folds,
        group_by=args.group_by,
        seed=args.seed,
        verbose=0 if args.json else "auto",
    )
    if args.json:
        print_json(found.to_dict())
        return
    rows = [(i, f"{100 * a:.2f} %") for i, a in enumerate(found.accuracies, start=1)]
    print_table(("fold", "accuracy"), rows)
    say(
        f"accuracy {100 * found.mean:.2f} %, deviation of the folds "
        f"{100 * found.deviation:.2f}; {found.evaluation.images:,} images, each "
        "evaluated by a network that was not trained on it"
    )
    say(f"out of fold: {found.evaluation.summary}")
    for name in WRITTEN:
        say(Path(args.out) / name)


def _report_predictions(args: Namespace) -> None:
    """Prints the error of predictions that an earlier `kfold` wrote."""
    from cnnzoo.evaluation import read_predictions

    found = read_predictions(args.data)
    if args.json:
        print_json(found.to_dict())
    else:
        say(f"out of fold: {found.summary}")


def _loggers(args: Namespace) -> list:
    from keras.callbacks import CSVLogger, TensorBoard

    loggers, out = [], Path(args.out)
    if args.csv:
        loggers.append(CSVLogger(out / "history.csv", append=True))
    if args.tensorboard:
        loggers.append(TensorBoard(out / "tensorboard", write_graph=False))
    return loggers


def _network(args: Namespace, network: ModelInfo, train):
    """The image size, and the network."""
    from cnnzoo.layers.axes import to_keras_format
    from cnnzoo.zoo import build

    shape = _image_shape(train, network, args)
    return shape, build(
        args.model,
        input_shape=to_keras_format(shape),
        classes=len(train.class_names),
        include_preprocessing=True,
        preprocessing=_preprocessing(args.preprocessing, train),
        geometry=args.fit,
    )


def _recipe(args: Namespace) -> Recipe:
    """The recipe of that name, or the default one, changed by the options."""
    from cnnzoo.train.recipe import RECIPES, Recipe

    given = {field.name: getattr(args, field.name, None) for field in fields(Recipe)}
    given["loss_options"] = args.loss_options and dict(args.loss_options)
    given["augment"] = args.augment and parse_augment(args.augment)
    recipe = RECIPES[args.recipe] if args.recipe else Recipe()
    if args.optimizer is not None and args.optimizer != recipe.optimizer:
        # The recipe's values are for another optimizer.
        recipe = replace(recipe, momentum=None, learning_rate=None)
    return replace(recipe, **{n: v for n, v in given.items() if v is not None})


def parse_augment(texts: Sequence[str]) -> Augment:
    """Parses random changes of images from NAME or NAME=VALUE texts.

    Values are written as in Python, several with commas between them, and a name alone
    stands for True: `zoom_range=0.9,1.2 fill_mode=reflect horizontal_flip`.

    Args:
        texts: Texts, one per argument of `Augment`.

    Raises:
        UsageError: A name is unknown, or a value is missing or invalid.
    """
    from cnnzoo.data.augment import Augment

    names = [field.name for field in fields(Augment)]
    values = dict(map(named_value, texts))
    for name in values:
        check_known("augmentation", name, names)
    return Augment(**values)


def _image_shape(source, network: ModelInfo, args: Namespace) -> tuple[int, int, int]:
    """The shape of the images in memory, or the paper's for a folder, unless --size."""
    height, width, channels = network.input_shape
    if source.image_shape is not None:
        height, width, channels = source.image_shape
        height, width = max(height, network.min_size), max(width, network.min_size)
    height, width = args.size or (height, width)
    return height, width, args.channels or channels


def _preprocessing(mode: str | None, train):
    """The preprocessing; `featurewise` is measured on the training images."""
    if mode != "featurewise":
        return mode
    from cnnzoo.data.preprocess import featurewise

    height, width, channels = train.image_shape
    return featurewise(train.load(slice(None), (height, width), channels))


def demo(args: Namespace) -> None:
    start(args.threads)
    from cnnzoo.cli.demo import run

    run(Path(args.out))
