"""`python -m cnnzoo` is the command `cnnzoo`."""

import sys

from cnnzoo.cli.main import main

sys.exit(main())
