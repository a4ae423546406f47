"""identify(): which networks of the catalog a file of weights fits."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from cnnzoo.errors import WeightFileError
from cnnzoo.layer_names import CLASSIFIERS
from cnnzoo.models.index import every_model, model_info
from cnnzoo.weights.fingerprint import signs_of_no_training
from cnnzoo.weights.formats.opening import open_weights
from cnnzoo.weights.matching import MAPS, Match, match_tensors
from cnnzoo.weights.sources.recognition import is_auxiliary
from cnnzoo.weights.tensors import ArraySource, Key, WeightSource
from cnnzoo.weights.torch_layout import MERGED
from cnnzoo.weights.translation import BY_ORDER
from cnnzoo.zoo import sketch

OWN = "cnnzoo"
SAME_SIZE = 0.05  # relative difference of the parameters of networks with equal tensors
NEARLY = 0.08  # relative difference of a network's parameters and its kernels
STEM = 10_000  # parameters of a stem for more channels
TITLES = {"family": "names of", "left_over": "left over"}


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
        missing: Weights of the head that the file lacks, or has in another shape.
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
        given = asdict(self) | {"networks": self.networks or ("none of the catalog",)}
        return "\n".join(
            f"{TITLES.get(name, name)}: "
            f"{', '.join(value) if isinstance(value, tuple) else value}"
            for name, value in given.items()
            if value
        )


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
    fits: dict[str, Match] = {}
    exact = 0  # parameters of a network with nothing missing or left over
    with open_weights(file) as opened:
        for name in _candidates(opened):
            size = model_info(name).parameters
            if exact and abs(size / exact - 1) > SAME_SIZE:
                break  # all others are less like it
            with suppress(WeightFileError):
                fits[name] = match_tensors(sketch(name), opened, new_head=None)
                exact = exact if any(_rest(fits[name])) else size
        if fits:
            least = min(map(_distance, fits.values()))
            fits = {name: m for name, m in fits.items() if _distance(m) == least}
            return _identification(str(file), fits)
        network = getattr(opened, "network", None)
    if network not in every_model():
        return Identification(str(file))
    note = "built with options of its own, so it is loaded as a model, not as weights"
    return Identification(str(file), (network,), OWN, notes=(note,))


def _candidates(source: WeightSource | ArraySource) -> list[str]:
    """Networks that have a source's channels and kernels, of the nearest size first.

    Kernels of convolutions, if there are any, are nearly all of a trunk, or, with a head
    of convolutions, of the whole network.
    """
    if isinstance(source, WeightSource) and source.network in every_model():
        return [source.network]
    known = source.tensors if isinstance(source, WeightSource) else source.arrays
    every = [
        (key.layer if isinstance(key, Key) else key, tensor.shape)
        for key, tensor in known.items()
    ]
    main = [shape for layer, shape in every if not is_auxiliary(layer)]
    shapes = main or [shape for _, shape in every]
    size, sides = sum(map(prod, shapes)), {side for shape in shapes for side in shape}
    kernels = sum(prod(shape) for shape in shapes if len(shape) == MAPS) or size
    away = {
        name: abs(size - info.parameters)
        for name, info in every_model().items()
        if any(
            abs(kernels / n - 1) < NEARLY + STEM / n
            for n in (info.trunk, info.parameters)
        )
        and sides.issuperset(shape[-1] for _, shape in info.stages[:-1])
    }
    return sorted(away, key=away.__getitem__)


def _rest(match: Match) -> tuple[list[str], list[str], int]:
    """How file and network differ beside the number of classes.

    Returns:
        Weights of the head that the file lacks, tensors of a head that the network lacks,
        and the number of tensors that are merged, since the file has fewer layers.
    """
    tensors = match.source.tensors.items()
    classifier = [tensor for key, tensor in tensors if key.layer in CLASSIFIERS]
    missing = [name for name in match.new if not name.startswith(CLASSIFIERS)]
    left_over = [t.name for t in match.skipped if t not in classifier]
    return missing, left_over, sum(p.tensor.change == MERGED for p in match.pairs)


def _distance(match: Match) -> tuple[int, int, int]:
    missing, left_over, merged = _rest(match)
    return len(missing), len(left_over), merged


def _identification(file: str, fits: Mapping[str, Match]) -> Identification:
    match = next(iter(fits.values()))
    source, (missing, left_over, _) = match.source, _rest(match)
    kernels = (source.tensors.get(Key(layer, "0")) for layer in CLASSIFIERS)
    classes = [kernel.shape[-1] for kernel in kernels if kernel]
    modes = [source.preprocessing or model_info(name).preprocessing for name in fits]
    return Identification(
        file=file,
        networks=tuple(fits),
        family=source.family or (None if BY_ORDER in source.notes else OWN),
        classes=classes[0] if classes else None,
        prefix=source.prefix,
        preprocessing=", ".join(dict.fromkeys(modes)),
        left_over=tuple(left_over),
        missing=tuple(missing),
        untrained=tuple(
            signs_of_no_training(
                (pair.variable.name, pair.tensor.read) for pair in match.pairs
            )
        ),
        notes=source.notes,
    )
