"""ImageNet's 1,000 classes: the WordNet ids that name its folders, and human names.

`imagenet_classes.txt` has a line per class, in the order of all networks' outputs: the id
and a name. The ids are from timm (Apache-2.0), the names from torchvision (BSD-3-Clause),
where no two classes share one.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")


@cache
def names_by_id() -> Mapping[str, str]:
    """The names of the classes by their WordNet ids, in the order of the outputs."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return MappingProxyType(dict(line.split(" ", 1) for line in lines))


def class_names() -> tuple[str, ...]:
    """The names of the classes, in the order of the outputs."""
    return tuple(names_by_id().values())


def names_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The names for WordNet ids; classes that are not all such ids stay as they are."""
    if not set(classes) <= names_by_id().keys():
        return tuple(classes)
    return tuple(names_by_id()[name] for name in classes)
