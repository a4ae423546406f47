"""Several networks as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.pipeline import align_labels
from cnnzoo.ensemble import storage
from cnnzoo.ensemble.combine import (
    METHODS,
    checked,
    fitted_stack,
    fitted_weights,
    stacked,
    votes,
)
from cnnzoo.errors import UsageError, WeightFileError, unknown
from cnnzoo.inference import Evaluation, Files, class_names, judged, probabilities
from cnnzoo.zoo import build

PRETRAINED = {"mnist": ("small_vgg", "very_small_vgg", "small_resnet")}
"""The networks that answer together, by the tag of their weights in the package."""


@dataclass(frozen=True)
class EnsembleEvaluation:
    """What an ensemble and its members say of labelled images.

    Attributes:
        whole: the ensemble.
        members: each alone.
        without: the ensemble's accuracy without each member, 0 to 1, None where all who
            are left have the weight 0; empty for a single one.
    """

    whole: Evaluation
    members: tuple[Evaluation, ...]
    without: tuple[float | None, ...]


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
        if self.combine not in METHODS:
            raise UsageError(
                f"cannot combine by {combine!r}; expected one of "
                f"{', '.join(METHODS)}, or a weight for each member"
            )
        self.weights = checked(combine, len(self.models)) if fixed else None

    @classmethod
    def pretrained(cls, tag: str = "mnist") -> Ensemble:
        """The package's own ensemble of that tag; it takes pixels of 0 to 255.

        Raises:
            UsageError: there is none.
        """
        if tag not in PRETRAINED:
            raise unknown("ensemble", tag, PRETRAINED)
        return cls(
            [build(n, weights=tag, include_preprocessing=True) for n in PRETRAINED[tag]]
        )

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
        source = align_labels(source, self.class_names)
        given = self._asked(source) if answers is None else np.asarray(answers)
        self._check_answers(given, len(source))
        labels = np.asarray(source.labels)
        if self.combine == "weighted":
            self.weights = fitted_weights(given, labels)
        elif self.combine == "stack":
            self.weights = fitted_stack(given, labels)
        return self

    def predict(self, source: Source | np.ndarray | Files) -> np.ndarray:
        """The probabilities of all together, (images, classes) float32.

        Args:
            source: as in `cnnzoo.inference.probabilities`.

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
            return votes(answers).astype("float32")
        if self.weights is None:
            raise UsageError(
                f"an ensemble by {self.combine!r} has no weights yet; call fit with "
                "labelled images that no member learnt"
            )
        if self.combine == "weighted":
            return np.tensordot(self.weights, answers, 1).astype("float32")
        return stacked(answers, self.weights).astype("float32")

    def evaluate(self, source: Source) -> EnsembleEvaluation:
        """Holds the whole, each member, and the whole without each, against labels.

        Without a member, the others keep their weights; a stack is not judged so.
        """
        source = align_labels(source, self.class_names)
        answers = self._asked(source)
        return EnsembleEvaluation(
            judged(self.joined(answers), source),
            tuple(judged(answer, source) for answer in answers),
            self._without(answers, np.asarray(source.labels)),
        )

    def save(self, folder: str | Path) -> Path:
        """Writes the members as `.keras` files and how they are combined.

        An ensemble that the folder has is whole until this one is, and goes then.

        Raises:
            SaveError: the folder cannot be written.
        """
        return storage.write(Path(folder), self.models, self.combine, self.weights)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """What `save` wrote; no code comes from the files.

        Raises:
            FileNotFoundError: there is no such ensemble.
            WeightFileError: a file of it is damaged or altered.
            UnsafeFileError: a file asks for what no honest file asks for.
        """
        folder = Path(folder)
        models, combine, weights = storage.read(folder)
        whole = cls(models, combine)
        whole.weights = weights
        whole._check_weights(folder / storage.CARD_FILE)
        return whole

    def _asked(self, source: Source | np.ndarray | Files) -> np.ndarray:
        """What each member says, (members, images, classes); one a time is asked."""
        said = {id(m): self._ordered(m, probabilities(m, source)) for m in self.models}
        answers = np.stack([said[id(model)] for model in self.models])
        for number in np.flatnonzero(~np.isfinite(answers).all((1, 2))):
            raise UsageError(
                f"member {number + 1}, {self.models[number].name!r}, answers with "
                "what is no number; leave it out, or give it weights and images that are"
            )
        return answers

    def _ordered(self, model: keras.Model, answers: np.ndarray) -> np.ndarray:
        names = class_names(model)
        return answers[:, [names.index(name) for name in self.class_names]]

    def _without(
        self, answers: np.ndarray, labels: np.ndarray
    ) -> tuple[float | None, ...]:
        if len(self.models) == 1 or self.combine == "stack":
            return ()
        found: list[float | None] = []
        for i in range(len(self.models)):
            rest = Ensemble(self.models[:i] + self.models[i + 1 :], self.combine)
            if self.weights is not None:
                rest.weights = np.delete(self.weights, i)
                if not rest.weights.any():  # who are left say nothing
                    found.append(None)
                    continue
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
        if not np.isfinite(answers).all():
            raise UsageError(
                "the answers have what is no number; expected probabilities, so leave "
                "out the member whose they are"
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
        if self.weights is not None and self.combine == "weighted":
            try:
                self.weights = checked(self.weights.tolist(), members)
            except UsageError as error:
                raise WeightFileError(
                    f"{path} was altered, so get it again: {error}"
                ) from error


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
