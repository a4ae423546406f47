"""The command line: arguments in, exit code out.

The verbs are in commands/, their arguments in parser.py.

Exit codes: 0 ok, 1 bad input, 2 usage, 3 input/output, 4 unsafe file, 130 and 143 for
Ctrl-C and SIGTERM. Keras is imported after parsing, so that help is immediate.
"""

import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from cnnzoo.cli.output import say
from cnnzoo.cli.parser import make_parser
from cnnzoo.errors import CnnzooError


def _show_warning(message: Warning | str, *_: object) -> None:
    say(f"cnnzoo: warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; errors become one line on stderr and an exit code."""
    options = make_parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # safe, as the process is ours
    # TensorFlow warns about several small networks in one process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):  # file names may be undecodable
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = options.run(options) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("cnnzoo: interrupted", file=sys.stderr)
        return 130
    except (CnnzooError, OSError) as error:
        if options.debug:
            raise
        say(f"cnnzoo: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, CnnzooError) else 3
    return code
