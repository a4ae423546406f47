"""System calls that fail, one after the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def kth_call_fails(owner: object, call: str, k: int, fault: int) -> Iterator[None]:
    """A context in which the call fails once, after k successful calls."""
    real, calls = getattr(owner, call), 0

    def failing(*args, **options):
        nonlocal calls
        calls += 1
        if calls == k + 1:
            raise OSError(fault, os.strerror(fault))
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, call, failing)
        yield
