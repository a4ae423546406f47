"""The grammar of the command line: `cnnzoo VERB DATA --model NAME|DIR --out DIR`."""

import argparse

import cnnzoo
from cnnzoo.cli import options
from cnnzoo.cli.commands import catalog, inference, training
from cnnzoo.cli.commands import check as check_command
from cnnzoo.cli.commands import transfer as transfer_command

# As in cnnzoo.train, whose import needs Keras.
RECIPES = ("mnist_kkweon", "mnist", "mnist_small_resnet", "cifar10", "cifar10_mixup")
DATA_HELP = "mnist, a folder of class folders, a .csv, a .npz, or MNIST's four files"
OUT_HELP = "a folder for what comes of it; a training that was cut off there goes on"


def make_parser() -> argparse.ArgumentParser:
    """All verbs, each with the function that carries it out."""
    top = argparse.ArgumentParser(
        prog="cnnzoo", description="The classic convolutional networks in Keras 3."
    )
    top.add_argument("--version", action="version", version=cnnzoo.__version__)
    top.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    top.add_argument("--threads", type=int, metavar="N", help="of one computation")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_catalog_verbs(verbs)
    _add_check(verbs)
    _add_train(verbs)
    _add_transfer(verbs)
    _add_model_verbs(verbs)
    demo = verbs.add_parser("demo", help="train, evaluate and predict in some minutes")
    demo.add_argument("--out", default="demo", metavar="DIR", help="default: demo")
    demo.set_defaults(run=training.demo)
    return top


def _add_catalog_verbs(verbs) -> None:
    listing = verbs.add_parser("list", help="the networks of the catalog")
    listing.add_argument("pattern", nargs="?", default="*", help='such as "resnet*"')
    listing.add_argument("--family")
    listing.add_argument("--weights", metavar="TAG")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=catalog.list_networks)

    info = verbs.add_parser("info", help="one network: paper, counts, stages, layers")
    info.add_argument("model", metavar="NAME")
    info.add_argument("--layers", action="store_true", help="every layer")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=catalog.info)

    plot = verbs.add_parser("plot", help="a picture of the graph, .png or .svg")
    plot.add_argument("model", metavar="NAME")
    plot.add_argument("--out", metavar="FILE", help="default: NAME.png")
    plot.add_argument("--shapes", action="store_true", help="show tensor shapes")
    plot.add_argument("--names", action="store_true", help="show layer names")
    plot.add_argument("--rankdir", choices=("TB", "LR"), default="TB")
    plot.set_defaults(run=catalog.plot)


def _add_check(verbs) -> None:
    check = verbs.add_parser(
        "check", help="what a folder of images holds, and what is wrong there"
    )
    check.add_argument("data", metavar="FOLDER")
    check.add_argument(
        "--quick", action="store_true", help="read the ends of files only, not pixels"
    )
    _add_folder(check)
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=check_command.check)


def _add_folder(verb) -> None:
    """How a folder of images is read."""
    verb.add_argument(
        "--labels", metavar="CSV", help="the class of each image: file,class"
    )
    verb.add_argument(
        "--follow-links", action="store_true", help="also out of the folder"
    )


def _add_on_bad(verb) -> None:
    verb.add_argument(
        "--on-bad",
        choices=("raise", "skip"),
        default="raise",
        help="of files that cannot be read: stop before anything else, or leave them out",
    )


def _add_division(verb) -> None:
    """How images are read and divided."""
    verb.add_argument("--size", type=options.positive(int), help="image side, pixels")
    verb.add_argument(
        "--seed", type=options.seed, default=0, help="of every random choice"
    )
    verb.add_argument(
        "--group-by",
        metavar="PATTERN",
        help="images in whose names this regular expression finds the same text stay in "
        "one part",
    )
    verb.add_argument("--download", action="store_true", help="fetch all of MNIST")
    _add_folder(verb)
    _add_on_bad(verb)


def _add_copies(verb) -> None:
    verb.add_argument(
        "--allow-copies",
        action="store_true",
        help="go on where images of train/ are in val/, too",
    )


def _add_train(verbs) -> None:
    train = verbs.add_parser(
        "train", help="train a network on your data, or go on with a training"
    )
    _add_training(train)
    train.add_argument(
        "--validation",
        type=options.part,
        default=0.1,
        metavar="SHARE",
        help="of the images, held out, or their number; default: 0.1, or what a folder "
        "has in val/ beside train/",
    )
    _add_copies(train)
    train.add_argument(
        "--csv",
        action="store_true",
        help="write history.csv, too; an epoch that a kill cut off can stand there twice",
    )
    train.add_argument(
        "--tensorboard", action="store_true", help="write logs that TensorBoard shows"
    )
    train.set_defaults(run=training.train)

    kfold = verbs.add_parser(
        "kfold", help="judge each image by a network that did not learn it"
    )
    _add_training(kfold)
    kfold.add_argument("--folds", type=options.folds, default=5, help="default: 5")
    kfold.add_argument("--json", action="store_true")
    kfold.set_defaults(run=training.kfold)


def _add_transfer(verbs) -> None:
    transfer = verbs.add_parser(
        "transfer", help="make a trained network a classifier of your photographs"
    )
    transfer.add_argument("data", metavar="DATA", help=DATA_HELP)
    transfer.add_argument(
        "--model",
        required=True,
        metavar="NAME|DIR",
        help="a network of the catalog, a folder that train wrote, or a .keras file",
    )
    transfer.add_argument(
        "--weights",
        metavar="PATH|TAG",
        help="of a network of the catalog: a file, imagenet, or what the package ships",
    )
    transfer.add_argument(
        "--case",
        choices=("auto", "1", "2", "3", "4"),
        default="auto",
        help="small and similar, large and similar, small and different, large and "
        "different; default: auto, which measures it",
    )
    transfer.add_argument(
        "--refine",
        action="store_true",
        help="in cases 1 and 3, let the last stage learn, too, and keep that if better",
    )
    transfer.add_argument(
        "--views",
        type=options.positive(int),
        default=1,
        metavar="K",
        help="moved versions of each image where something is computed once; default: 1",
    )
    transfer.add_argument(
        "--folds",
        type=options.folds,
        metavar="K",
        help="also judge each image by a network that did not learn it",
    )
    transfer.add_argument(
        "--validation",
        type=options.part,
        default=0.2,
        metavar="SHARE",
        help="of the images, held out, or their number; default: 0.2",
    )
    transfer.add_argument(
        "--disk",
        type=options.positive(float),
        default=16.0,
        metavar="GB",
        help="of features that a phase may keep; default: 16",
    )
    transfer.add_argument("--out", required=True, metavar="DIR", help=OUT_HELP)
    _add_division(transfer)
    _add_copies(transfer)
    transfer.set_defaults(run=transfer_command.transfer)


def _add_training(verb) -> None:
    """What a verb that trains takes."""
    verb.add_argument("data", metavar="DATA", help=DATA_HELP)
    verb.add_argument("--model", required=True, metavar="NAME")
    verb.add_argument("--out", required=True, metavar="DIR", help=OUT_HELP)
    verb.add_argument(
        "--recipe",
        choices=RECIPES,
        help="mnist for digits, with a variant for small_resnet and kkweon's original; "
        "cifar10 for photographs of 32 pixels, as in the ResNet paper, or with mixup",
    )
    verb.add_argument(
        "--epochs",
        type=options.positive(int),
        help="at most; default: the recipe's, or 10",
    )
    verb.add_argument(
        "--batch-size", type=options.positive(int), help="images a step; default: 128"
    )
    verb.add_argument("--optimizer", help="a Keras name; default: the recipe's, or adam")
    verb.add_argument(
        "--lr",
        type=options.positive(float),
        help="default: the recipe's, or the optimizer's",
    )
    verb.add_argument("--loss", help="default: cross-entropy")
    verb.add_argument(
        "--patience",
        type=options.positive(int),
        metavar="EPOCHS",
        help="stop after so many without a better validation loss; default: the "
        "recipe's, or 9",
    )
    verb.add_argument("--channels", type=int, choices=(1, 3), help="grey or RGB")
    verb.add_argument("--preprocessing", metavar="MODE", help="default: the network's")
    verb.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        help="to compute in; default: auto, bfloat16 where this machine is fast in it",
    )
    verb.add_argument(
        "--augment",
        nargs="+",
        metavar="NAME[=VALUE]",
        help="random changes, such as rotation_range=10 zoom_range=0.9,1.2 "
        "horizontal_flip; the names are those of cnnzoo.data.augment.Augment",
    )
    _add_division(verb)


def _add_model_verbs(verbs) -> None:
    evaluate = verbs.add_parser("evaluate", help="accuracy, per class, confusion")
    evaluate.add_argument("data", metavar="DATA", help=DATA_HELP)
    _add_answering(evaluate)
    _add_folder(evaluate)
    _add_on_bad(evaluate)
    evaluate.add_argument("--out", metavar="DIR", help="default: the model's folder")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=inference.evaluate)

    predict = verbs.add_parser("predict", help="classes of images, or of a .csv")
    predict.add_argument("data", metavar="FILE", nargs="+")
    _add_answering(predict)
    _add_on_bad(predict)
    predict.add_argument(
        "--top",
        type=options.positive(int),
        metavar="K",
        help=f"classes of an image; default: {inference.TOP}",
    )
    predict.add_argument("--out", metavar="FILE", help="submission of a .csv")
    predict.add_argument("--json", action="store_true")
    predict.set_defaults(run=inference.predict)


def _add_answering(verb) -> None:
    """What a verb takes that asks trained networks."""
    verb.add_argument(
        "--model",
        action="append",
        metavar="DIR",
        help="a folder that train wrote, a .keras file, or a network that the package "
        "has weights of; where it stands several times, their mean answers",
    )
    verb.add_argument(
        "--ensemble",
        action="store_true",
        help="ask the package's three networks for MNIST together",
    )
