"""The command line: arguments in, exit code out.

The verbs are in commands/, their arguments in parser.py. Keras is imported after all that
can be checked without it, so that help and most errors are immediate.
"""

import io
import logging
import os
import signal
import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence

from cnnzoo.cli.output import say
from cnnzoo.cli.parser import make_parser
from cnnzoo.errors import CnnzooError

RESUMED = ("train", "kfold", "transfer", "demo")  # verbs that continue in their folder


def _show_warning(message: Warning | str, *_: object) -> None:
    say(f"cnnzoo: warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; errors become one line on stderr and an exit code."""
    options = Namespace(debug=False, verb="")
    # TensorFlow warns about several small networks in one process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):  # file names may be undecodable
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        make_parser().parse_args(arguments, options)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = options.run(options) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        resumes = "; the same command goes on" if options.verb in RESUMED else ""
        print(f"cnnzoo: interrupted{resumes}", file=sys.stderr)
        return 130
    except (CnnzooError, OSError) as error:
        if options.debug:
            raise
        say(f"cnnzoo: {error}", file=sys.stderr)
        missing = isinstance(error, FileNotFoundError)
        return getattr(error, "exit_code", CnnzooError.exit_code if missing else 3)
    return code
