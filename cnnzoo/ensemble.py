"""Several networks as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cnnzoo import combining, files
from cnnzoo.data.source import Source, renumbered
from cnnzoo.errors import UsageError, WeightFileError
from cnnzoo.inference import Evaluation, class_names, judged, probabilities
from cnnzoo.saving import load, save

CARD_FILE = "ensemble.json"
MAX_BYTES = 1 << 24
FORMAT = 1
WAYS = ("mean", "vote", "weighted", "stack")


@dataclass(frozen=True)
class Judgement:
    """What an ensemble and its members say of labelled images.

    Attributes:
        whole: the ensemble.
        members: each alone.
        without: the ensemble's accuracy without each member, 0 to 1; empty for a single
            one.
    """

    whole: Evaluation
    members: tuple[Evaluation, ...]
    without: tuple[float, ...]


class Ensemble:
    """Networks of any kind that answer together.

    Each member sees the images in its own size and through its own preprocessing.

    Attributes:
        models: the members; one may stand there twice.
        class_names: in the order of the probabilities.
        weights: (members,) for "weighted"; (members * classes + 1, classes) for "stack";
            None for the others.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        combine: str | Sequence[float] = "mean",
    ):
        """Args:
        models: from `cnnzoo.build` or `load`, of the same class names in any order.
        combine: "mean" of the probabilities; "vote" of the likeliest classes, where the
            mean decides between equals; a weight for each member; "weighted", whose
            weights `fit` finds; or "stack", a logistic regression on the members'
            log-probabilities that `fit` finds.

        Raises:
            UsageError: no members, members of different classes, or impossible weights.
        """
        self.models = tuple(models)
        self.class_names = _common_names(self.models)
        fixed = not isinstance(combine, str)
        self.combine = "weighted" if fixed else combine
        if self.combine not in WAYS:
            raise UsageError(
                f"cannot combine by {combine!r}; expected one of {', '.join(WAYS)}, or a "
                "weight for each member"
            )
        self.weights = combining.checked(combine, len(self.models)) if fixed else None

    def fit(
        self, source: Source, answers: Sequence[np.ndarray] | np.ndarray | None = None
    ) -> Ensemble:
        """Finds the weights of "weighted" or "stack"; returns the ensemble.

        Args:
            source: labelled images that no member learnt.
            answers: (images, classes) of each member for them, in the order of the
                classes, such as what `train.kfold` said of images it did not learn; None
                asks the members.
        """
        source = renumbered(source, self.class_names)
        given = self._asked(source) if answers is None else np.asarray(answers)
        self._check_answers(given, len(source))
        labels = np.asarray(source.labels)
        if self.combine == "weighted":
            self.weights = combining.fitted_weights(given, labels)
        elif self.combine == "stack":
            self.weights = combining.fitted_stack(given, labels)
        return self

    def predict(self, source: Source | np.ndarray) -> np.ndarray:
        """The probabilities of all together, (images, classes) float32.

        Raises:
            UsageError: `fit` has not been called, and the way needs it.
        """
        return self.joined(self._asked(source))

    def joined(self, answers: np.ndarray) -> np.ndarray:
        """(members, images, classes) probabilities as one, (images, classes)."""
        answers = np.asarray(answers, np.float64)
        if self.combine == "mean":
            return answers.mean(0).astype("float32")
        if self.combine == "vote":
            return combining.votes(answers).astype("float32")
        if self.weights is None:
            raise UsageError(
                f"an ensemble by {self.combine!r} has no weights yet; call fit with "
                "labelled images that no member learnt"
            )
        if self.combine == "weighted":
            return np.tensordot(self.weights, answers, 1).astype("float32")
        return combining.stacked(answers, self.weights).astype("float32")

    def evaluate(self, source: Source) -> Judgement:
        """Holds the whole, each member, and the whole without each, against labels.

        Without a member, the others keep their weights; a stack is not judged so.
        """
        source = renumbered(source, self.class_names)
        answers = self._asked(source)
        return Judgement(
            judged(self.joined(answers), source),
            tuple(judged(answer, source) for answer in answers),
            self._without(answers, np.asarray(source.labels)),
        )

    def save(self, folder: str | Path) -> Path:
        """Writes the members as `.keras` files and how they are combined.

        Raises:
            SaveError: the folder cannot be written.
        """
        folder = Path(folder)
        kinds = list(dict.fromkeys(map(id, self.models)))
        numbers = [kinds.index(id(model)) for model in self.models]
        for number, model in dict(zip(numbers, self.models, strict=True)).items():
            save(model, folder / _member(number))
        weights = None if self.weights is None else self.weights.tolist()
        card = {
            "format": FORMAT,
            "members": numbers,
            "combine": self.combine,
            "weights": weights,
        }
        return files.write_json(folder / CARD_FILE, card)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """What `save` wrote; no code comes from the files.

        Raises:
            FileNotFoundError: there is no such ensemble.
            WeightFileError: a file of it is damaged or altered.
            UnsafeFileError: a file asks for what no honest file asks for.
        """
        path = Path(folder) / CARD_FILE
        try:
            numbers, combine, weights = _read(path)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise WeightFileError(
                f"{path} does not describe an ensemble, since it was cut or altered; get "
                "it again"
            ) from error
        members = {n: load(Path(folder) / _member(n)) for n in set(numbers)}
        whole = cls([members[number] for number in numbers], combine)
        whole.weights = weights
        whole._check_weights(path)
        return whole

    def _asked(self, source: Source | np.ndarray) -> np.ndarray:
        """What each member says, (members, images, classes); one a time is asked."""
        said = {id(m): self._ordered(m, probabilities(m, source)) for m in self.models}
        return np.stack([said[id(model)] for model in self.models])

    def _ordered(self, model: keras.Model, answers: np.ndarray) -> np.ndarray:
        names = class_names(model)
        return answers[:, [names.index(name) for name in self.class_names]]

    def _without(self, answers: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
        if len(self.models) == 1 or self.combine == "stack":
            return ()
        found = []
        for i in range(len(self.models)):
            rest = Ensemble(self.models[:i] + self.models[i + 1 :], self.combine)
            if self.weights is not None:
                rest.weights = np.delete(self.weights, i)
            joined = rest.joined(np.delete(answers, i, 0))
            found.append(float(np.mean(joined.argmax(1) == labels)))
        return tuple(found)

    def _check_answers(self, answers: np.ndarray, images: int) -> None:
        expected = (len(self.models), images, len(self.class_names))
        if answers.shape != expected:
            raise UsageError(
                f"the answers have the shape {answers.shape}; expected {expected}, of "
                "members, images and classes, so give those of each member"
            )

    def _check_weights(self, path: Path) -> None:
        members, classes = len(self.models), len(self.class_names)
        expected = {
            "weighted": (members,),
            "stack": (members * classes + 1, classes),
        }.get(self.combine)
        found = None if self.weights is None else self.weights.shape
        if found is not None and found != expected:
            raise WeightFileError(
                f"{path} has weights of shape {found}; expected {expected}, so it was "
                "altered: get it again"
            )


def _member(number: int) -> str:
    return f"member-{number}.keras"


def _read(path: Path) -> tuple[list[int], str, np.ndarray | None]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("larger than any")
    card = json.loads(path.read_bytes())
    numbers, combine, weights = card["members"], card["combine"], card["weights"]
    if card["format"] != FORMAT or combine not in WAYS or not numbers:
        raise ValueError("another format")
    if not all(type(n) is int and 0 <= n < len(numbers) for n in numbers):
        raise ValueError("no numbers of members")
    found = None if weights is None else np.array(weights, np.float64)
    if found is not None and not np.isfinite(found).all():
        raise ValueError("weights that are no numbers")
    return numbers, combine, found


def _common_names(models: tuple[keras.Model, ...]) -> tuple[str, ...]:
    if not models:
        raise UsageError("an ensemble needs at least one member; give models")
    names = class_names(models[0])
    for model in models[1:]:
        if sorted(class_names(model)) != sorted(names):
            raise UsageError(
                f"{model.name!r} has other classes than {models[0].name!r}: "
                f"{', '.join(class_names(model))[:200]} and {', '.join(names)[:200]}; "
                "members must have the same"
            )
    return names
