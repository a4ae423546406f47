"""Training in a folder, which can be interrupted at any time and continued."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from warnings import warn

import keras
from keras.callbacks import TerminateOnNaN

from cnnzoo.data.arrays import Source
from cnnzoo.data.folders import training_files
from cnnzoo.data.inputs.conversion import Labelled, as_train_validation
from cnnzoo.errors import CheckpointError, TrainingError
from cnnzoo.evaluation import Evaluation
from cnnzoo.inference import calibrate, class_names, is_softmax
from cnnzoo.metadata import metadata_of
from cnnzoo.system import files
from cnnzoo.system.locks import FolderLock, folder_lock
from cnnzoo.system.runtime import Verbose, progress_level
from cnnzoo.system.signals import Signals, catch_signals
from cnnzoo.train import compilation, mixed_precision, run_metadata
from cnnzoo.train.callbacks import (
    BestCheckpoint,
    History,
    HistoryFile,
    check_callbacks,
    check_rates,
    patience,
)
from cnnzoo.train.checkpoint.autosave import (
    Autosave,
    TrainingInterrupt,
    TrainingProgress,
)
from cnnzoo.train.checkpoint.state import TrainingSession
from cnnzoo.train.checkpoint.store import CheckpointStore
from cnnzoo.train.finetuning import l2_sp
from cnnzoo.train.loop import Loop, make_loop
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run_metadata import RunMetadata
from cnnzoo.weights.formats.keras_archive import MODEL_FILE

HISTORY_FILE = "history.json"
LOG_FILE = "log.txt"
CHECKPOINTS = "checkpoints"


class Run:
    """A training in a folder.

    Images are (images, labels), the path of a folder of class folders, of a .csv or of a
    .npz, "mnist", a `tf.data.Dataset` or a `PyDataset`, which are read into memory, or a
    data set of cnnzoo, such as from `scan`. A folder with `train/` and `val/` is used as
    it is split, in place of a share.

    The folder contains `run.json` (network, recipe, data, precision, versions),
    `model.keras` (the best epoch so far), `history.json`, `log.txt`, `checkpoints/`, and
    `training_files.txt` for image files with checksums. A checkpoint has the whole state,
    so that an interrupted training has the same result, bit by bit, as an uninterrupted
    one on the same machine.

    After the last epoch, `cnnzoo.inference.calibrate` fits the temperature of the best
    one on the validation images, which chose it; other classifiers than a softmax or a
    sigmoid unit keep 1.0. The model and `model.keras` have it.

    Attributes:
        folder: Path of the folder.
        save_seconds: Seconds between two checkpoints.
        calibrated: Whether a temperature is fitted.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        save_seconds: float = 60.0,
        calibrated: bool = True,
    ):
        """Args:
        folder: Path of the folder, created if missing.
        save_seconds: Seconds between two checkpoints, the most an interruption costs.
        calibrated: Whether a temperature is fitted; it costs one pass over the
            validation images.
        """
        self.folder = Path(folder)
        self.save_seconds = save_seconds
        self.calibrated = calibrated

    def fit(
        self,
        model: keras.Model,
        train: Labelled,
        validation: Labelled | float = 0.1,
        recipe: Recipe | None = None,
        *,
        callbacks: Sequence[keras.callbacks.Callback] | None = (),
        verbose: Verbose = "auto",
    ) -> History:
        """Starts or continues training, and gives the model the best epoch's weights.

        It returns the metrics of every epoch, such as val_loss. A first Ctrl-C,
        SIGTERM or SIGHUP ends it after the step, with a checkpoint.

        Args:
            model: Model from `cnnzoo.build`; it is compiled here, by stock Keras objects.
            train: Training images, in a form that the class names.
            validation: Images that choose the best epoch and the temperature; or a share.
            recipe: Training recipe; None for the defaults.
            callbacks: Further Keras callbacks, such as TensorBoard or CSVLogger.
            verbose: 0 for silent, 1 for a bar, 2 for single lines, "auto" for 1 or 2.

        Raises:
            UsageError: The recipe has values that are out of range or do not fit.
            DatasetError: The labels do not fit the classifier.
            ImageDecodeError: A file of a folder is not a readable image.
            TrainingError: The validation loss was never finite; a later NaN only warns.
            ResumeMismatchError: The folder contains another training.
            CheckpointError: Another process uses it, or checkpoints are damaged or lost.
            SaveError: The folder cannot be written.
        """
        level, recipe = progress_level(verbose), recipe or Recipe()
        parts = train, validation, class_names(model), recipe.seed
        train, validation = as_train_validation(*parts)
        recipe = run_metadata.with_batch_size(recipe, len(train), self.folder)
        check_rates(callbacks := check_callbacks(callbacks), recipe)
        batches = compilation.prepare(model, recipe, train, validation)
        requested = run_metadata.collect(model, recipe, train, validation)
        with folder_lock(self.folder) as lock, catch_signals() as signals:
            metadata = self._check_or_create(requested)
            training_files.write(self.folder, train)
            names = compilation.names_for(model, train)
            model.cnnzoo = replace(metadata_of(model), class_names=names, temperature=1.0)
            best = BestCheckpoint(self.folder / MODEL_FILE, compilation.monitored(model))
            history = HistoryFile(self.folder / HISTORY_FILE)
            ours = [best, *patience(recipe, best.monitor), TerminateOnNaN(), history]
            loop = make_loop(model, recipe, *batches, [*ours, *callbacks], level)
            autosave = self._autosave(loop, signals, lock)
            with (
                mixed_precision.running(model, metadata.environment["precision"]),
                l2_sp(model, recipe.start_decay),
            ):
                was_over, failure = self._train(loop, autosave, recipe.epochs)
            signals.obey()
            self._restore_best(model, best, len(history.metrics["loss"]), failure)
            evaluation = self._calibrate(model, best, validation)
            signals.obey()  # one that has arrived since
        return History(history.metrics, was_over=was_over, evaluation=evaluation)

    @property
    def is_over(self) -> bool:
        """Whether the folder contains a training that has ended or failed.

        Raises:
            CheckpointError: Its files cannot be read, or some are lost.
        """
        metadata = run_metadata.read(self.folder)
        store = CheckpointStore(self.folder / CHECKPOINTS)
        saved = store.newest() if self._has_checkpoints() else None
        if metadata is None or saved is None:
            return False
        progress = TrainingProgress(**saved.facts["progress"])
        return progress.is_over(metadata.recipe["epochs"]) or None in self._metric("loss")

    def _metric(self, name: str) -> Sequence[float | None]:
        """A metric of the history so far, with None for NaN."""
        path = self.folder / HISTORY_FILE
        if not path.exists():
            return ()
        error = CheckpointError(
            f"{path} is cut or altered; get it from a backup, or continue the training, "
            "which writes it again if there are checkpoints"
        )
        with files.refusing_damage(error):
            return tuple(files.read_json(path).get(name, ()))

    def _has_checkpoints(self) -> bool:
        """Whether there are any; raises CheckpointError if they alone are lost."""
        if any((self.folder / CHECKPOINTS).glob("step-*")):
            return True
        left = MODEL_FILE if (self.folder / MODEL_FILE).exists() else HISTORY_FILE
        if left == MODEL_FILE or set(self._metric("val_loss")) - {None}:
            raise CheckpointError(
                f"{self.folder} has {left} but no {CHECKPOINTS}, so a training would "
                "begin anew and write over it; get them from a backup, or train into "
                "another folder"
            )
        return False

    def _check_or_create(self, requested: RunMetadata) -> RunMetadata:
        """The metadata of the folder, from the first start of the training.

        Raises:
            CheckpointError: There are checkpoints without metadata, or they are lost.
        """
        path = self.folder / run_metadata.RUN_FILE
        if self._has_checkpoints() and not path.exists():
            raise CheckpointError(
                f"{self.folder} has checkpoints but no {path.name}, which tells what the "
                "training is; get it from a backup, or train into another folder"
            )
        first = run_metadata.check_or_create(self.folder, requested)
        if changes := run_metadata.environment_changes(first, requested):
            self._log(f"continues with other settings: {changes}")
            warn(
                f"the training in {self.folder} continues with other settings, which can "
                f"change last bits of its result: {changes}",
                UserWarning,
                stacklevel=3,
            )
        return first

    def _autosave(self, loop: Loop, signals: Signals, lock: FolderLock) -> Autosave:
        ema = loop.ema.variables if loop.ema else ()
        return Autosave(
            CheckpointStore(self.folder / CHECKPOINTS),
            TrainingSession(loop.model, loop.callbacks.callbacks, ema),
            signals,
            lock,
            steps=loop.steps,
            save_seconds=self.save_seconds,
        )

    def _train(
        self, loop: Loop, autosave: Autosave, epochs: int
    ) -> tuple[bool, str | None]:
        """Trains from the newest checkpoint to the end, or until a signal arrives.

        Returns:
            Whether the training had ended before, and a message if the loss became NaN.
        """
        loop.build_metrics()
        loop.callbacks.on_train_begin()
        autosave.restore()
        was_over = autosave.progress.is_over(epochs)
        for reason in autosave.rejected:
            self._log(f"ignored a damaged checkpoint: {reason}")
        self._log(f"process {os.getpid()} starts after {autosave.progress}")
        try:
            is_finite = loop.run(epochs, autosave)
        except TrainingInterrupt:
            autosave.save()
            self._log(f"a signal ended the training after {autosave.progress}")
            return was_over, None
        if is_finite:
            autosave.save()
        loop.callbacks.on_train_end()
        failure = None if is_finite else loop.describe_failure(autosave.progress)
        end = failure or f"the training ended after {autosave.progress}"
        self._log(f"{end}, {autosave.seconds:,.0f} s in all")
        return was_over, failure

    def _restore_best(
        self, model: keras.Model, best: BestCheckpoint, epochs: int, failure: str | None
    ) -> None:
        """Loads the weights of the best epoch into the model."""
        if not isfinite(best.best):
            since = f", since {failure}" if failure else ""
            raise TrainingError(
                f"the validation loss of {model.name!r} was never finite in {epochs} "
                f"epochs{since}, so this run left no model in {self.folder}; try a lower "
                "learning rate"
            )
        if failure:
            warn(
                f"{self.folder}: {failure}; the best epoch before is kept",
                RuntimeWarning,
                stacklevel=3,
            )
        best.restore()

    def _calibrate(
        self, model: keras.Model, best: BestCheckpoint, images: Source
    ) -> Evaluation | None:
        """Fits the temperature, also for the file; returns how it does on the images."""
        fitted = self.calibrated and is_softmax(model)
        evaluation = calibrate(model, images) if fitted else None
        best.keep_temperature()
        return evaluation

    def _log(self, line: str) -> None:
        now = datetime.now().isoformat(" ", "seconds")
        files.add_line(self.folder / LOG_FILE, f"{now} {line}")
