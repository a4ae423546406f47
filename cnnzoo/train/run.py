"""A training in a folder: killed at any moment, it goes on where it was."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from warnings import warn

import keras
from keras.callbacks import CallbackList, TerminateOnNaN

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import training_files
from cnnzoo.errors import CheckpointError, TrainingError
from cnnzoo.metadata import metadata_of
from cnnzoo.system import files
from cnnzoo.system.locks import folder_lock
from cnnzoo.system.signals import Signals, caught
from cnnzoo.train import compilation, mixed_precision
from cnnzoo.train.callbacks import BestCheckpoint, HistoryFile, patience
from cnnzoo.train.checkpoint.autosave import Ended, Keeper
from cnnzoo.train.checkpoint.state import Training
from cnnzoo.train.checkpoint.store import Store
from cnnzoo.train.ema import Averages
from cnnzoo.train.finetuning import l2_sp
from cnnzoo.train.loop import Loop, Position
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run_metadata import (
    CARD_FILE,
    Card,
    card_in,
    card_of,
    changed_since,
    settled,
)
from cnnzoo.weights.loading import load_weights

MODEL_FILE = "model.keras"
HISTORY_FILE = "history.json"
LOG_FILE = "log.txt"
CHECKPOINTS = "checkpoints"

History = dict[str, list[float]]


class Run:
    """A folder that holds a training.

    It has `run.json` (network, recipe, data, precision, versions), `model.keras` (the
    best so far), `history.json`, `log.txt`, `checkpoints/`, and, of a folder of files
    with checksums, `learned.txt`. A checkpoint holds all
    that changes, so that a training that was killed ends, on the same machine, as one
    that was not, bit by bit.

    Attributes:
        folder: where.
        was_over: whether the last `fit` found its training at its end.
    """

    def __init__(self, folder: str | Path, *, save_seconds: float = 60.0):
        """Args:
        folder: made if missing.
        save_seconds: how long after a checkpoint the next is written; what a kill
            can cost.
        """
        self.folder = Path(folder)
        self.was_over = False
        self.save_seconds = save_seconds

    def fit(
        self,
        model: keras.Model,
        train: Source,
        validation: Source,
        recipe: Recipe | None = None,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
    ) -> History:
        """Trains, or goes on, and leaves the model with the weights of its best epoch.

        A first Ctrl-C, SIGTERM or SIGHUP ends it after the step, with a checkpoint.

        Args:
            model: from `cnnzoo.build`; it is compiled here, with stock Keras objects.
            train: the images to learn from.
            validation: the images by which the best epoch is chosen.
            recipe: None for the defaults.
            callbacks: more of Keras's, such as TensorBoard or CSVLogger.
            verbose: as in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line an
                epoch.

        Returns:
            The figures of every epoch: loss, accuracy, val_loss, val_accuracy, ... Where
            the model has auxiliary classifiers, these are the main one's; `aux1_loss`
            and so on are the others', and `total_loss` is the weighted sum that training
            minimises.

        Raises:
            UsageError: Keras has no such optimiser or loss; there is no such precision.
            DatasetError: the labels do not fit the classifier.
            ImageDecodeError: a file of a folder is no readable image.
            TrainingError: no epoch had a finite validation loss. Where one had, and the
                loss became no number later, there is a RuntimeWarning that says where.
            ResumeMismatchError: the folder holds another training.
            CheckpointError: another process trains there, or all checkpoints are bad.
            SaveError: the folder cannot be written.
        """
        recipe = recipe or Recipe()
        precision = mixed_precision.resolve(recipe.precision)
        compilation.check_classes(model, train)
        loss = compilation.compiled(model, recipe, len(train))
        learned, held_out = compilation.fed(model, loss, recipe, train, validation)
        asked = card_of(model, recipe, train, validation, precision)
        with folder_lock(self.folder), caught() as signals:
            first = self._settled(asked)
            training_files.write(self.folder, train)
            names = metadata_of(model).class_names or tuple(train.class_names)
            model.cnnzoo = replace(metadata_of(model), class_names=names)
            best, history, everyone = self._callbacks(
                model, recipe, callbacks, steps=len(learned), verbose=verbose
            )
            averages = Averages(model, recipe.averaging) if recipe.averaging else None
            weights = compilation.class_weights(recipe, learned.source)
            loop = Loop(model, learned, held_out, everyone, averages, weights)
            keeper = self._keeper(loop, signals)
            with (
                mixed_precision.running(model, first.begun["precision"]),
                l2_sp(model, recipe.start_decay),
            ):
                lost = self._train(loop, keeper, recipe.epochs)
            signals.obey()
        if not isfinite(best.best):
            epochs = len(history.history["loss"])
            raise _never_finite(model, epochs, self.folder, lost)
        if lost:
            told = f"{self.folder}: {lost}; what was good before stays"
            warn(told, RuntimeWarning, stacklevel=2)
        load_weights(model, self.folder / MODEL_FILE)
        return history.history

    @property
    def is_over(self) -> bool:
        """Whether the folder holds a training that is at its end, or lost its way.

        Raises:
            CheckpointError: its card or all its checkpoints cannot be read.
        """
        card, saved = card_in(self.folder), Store(self.folder / CHECKPOINTS).newest()
        if card is None or saved is None:
            return False
        position = Position(**saved.state["position"])
        return position.is_over(card.recipe["epochs"]) or self._is_lost()

    def _is_lost(self) -> bool:
        """Whether the loss has become no number, which the history has as null."""
        history = self.folder / HISTORY_FILE
        return history.exists() and None in json.loads(history.read_bytes())["loss"]

    def _settled(self, asked: Card) -> Card:
        """The card that the folder has, which says what the training was begun with.

        Raises CheckpointError where there are checkpoints of nobody knows what.
        """
        saved = self.folder / CHECKPOINTS
        if not (self.folder / CARD_FILE).exists() and any(saved.glob("step-*")):
            raise CheckpointError(
                f"{self.folder} has checkpoints and no {CARD_FILE}, which tells of which "
                "training; get it from a backup, or train into another folder"
            )
        first = settled(self.folder, asked)
        if changed := changed_since(first, asked):
            self._note(f"goes on otherwise than it began: {changed}")
            warn(
                f"{self.folder} goes on otherwise than it began, which can change last "
                f"bits of its end: {changed}",
                UserWarning,
                stacklevel=3,
            )
        return first

    def _callbacks(
        self,
        model: keras.Model,
        recipe: Recipe,
        more: Sequence[keras.callbacks.Callback],
        *,
        steps: int,
        verbose: int,
    ) -> tuple[BestCheckpoint, HistoryFile, CallbackList]:
        """Who keeps the best and the history, and everyone who hears of the training."""
        monitor = compilation.monitored(model)
        best = BestCheckpoint(self.folder / MODEL_FILE, monitor)
        history = HistoryFile(self.folder / HISTORY_FILE)
        everyone = CallbackList(
            [best, *patience(recipe, monitor), TerminateOnNaN(), history, *more],
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=recipe.epochs,
            steps=steps,
        )
        return best, history, everyone

    def _keeper(self, loop: Loop, signals: Signals) -> Keeper:
        averaged = loop.averages.variables if loop.averages else ()
        return Keeper(
            Store(self.folder / CHECKPOINTS),
            Training(loop.model, loop.callbacks.callbacks, averaged),
            signals,
            steps=loop.steps,
            save_seconds=self.save_seconds,
        )

    def _train(self, loop: Loop, keeper: Keeper, epochs: int) -> str | None:
        """From the newest checkpoint to the end, or to where a signal asks for it.

        Returns:
            Where the loss became no number, if it did.
        """
        loop.measure()
        loop.callbacks.on_train_begin()
        keeper.restore()
        self.was_over = keeper.position.is_over(epochs)
        for reason in keeper.rejected:
            self._note(f"left out a damaged checkpoint: {reason}")
        self._note(f"process {os.getpid()} starts at {keeper.position}")
        try:
            finite = loop.run(epochs, keeper.position, keeper)
        except Ended:
            keeper.save()
            self._note(f"a signal ended it at {keeper.position}")
            return None
        if finite:
            keeper.save()
        loop.callbacks.on_train_end()
        lost = None if finite else loop.lost(keeper.position)
        told = lost or f"is over after {keeper.position}"
        self._note(f"{told}, {keeper.seconds:,.0f} s in all")
        return lost

    def _note(self, line: str) -> None:
        now = datetime.now().isoformat(" ", "seconds")
        files.add_line(self.folder / LOG_FILE, f"{now} {line}")


def _never_finite(
    model: keras.Model, epochs: int, folder: Path, lost: str | None
) -> TrainingError:
    where = f", since {lost}" if lost else ""
    return TrainingError(
        f"the validation loss of {model.name!r} was never finite in {epochs} epochs"
        f"{where}, so this run left no model in {folder}; try a lower learning rate"
    )
