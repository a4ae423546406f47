"""What a contender takes and gives: the work, a round of it to time, facts."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

Shape = tuple[int, int, int]
Parts = dict[str, float]  # seconds by name, of a round that times its own parts


@dataclass(frozen=True)
class Work:
    """What every contender of a row does.

    Attributes:
        network: catalog name; empty where the work is no network.
        shape: height, width and channels of an image.
        batch: images in a step.
        steps: steps in a round.
        classes: of the network.
        warm_ups: rounds before the first that counts.
    """

    network: str = ""
    shape: Shape = (28, 28, 1)
    batch: int = 128
    steps: int = 1
    classes: int = 10
    warm_ups: int = 2


@dataclass(frozen=True)
class Task:
    """Attributes:
    run: one round; returns its parts where it times itself, and only these count.
    facts: precision, threads, versions, number of parameters.
    during: what must stay open as long as the task lives.
    """

    run: Callable[[], Parts | None]
    facts: dict[str, object]
    during: ExitStack = field(default_factory=ExitStack)


def versions(*packages: str) -> dict[str, object]:
    """The version of each package that is installed."""
    found: dict[str, object] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
