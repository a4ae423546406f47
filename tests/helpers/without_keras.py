"""Runs commands, one list of arguments a line of stdin, where Keras cannot be imported.

Prints for each its exit code and what it wrote to stdout and stderr, as a JSON list.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from cnnzoo.cli.main import main


class ImportRefusal:
    """A finder that finds neither Keras nor a backend."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "tensorflow", "torch", "jax"):
            raise AssertionError(f"{name} was imported")


sys.meta_path.insert(0, ImportRefusal())
for line in sys.stdin:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(json.loads(line))
        except SystemExit as end:
            code = end.code
        except AssertionError as error:
            code = str(error)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
