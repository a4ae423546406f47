"""Keras's own `fit` with `Checkpoint`, killed, stopped or started twice."""

import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.callbacks import EarlyStopping, LambdaCallback, TensorBoard
from short_runs import Stop, halves, network, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnzoo.errors import CheckpointError, ResumeMismatchError, UsageError
from cnnzoo.system.locks import folder_lock
from cnnzoo.train.checkpoint.callback import Checkpoint
from cnnzoo.train.checkpoint.store import CheckpointStore


def plain_fit(folder: Path, epochs: int = 4, *more: keras.callbacks.Callback):
    """Keras's own `fit`; returns the model, the epochs it ran, and EarlyStopping."""
    return fit_until(folder, EarlyStopping("loss", patience=3), epochs, *more)


def fit_until(
    folder: Path,
    stopping: keras.callbacks.EarlyStopping,
    epochs: int,
    *more: keras.callbacks.Callback,
    save_seconds: float = 0.0,
):
    data = halves()
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    checkpoint = Checkpoint(folder, callbacks=[stopping], save_seconds=save_seconds)
    epochs_run: list[int] = []
    count = LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs_run.append(epoch))
    history = model.fit(
        data.images,
        data.labels,
        batch_size=16,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[stopping, count, *more, checkpoint],
    )
    assert history.epoch == list(range(len(history.history["loss"])))
    return model, epochs_run, stopping


def test_it_resumes_after_the_last_epoch(tmp_path: Path):
    untouched, _, expected = plain_fit(tmp_path / "alone")
    with pytest.raises(RuntimeError, match="the power went"):
        plain_fit(tmp_path / "cut", 4, Stop(10, RuntimeError))  # in the third epoch
    model, epochs, stopping = plain_fit(tmp_path / "cut")
    assert epochs == [2, 3]
    assert (stopping.wait, stopping.best) == (expected.wait, expected.best)
    for one, other in zip(model.weights, untouched.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert int(model.optimizer.iterations) == 16
    assert plain_fit(tmp_path / "cut")[1] == []


def test_the_history_holds_all_epochs(tmp_path: Path):
    def fit(folder: str, epochs: int, **more):
        data, model = halves(), network()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        more |= {"verbose": 0, "shuffle": False, "validation_split": 0.25}
        callbacks = [Checkpoint(tmp_path / folder)]
        arguments = data.images, data.labels, 16, epochs
        return model.fit(*arguments, callbacks=callbacks, **more)

    alone = fit("alone", 4, validation_freq=2)
    fit("cut", 3, validation_freq=2)
    resumed = fit("cut", 4, validation_freq=2)
    over = fit("cut", 4, validation_freq=2)
    assert resumed.epoch == over.epoch == [0, 1, 2, 3]
    assert resumed.history == over.history == alone.history
    assert {name: len(v) for name, v in alone.history.items()} == {
        "loss": 4,
        "accuracy": 4,
        "val_loss": 2,
        "val_accuracy": 2,
    }


def batches_written(folder: Path) -> set[int]:
    """The numbers of batches by which TensorBoard has written the loss."""
    events = EventAccumulator(str(folder / "train"), purge_orphaned_data=False).Reload()
    return {event.step for event in events.Tensors("batch_loss")}


@pytest.mark.parametrize("kind", ["plain fit", "run"])
def test_tensorboard_goes_on_counting_batches(kind: str, tmp_path: Path):
    def fit(*more: keras.callbacks.Callback) -> None:
        board = TensorBoard(tmp_path / "board", write_graph=False, update_freq=1)
        if kind == "run":
            train(tmp_path / "run", callbacks=[board, *more])
            return
        data, model = halves(48), network()
        adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
        model.compile(adam, "sparse_categorical_crossentropy")
        checkpoint = Checkpoint(tmp_path / "fit", callbacks=[board])
        callbacks = [board, *more, checkpoint]
        model.fit(data.images, data.labels, 16, 3, verbose=0, callbacks=callbacks)

    with pytest.raises(RuntimeError, match="the power went"):
        fit(Stop(5, RuntimeError))  # of 9
    fit()
    assert batches_written(tmp_path / "board") == set(range(1, 10))


def test_another_model_is_refused(tmp_path: Path):
    plain_fit(tmp_path, 1)
    model = network(width=9)
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ResumeMismatchError, match="does not fit this training"):
        model.fit(
            halves().images,
            halves().labels,
            verbose=0,
            callbacks=[Checkpoint(tmp_path)],
        )


def test_a_nan_loss_keeps_the_last_finite_checkpoint(tmp_path: Path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            if epoch == 1 and logs:
                logs["loss"] = float("nan")

    plain_fit(tmp_path, 2, Spoil())
    saved = CheckpointStore(tmp_path).newest()
    assert saved
    assert saved.step == 1


class Poison(keras.callbacks.Callback):
    """Sets weights to NaN in the last batch of the second epoch."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if int(self.model.optimizer.iterations) == 8:
            bias = self.model.get_layer("predictions").bias
            bias.assign(np.full(bias.shape, np.nan))


def test_it_does_not_save_nan_weights(tmp_path: Path):
    plain_fit(tmp_path, 2, Poison())
    saved = CheckpointStore(tmp_path).newest()
    assert saved
    assert saved.step == 1


def worse() -> keras.callbacks.EarlyStopping:
    """Stops after two epochs, as no epoch is an improvement."""
    return keras.callbacks.EarlyStopping(
        "loss", patience=1, min_delta=100, restore_best_weights=True
    )


def test_a_stopped_training_is_finished(tmp_path: Path):
    model, epochs, _ = fit_until(tmp_path, worse(), 6)
    again, none, _ = fit_until(tmp_path, worse(), 6)
    assert (epochs, none) == ([0, 1], [])
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_remembers_the_best_file(tmp_path: Path):
    """A subclass, which Keras's own check of a type would pass over."""

    class Best(keras.callbacks.ModelCheckpoint):
        pass

    def best() -> Best:
        return Best(tmp_path / "best.keras", "loss", save_best_only=True)

    def fit(*failures: keras.callbacks.Callback) -> Best:
        keeper, model = best(), network()
        model.compile("sgd", "sparse_categorical_crossentropy")
        checkpoint = Checkpoint(tmp_path / "run", callbacks=[keeper])
        model.fit(
            halves().images,
            halves().labels,
            epochs=2,
            verbose=0,
            callbacks=[keeper, *failures, checkpoint],
        )
        return keeper

    class Worse(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            self.model.get_layer("predictions").kernel.assign(
                100 * self.model.get_layer("predictions").kernel
            )

    with pytest.raises(RuntimeError, match="the power went"):
        fit(Stop(3, RuntimeError))
    before = (tmp_path / "best.keras").read_bytes()
    assert np.isfinite(fit(Worse()).best)
    assert (tmp_path / "best.keras").read_bytes() == before


def test_it_refuses_callbacks_without_restorable_state(tmp_path: Path):
    with pytest.raises(UsageError, match="hold the state of TerminateOnNaN"):
        Checkpoint(tmp_path, callbacks=[keras.callbacks.TerminateOnNaN()])


def test_it_remembers_the_best_weights(tmp_path: Path):
    def patient() -> keras.callbacks.EarlyStopping:
        return keras.callbacks.EarlyStopping(
            "loss", patience=3, min_delta=100, restore_best_weights=True
        )

    model, epochs, _ = fit_until(tmp_path / "alone", patient(), 6)
    with pytest.raises(RuntimeError, match="the power went"):
        fit_until(tmp_path / "cut", patient(), 6, Stop(6, RuntimeError))
    again, rest, _ = fit_until(tmp_path / "cut", patient(), 6)
    assert (epochs, rest) == ([0, 1, 2, 3], [1, 2, 3])
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_saves_at_the_end_of_a_short_training(tmp_path: Path):
    stopping = keras.callbacks.EarlyStopping("loss", patience=3)
    fit_until(tmp_path, stopping, 3, save_seconds=600)
    assert fit_until(tmp_path, stopping, 3, save_seconds=600)[1] == []


def test_it_resumes_while_the_error_is_still_referenced(tmp_path: Path):
    """A notebook keeps the error, which references the callback and its lock."""
    with pytest.raises(RuntimeError, match="the power went") as held:
        plain_fit(tmp_path, 4, Stop(10, RuntimeError))
    assert plain_fit(tmp_path)[1] == [2, 3]
    assert held.value


def test_a_second_thread_is_refused(tmp_path: Path):
    refused: list[BaseException] = []

    def second() -> None:
        try:
            plain_fit(tmp_path, 1)
        except CheckpointError as error:
            refused.append(error)

    class Meanwhile(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            if epoch == 0:
                thread = threading.Thread(target=second)
                thread.start()
                thread.join()

    assert plain_fit(tmp_path, 2, Meanwhile())[1] == [0, 1]
    assert "is in use by process" in str(refused[0])


def test_a_refused_process_leaves_no_lock(tmp_path: Path):
    plain_fit(tmp_path, 1)
    model = network(width=9)
    model.compile("adam", "sparse_categorical_crossentropy")
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(ResumeMismatchError):
        model.fit(halves().images, halves().labels, verbose=0, callbacks=[checkpoint])
    with folder_lock(tmp_path):
        assert checkpoint.epoch == 0
