"""What a benchmark consists of.

A row is one piece of work with its contenders, which take turns. Contenders name a
function that prepares the work in a process of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.task import Work


@dataclass(frozen=True)
class Contender:
    """Who does the work.

    Attributes:
        name: its key in the results.
        label: its name on the page.
        prepare: `module:function`; the function takes a `Work` and gives a `Task`.
        env: environment variables of its process.
    """

    name: str
    label: str
    prepare: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """What a row shall reach.

    Attributes:
        against: contenders by name; the fastest of them counts.
        text: what they are called in the table of goals.
        bound: how many times as fast `ours` is, at least; with `at_most`, the share of
            their time that it takes, at most.
        matrix_units: whether the goal is set for a CPU that has them.
        ours: the contender that the goal is about.
    """

    against: tuple[str, ...]
    text: str
    bound: float
    at_most: bool = False
    matrix_units: bool = False
    ours: str = "cnnzoo"


@dataclass(frozen=True)
class Row:
    """Attributes:
    name: what `ROWS=` takes; so does the group.
    title: what the tables call it.
    group: rows that stand in one table or picture.
    work: the same for all contenders.
    contenders: in the page's order, ours first.
    goals: of the table of goals; a goal for memory comes with every training row.
    x: its place in the picture of its group.
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
    """Our time and memory along one axis: a row for each point.

    Attributes:
        group: the rows' group, and the name of its picture.
        title: of the picture.
        axis: what x means.
        points: the work by x.
    """

    group: str
    title: str
    axis: str
    points: Mapping[int, Work]
