"""identify(): which networks of the catalog a file of weights fits."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import log, prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.models.index import every_model, model_info
from cnnzoo.weights.formats.opening import open_weights
from cnnzoo.weights.matching import Match, Pair, match_tensors
from cnnzoo.weights.tensors import ArraySource, Key, WeightSource, variables
from cnnzoo.weights.torch_layout import MERGED
from cnnzoo.weights.translation import BY_ORDER
from cnnzoo.zoo import sketch

OWN = "cnnzoo"
LARGEST = 1 << 32  # bytes of the weights in an archive
SAME_SIZE = 0.05  # relative difference of the parameters of networks with equal tensors
FARTHEST = 3.0  # logarithm of the share of a network that its trunk is at least
INITIAL = {"moving_mean": 0, "moving_variance": 1, "bias": 0}
NEAR = 2e-3  # larger than any difference of two epsilons


@dataclass(frozen=True)
class Identification:
    """What a file of weights holds.

    Attributes:
        file: Path of the file.
        networks: Catalog names of the networks that its tensors fit; empty if none does.
        family: Where its names of layers come from, such as "torchvision" or "cnnzoo";
            None if they are not known, so that order and shapes decided.
        classes: Number of classes of its classifier; None if it has none.
        prefix: What stands in front of all names, such as "module.".
        preprocessing: Mode that the pixels need, "custom" for one without a name.
        left_over: Tensors of heads that the networks do not have.
        missing: Layers of the head that the file lacks, or has in another shape.
        untrained: Signs that nobody trained these weights.
        notes: What else was recognised.
    """

    file: str
    networks: tuple[str, ...] = ()
    family: str | None = None
    classes: int | None = None
    prefix: str = ""
    preprocessing: str | None = None
    left_over: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self)

    def __str__(self) -> str:
        texts = {
            "file": self.file,
            "networks": ", ".join(self.networks) or "none of the catalog",
            "names of": self.family,
            "classes": self.classes,
            "prefix": self.prefix,
            "preprocessing": self.preprocessing,
            "left over": ", ".join(self.left_over),
            "missing": ", ".join(self.missing),
            "untrained": ", ".join(self.untrained),
            "notes": "; ".join(self.notes),
        }
        return "\n".join(f"{title}: {text}" for title, text in texts.items() if text)


class _Fit(NamedTuple):
    """A match with a network's sketch.

    Attributes:
        match: What `match_tensors` found.
        missing: Layers of the head, except the classifier, that keep their values.
        left_over: Tensors that the network does not take, except the classifier's.
    """

    match: Match
    missing: tuple[str, ...]
    left_over: tuple[str, ...]

    def distance(self) -> tuple[int, int, int]:
        """How much the network and the file differ beside the number of classes."""
        changes = Counter(pair.tensor.change for pair in self.match.pairs)
        return len(self.missing), len(self.left_over), changes[MERGED]


def identify(file: str | Path) -> Identification:
    """Finds the networks of the catalog that a file of weights fits.

    They are those that `build(NAME, classes=N, weights=file)` can load with the least
    that is left over. Several fit if their graphs differ, but not their tensors.

    Args:
        file: Path of a file that `load_weights` takes.

    Raises:
        UsageError: The file has another extension, or its reader is not installed.
        FileNotFoundError: The file does not exist.
        WeightFileError: The file is damaged, or not a file of weights.
        UnsafeFileError: The file contains something that weight files never contain.
    """
    fits: dict[str, _Fit] = {}
    with open_weights(file, LARGEST) as opened:
        for name in _candidates(opened):
            exact = [other for other, fit in fits.items() if not any(fit.distance())]
            if any(abs(_ratio(name, other) - 1) > SAME_SIZE for other in exact):
                break  # all others are less like it
            with suppress(WeightFileError):
                fits[name] = _fit(name, opened)
        if fits:
            least = min(fit.distance() for fit in fits.values())
            fits = {name: fit for name, fit in fits.items() if fit.distance() == least}
            return _identification(str(file), [*fits], *fits.values())
        network = getattr(opened, "network", None)
        note = ("built with options of its own: load it with cnnzoo.load",)
    if network:
        return Identification(str(file), (network,), OWN, notes=note)
    return Identification(str(file))


def _ratio(one: str, two: str) -> float:
    return model_info(one).parameters / model_info(two).parameters


def _candidates(source: WeightSource | ArraySource) -> list[str]:
    """Networks whose numbers of channels occur in a source, of the nearest size first."""
    if isinstance(source, WeightSource) and source.network in every_model():
        return [source.network]
    known = source.tensors if isinstance(source, WeightSource) else source.arrays
    shapes = [tensor.shape for tensor in known.values()]
    size, sides = sum(map(prod, shapes)), {side for shape in shapes for side in shape}
    away = {
        name: abs(log(max(size, 1) / info.parameters))
        for name, info in every_model().items()
        if sides.issuperset(shape[-1] for _, shape in info.stages[:-1])
    }
    return sorted((name for name in away if away[name] < FARTHEST), key=away.__getitem__)


def _fit(name: str, source: WeightSource | ArraySource) -> _Fit:
    model = sketch(name)
    match = match_tensors(model, source, new_head=None)
    own = {key.layer: None for key in variables(model)} | {PREDICTIONS: None}
    loaded = {pair.layer.name for pair in match.pairs} | {PREDICTIONS}
    classifier = [t for key, t in match.source.tensors.items() if key.layer == PREDICTIONS]
    left_over = [tensor.name for tensor in match.skipped if tensor not in classifier]
    return _Fit(match, tuple(n for n in own if n not in loaded), tuple(left_over))


def _identification(file: str, names: list[str], fit: _Fit, *_: _Fit) -> Identification:
    source = fit.match.source
    classifier = source.tensors.get(Key(PREDICTIONS, "0"))
    modes = [source.preprocessing or model_info(name).preprocessing for name in names]
    return Identification(
        file=file,
        networks=tuple(names),
        family=source.family or (None if BY_ORDER in source.notes else OWN),
        classes=classifier.shape[-1] if classifier else None,
        prefix=source.prefix,
        preprocessing=", ".join(dict.fromkeys(modes)),
        left_over=fit.left_over,
        missing=fit.missing,
        untrained=tuple(_signs(fit.match.pairs)),
        notes=source.notes,
    )


def _signs(pairs: Sequence[Pair]) -> Iterator[str]:
    """What only weights have that nobody trained."""
    found = {weight: [] for weight in INITIAL}
    for pair in pairs:
        weight = pair.variable.name
        if weight in found:
            same = np.allclose(pair.tensor.read(), INITIAL[weight], atol=NEAR)
            found[weight].append(same)
    if found["moving_mean"] and all(found["moving_mean"] + found["moving_variance"]):
        yield "normalisations have seen no images"
    if found["bias"] and all(found["bias"]):
        yield "all biases are zero"
