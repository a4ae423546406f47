"""The grammar of the command line: `cnnzoo VERB DATA --model NAME|DIR --out DIR`."""

from argparse import Action, ArgumentParser

from cnnzoo.cli import options
from cnnzoo.cli.commands import (
    catalog,
    check as check_command,
    comparison,
    inference,
    training,
    transfer as transfer_command,
)
from cnnzoo.errors import EXIT_CODES


class _Version(Action):
    """Prints the version, whose import would take a fifth of the time of `list`."""

    def __call__(self, parser, namespace, values, option_string=None):
        from importlib.metadata import version

        print(version("cnnzoo"))
        parser.exit()


def make_parser() -> ArgumentParser:
    """Makes the parser of all verbs, each with the function that runs it."""
    about = "The classic convolutional networks in Keras 3."
    codes = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    top = ArgumentParser(prog="cnnzoo", description=about, epilog=f"Exit codes: {codes}.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    top.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    text = "number of threads per computation; default: the number of cores"
    top.add_argument("--threads", type=options.COUNT, metavar="N", help=text)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_list(verbs.add_parser("list", help="list the networks of the catalog"))
    _add_info(verbs.add_parser("info", help="show a network's paper, counts, stages"))
    _add_plot(verbs.add_parser("plot", help="draw the graph of a network"))
    about = "say which networks a file of weights fits"
    _add_identify(verbs.add_parser("identify", help=about))
    _add_check(verbs.add_parser("check", help="find what is wrong in a folder of images"))
    _add_train(verbs.add_parser("train", help="train a network, or resume a training"))
    _add_kfold(verbs.add_parser("kfold", help="cross-validate a network"))
    about = "say which trained networks suit your photographs"
    _add_compare(verbs.add_parser("compare", help=about))
    about = "turn a trained network into a classifier of your photographs"
    _add_transfer(verbs.add_parser("transfer", help=about))
    about = "measure accuracy, metrics per class and the confusion matrix"
    _add_evaluate(verbs.add_parser("evaluate", help=about))
    _add_predict(verbs.add_parser("predict", help="classify images or rows of a .csv"))
    about = "train, evaluate and predict in some minutes"
    _add_demo(verbs.add_parser("demo", help=about))
    return top


def _add_list(verb: ArgumentParser) -> None:
    option = verb.add_argument
    option("pattern", nargs="?", default="*", help='pattern of names, such as "resnet*"')
    option("--family", help="name of a family, such as vgg")
    option("--weights", metavar="TAG", help="tag of weights, such as imagenet")
    options.add_json(verb)
    verb.set_defaults(run=catalog.list_networks)


def _add_info(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="NAME", help="name of a network")
    verb.add_argument("--layers", action="store_true", help="show the layers instead")
    options.add_json(verb)
    verb.set_defaults(run=catalog.info)


def _add_plot(verb: ArgumentParser) -> None:
    option = verb.add_argument
    option("model", metavar="NAME", help="name of a network")
    text = "picture, .png or .svg; default: NAME.png"
    option("--out", type=options.picture, metavar="FILE", help=text)
    option("--shapes", action="store_true", help="show tensor shapes")
    option("--names", action="store_true", help="show layer names")
    text = "direction, from top to bottom or from left to right; default: TB"
    option("--rankdir", choices=("TB", "LR"), default="TB", help=text)
    verb.set_defaults(run=catalog.plot)


def _add_identify(verb: ArgumentParser) -> None:
    text = "weights of Keras, PyTorch, ONNX, or .safetensors"
    verb.add_argument("file", metavar="FILE", help=text)
    options.add_json(verb)
    verb.set_defaults(run=catalog.identify)


def _add_check(verb: ArgumentParser) -> None:
    verb.add_argument("data", metavar="FOLDER", help="folder of images")
    text = "read the first and the last bytes of files only, not pixels"
    verb.add_argument("--quick", action="store_true", help=text)
    options.add_folder(verb)
    options.add_json(verb)
    verb.set_defaults(run=check_command.check)


def _add_train(verb: ArgumentParser) -> None:
    options.add_data(verb)
    options.add_out(verb)
    options.add_recipe(verb)
    options.add_reading(verb)
    options.add_validation(verb, 0.1)
    text = "write history.csv, too; an epoch that was killed can be there twice"
    verb.add_argument("--csv", action="store_true", help=text)
    text = "write logs for TensorBoard"
    verb.add_argument("--tensorboard", action="store_true", help=text)
    verb.set_defaults(run=training.train)


def _add_kfold(verb: ArgumentParser) -> None:
    verb.description = "DATA may be a predictions.npz of kfold, to print its error again."
    options.add_data(verb)
    options.add_out(verb, required=False)
    options.add_recipe(verb, required=False)
    options.add_reading(verb)
    text = "number of folds; default: 5"
    verb.add_argument("--folds", type=options.FOLDS, default=5, help=text)
    options.add_json(verb)
    verb.set_defaults(run=training.kfold)


def _add_compare(verb: ArgumentParser) -> None:
    options.add_data(verb)
    options.add_compared(verb)
    text = f"number of images to measure the accuracy on; default: {comparison.IMAGES}"
    count = {"type": options.COUNT, "default": comparison.IMAGES}
    verb.add_argument("--images", **count, metavar="N", help=text)
    options.add_seed(verb)
    options.add_folder(verb)
    options.add_on_bad(verb)
    text = "output folder for comparison.json and comparison.png; default: none"
    verb.add_argument("--out", type=options.folder, metavar="DIR", help=text)
    options.add_json(verb)
    verb.set_defaults(run=comparison.compare)


def _add_transfer(verb: ArgumentParser) -> None:
    options.add_data(verb)
    options.add_out(verb)
    option = verb.add_argument
    text = "name of a network, folder that train wrote, or .keras file"
    option("--model", required=True, metavar="NAME|DIR", help=text)
    options.add_weights(verb)
    text = (
        "1: few and similar images; 2: many and similar; 3: few and different; 4: many "
        "and different; all-cuts: a classifier on all stages; default: auto, which "
        "measures it"
    )
    option(
        "--case",
        choices=("auto", "1", "2", "3", "4", "all-cuts"),
        default="auto",
        help=text,
    )
    text = "in cases 1 and 3, train the last stage, too, and keep it if that is better"
    option("--refine", action="store_true", help=text)
    text = "number of views of each image where features are computed once; default: 1"
    option("--views", type=options.COUNT, default=1, metavar="K", help=text)
    text = (
        "number of folds: an accuracy on images that no fold has seen, then a network "
        "trained on all of them with the settings that most folds chose; of a folder "
        "with train/ and val/, train/ alone is used; default: none"
    )
    option("--folds", type=options.FOLDS, metavar="K", help=text)
    text = "size of the features that a phase may keep, in GB; default: 16"
    option("--disk", type=options.POSITIVE, default=16.0, metavar="GB", help=text)
    options.add_reading(verb)
    options.add_validation(verb, 0.2)
    verb.set_defaults(run=transfer_command.transfer)


def _add_evaluate(verb: ArgumentParser) -> None:
    options.add_data(verb)
    options.add_models(verb)
    options.add_folder(verb)
    options.add_on_bad(verb)
    text = "output folder; default: the model's"
    verb.add_argument("--out", type=options.folder, metavar="DIR", help=text)
    options.add_json(verb)
    verb.set_defaults(run=inference.evaluate)


def _add_predict(verb: ArgumentParser) -> None:
    option = verb.add_argument
    option(
        "data",
        metavar="FILE",
        nargs="+",
        help="image files, folders or patterns, or one .csv",
    )
    options.add_models(verb)
    options.add_on_bad(verb)
    text = f"number of classes per image; default: {inference.TOP}"
    option("--top", type=options.COUNT, metavar="K", help=text)
    text = "submission for a .csv; default: submission.csv beside it"
    option("--out", type=options.file, metavar="FILE", help=text)
    options.add_json(verb)
    verb.set_defaults(run=inference.predict)


def _add_demo(verb: ArgumentParser) -> None:
    text = "output folder; default: demo"
    verb.add_argument(
        "--out", type=options.folder, default="demo", metavar="DIR", help=text
    )
    verb.set_defaults(run=training.demo)
