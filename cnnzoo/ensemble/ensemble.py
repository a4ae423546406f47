"""Several networks whose probabilities are combined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from cnnzoo.calibration import apply_temperature, fit_temperature
from cnnzoo.data.inputs.conversion import (
    AnyImages,
    Labelled,
    as_labelled,
    as_source,
    is_dataset,
)
from cnnzoo.data.pipeline import align_labels
from cnnzoo.ensemble import storage
from cnnzoo.ensemble.combine import (
    METHODS,
    combine_probabilities,
    fit_stack,
    fit_weights,
    normalize_weights,
)
from cnnzoo.ensemble.evaluation import EnsembleEvaluation
from cnnzoo.errors import UsageError, WeightFileError, check_known
from cnnzoo.evaluation import evaluate_probabilities
from cnnzoo.inference import class_names, probabilities
from cnnzoo.system.runtime import Verbose
from cnnzoo.zoo import build

PRETRAINED = {"mnist": ("small_vgg", "very_small_vgg", "small_resnet")}
"""Members of the package's ensembles, by the tag of their weights."""


class Ensemble:
    """Several networks of any kind whose probabilities are combined.

    Each member gets the images at its own size and with its own preprocessing, and its
    probabilities have its own temperature. The mean of calibrated members is unsure, so
    the ensemble has a temperature of its own, mostly below 1.

    Attributes:
        models: Members; the same model may occur twice.
        class_names: Class names in the order of the probabilities.
        combine: Method of combination.
        weights: (members,) for "weighted"; (members * classes + 1, classes) for "stack";
            None for the others.
        temperature: Temperature of the combined probabilities, which `fit` finds.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        combine: str | Sequence[float] = "mean",
    ):
        """Args:
        models: Models from `cnnzoo.build` or `load`, of the same class names in any
            order.
        combine: "mean" of the probabilities; "vote" for the likeliest classes, with the
            mean to decide between equal votes; a weight per member; "weighted", whose
            weights `fit` finds; or "stack", a logistic regression on the members'
            log-probabilities that `fit` fits.

        Raises:
            UsageError: There are no members, their classes differ, or the weights are
                invalid.
        """
        self.models = tuple(models)
        self.class_names = _common_names(self.models)
        fixed = not isinstance(combine, str)
        self.combine = "weighted" if fixed else combine
        check_known("combination (or a weight per member)", self.combine, METHODS)
        self.weights = normalize_weights(combine, len(self.models)) if fixed else None
        self.temperature = 1.0

    @classmethod
    def pretrained(cls, tag: str = "mnist") -> Ensemble:
        """The ensemble of the package's trained networks, for pixels of 0 to 255.

        Args:
            tag: Tag of the weights.

        Raises:
            UsageError: There is no such ensemble.
        """
        check_known("ensemble", tag, PRETRAINED)
        return cls(
            [build(n, weights=tag, include_preprocessing=True) for n in PRETRAINED[tag]]
        )

    def fit(
        self,
        source: Labelled,
        probabilities: Sequence[np.ndarray] | np.ndarray | None = None,
        *,
        verbose: Verbose = "auto",
    ) -> Ensemble:
        """Finds the weights of "weighted" or "stack", and the temperature of the others.

        A stack is calibrated by the fit of its weights, and shares of votes are no
        probabilities; both keep 1.0. Returns the ensemble.

        Args:
            source: Labelled images, as in `cnnzoo.evaluate`, that no member has seen.
            probabilities: Probabilities of each member, (images, classes), such as those
                of `train.kfold`; None for the members' predictions.
            verbose: As in `train.Run.fit`, for the batches of each member.

        Raises:
            UsageError: The probabilities have another shape or are not finite, or are
                of a data set that is read; or the labels of a stack are all equal.
        """
        if self.combine == "vote":
            return self
        if probabilities is not None and is_dataset(source):
            raise UsageError(
                "cannot pair probabilities with a data set, which kfold sorts and which "
                f"may shuffle: expected (images, labels), found a {type(source).__name__}"
                "; pass these, or no probabilities"
            )
        names = self.class_names
        source = align_labels(as_labelled(source, names), names)
        if probabilities is None:
            given = self._predict_members(source, verbose)
        else:
            given = np.asarray(probabilities)
            self._check_probabilities(given, len(source))
        labels = np.asarray(source.labels)
        if self.combine == "stack":
            self.weights = fit_stack(given, labels)
            return self
        if self.combine == "weighted":
            self.weights = fit_weights(given, labels)
        self.temperature = fit_temperature(self._combine(given), labels)
        return self

    def predict(self, source: AnyImages, *, verbose: Verbose = "auto") -> np.ndarray:
        """The combined probabilities, (images, classes) float32.

        Args:
            source: Images, as in `cnnzoo.inference.probabilities`.
            verbose: As in `train.Run.fit`, for the batches of each member.

        Raises:
            UsageError: The method needs weights, and `fit` has not been called.
        """
        return self.predict_from(self._predict_members(source, verbose))

    def predict_from(self, probabilities: np.ndarray) -> np.ndarray:
        """The combination of the members' (members, images, classes) probabilities."""
        return apply_temperature(self._combine(probabilities), self.temperature)

    def evaluate(
        self, source: Labelled, *, verbose: Verbose = "auto"
    ) -> EnsembleEvaluation:
        """Evaluates the ensemble, each member, and the ensemble without each member.

        When a member is left out, the others keep their weights.

        Args:
            source: Labelled images, as in `cnnzoo.evaluate`.
            verbose: As in `train.Run.fit`, for the batches of each member.
        """
        names = self.class_names
        source = align_labels(as_labelled(source, names), names)
        given, labels = self._predict_members(source, verbose), np.asarray(source.labels)
        raw = self._combine(given)
        found = apply_temperature(raw, self.temperature)
        return EnsembleEvaluation(
            evaluate_probabilities(found, labels, names, raw),
            tuple(evaluate_probabilities(member, labels, names) for member in given),
            self._accuracies_without(given, labels),
            tuple(model.name for model in self.models),
        )

    def save(self, folder: str | Path) -> Path:
        """Writes the members as `.keras` files, and a JSON file with the method.

        An ensemble that is already in the folder is replaced in one step.

        Args:
            folder: Folder of the ensemble, made if missing.

        Returns:
            Path of the JSON file that describes the ensemble.

        Raises:
            SaveError: The folder cannot be written.
            CheckpointError: Another process keeps the folder locked.
        """
        facts = self.combine, self.weights, self.temperature
        return storage.write(Path(folder), self.models, *facts)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """Loads what `save` wrote; no code in the files is run.

        Args:
            folder: Folder of the ensemble.

        Raises:
            FileNotFoundError: There is no such ensemble.
            WeightFileError: A file of it is damaged or altered.
            UnsafeFileError: A file is unsafe to read.
        """
        folder = Path(folder)
        models, combine, weights, temperature = storage.read(folder)
        ensemble = cls(models, combine)
        path = folder / storage.ENSEMBLE_FILE
        ensemble.weights = _valid_weights(ensemble, weights, path)
        ensemble.temperature = temperature
        return ensemble

    def _predict_members(self, source: AnyImages, verbose: Verbose) -> np.ndarray:
        """The probabilities of each member, (members, images, classes)."""
        source, by_model = as_source(source), {}
        for model in {id(model): model for model in self.models}.values():
            found = probabilities(model, source, verbose=verbose)
            names = class_names(model)
            by_model[id(model)] = found[:, [names.index(n) for n in self.class_names]]
        return np.stack([by_model[id(model)] for model in self.models])

    def _combine(self, probabilities: np.ndarray) -> np.ndarray:
        """The combination before the temperature."""
        given = np.asarray(probabilities, np.float64)
        return combine_probabilities(self.combine, given, self.weights).astype("float32")

    def _accuracies_without(
        self, probabilities: np.ndarray, labels: np.ndarray
    ) -> tuple[float | None, ...]:
        if len(self.models) == 1 or self.combine == "stack":
            return (None,) * len(self.models)
        accuracies: list[float | None] = []
        for i in range(len(self.models)):
            rest = Ensemble(self.models[:i] + self.models[i + 1 :], self.combine)
            if self.weights is not None:
                rest.weights = np.delete(self.weights, i)
                if not rest.weights.any():  # all others have the weight 0
                    accuracies.append(None)
                    continue
            combined = rest.predict_from(np.delete(probabilities, i, 0))
            accuracies.append(float(np.mean(combined.argmax(1) == labels)))
        return tuple(accuracies)

    def _check_probabilities(self, probabilities: np.ndarray, images: int) -> None:
        expected = (len(self.models), images, len(self.class_names))
        if probabilities.shape != expected:
            raise UsageError(
                f"the probabilities have the shape {probabilities.shape}, expected "
                f"{expected} for members, images and classes; pass those of each member"
            )
        if not np.isfinite(probabilities).all():
            raise UsageError(
                "the probabilities contain NaN, expected finite numbers; leave out the "
                "member that predicts NaN"
            )


def _valid_weights(
    ensemble: Ensemble, weights: np.ndarray | None, path: Path
) -> np.ndarray | None:
    """The weights from an ensemble's file; those of members have the sum 1.

    Raises:
        WeightFileError: They have another shape, or cannot be weights.
    """
    members, classes = len(ensemble.models), len(ensemble.class_names)
    shapes = {"weighted": (members,), "stack": (members * classes + 1, classes)}
    expected = shapes.get(ensemble.combine)
    if weights is None:
        return None
    if weights.shape != expected:
        raise WeightFileError(
            f"{path} has weights of shape {weights.shape}; expected {expected}, so it "
            "was altered: get it again"
        )
    if ensemble.combine == "stack":
        return weights
    try:
        return normalize_weights(weights.tolist(), members)
    except UsageError as error:
        raise WeightFileError(f"{path} was altered, so get it again: {error}") from error


def _common_names(models: tuple[keras.Model, ...]) -> tuple[str, ...]:
    if not models:
        raise UsageError("an ensemble needs at least one member; pass models")
    names = class_names(models[0])
    for model in models[1:]:
        if sorted(class_names(model)) != sorted(names):
            raise UsageError(
                f"{model.name!r} has other classes than {models[0].name!r}: "
                f"{', '.join(class_names(model))[:200]} and {', '.join(names)[:200]}; "
                "members must have the same"
            )
    return names
