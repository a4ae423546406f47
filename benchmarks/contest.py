"""Records that define a benchmark.

A row is one piece of work with its contenders, which take turns. Each contender names a
function that prepares the work in a process of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.task import Work


@dataclass(frozen=True)
class Contender:
    """A library or a configuration that does the work.

    Attributes:
        name: Key in the results.
        label: Name on the page.
        prepare: `module:function`; the function takes a `Work` and returns a `Task`.
        env: Environment variables of the process.
    """

    name: str
    label: str
    prepare: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """A goal of a row.

    Attributes:
        against: Names of the contenders to compare with; the fastest counts.
        text: Name of these contenders in the table of goals.
        bound: Minimum speed-up of `ours`; with `at_most`, maximum share of their time.
        matrix_units: Whether the goal is set for a CPU with matrix units.
        ours: Name of the contender that has the goal.
    """

    against: tuple[str, ...]
    text: str
    bound: float
    at_most: bool = False
    matrix_units: bool = False
    ours: str = "cnnzoo"


@dataclass(frozen=True)
class Row:
    """A piece of work and the contenders that do it.

    Attributes:
        name: Name of the row; `ROWS=` takes names and groups.
        title: Name in the tables.
        group: Group of rows in one table or picture.
        work: Work of all contenders.
        contenders: Contenders in the order of the page, cnnzoo's first.
        goals: Goals in the table of goals; each training row also has one for memory.
        x: Position in the picture of the group.
    """

    name: str
    title: str
    group: str
    work: Work
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    x: int = 0


@dataclass(frozen=True)
class Growth:
    """cnnzoo's time and memory along one axis, with one row per point.

    Attributes:
        group: Group of the rows, and name of the picture.
        title: Title of the picture.
        axis: Label of the x axis.
        points: Work by x.
    """

    group: str
    title: str
    axis: str
    points: Mapping[int, Work]
