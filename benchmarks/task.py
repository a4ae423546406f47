"""The input and output of a contender: the work, a timed round of it, and facts."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

Shape = tuple[int, int, int]
Parts = dict[str, float]  # seconds by name of part


@dataclass(frozen=True)
class Work:
    """The work of every contender of a row.

    Attributes:
        network: Catalog name; empty for work without a network.
        shape: Height, width and channels of an image.
        batch: Number of images per step.
        steps: Number of steps per round.
        classes: Number of classes.
        warm_ups: Number of rounds before the measured ones.
    """

    network: str = ""
    shape: Shape = (28, 28, 1)
    batch: int = 128
    steps: int = 1
    classes: int = 10
    warm_ups: int = 2


@dataclass(frozen=True)
class Task:
    """A prepared piece of work.

    Attributes:
        run: Function of one round; returns the seconds of its parts if it measures them
            itself, and then only these count.
        facts: Precision, threads, versions, number of parameters.
        during: Resource that stays open during the task.
    """

    run: Callable[[], Parts | None]
    facts: dict[str, object]
    during: ExitStack = field(default_factory=ExitStack)


def versions(*packages: str) -> dict[str, object]:
    """The versions of those packages that are installed."""
    found: dict[str, object] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
