"""The weights of the best epoch, kept in memory, and in a file once in a while."""

from __future__ import annotations

from math import inf, isfinite
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
from keras import ops
from safetensors import SafetensorError

from cnnzoo.errors import CheckpointError
from cnnzoo.system import files
from cnnzoo.train.callbacks import are_numbers


class Best(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest validation loss.

    A head that learns for a tenth of a second an epoch would wait for the disk most of
    the time, so the file is written with a checkpoint only.

    Attributes:
        path: the file, ending in `.safetensors`.
        best: the lowest loss so far.
    """

    monitor = "val_loss"

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.best = inf
        self._kept: dict[str, np.ndarray] = {}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get(self.monitor, inf)
        if isfinite(loss) and loss < self.best and are_numbers(self.model):
            self.best = loss
            self._kept = {
                str(i): ops.convert_to_numpy(weight.value).copy()
                for i, weight in enumerate(self.model.weights)
            }

    def put_back(self) -> None:
        """Gives the model the weights of the best epoch."""
        for i, weight in enumerate(self.model.weights):
            weight.assign(self._kept[str(i)])

    def memory(self) -> dict:
        """What a checkpoint holds; the weights are in the file then."""
        files.write_bytes(self.path, safetensors.numpy.save(self._kept))
        return {"best": self.best}

    def remember(self, memory: dict) -> None:
        """Raises CheckpointError where the file is not that of the checkpoint."""
        try:
            self._kept = safetensors.numpy.load_file(self.path)
            shapes = [self._kept[str(i)].shape for i in range(len(self.model.weights))]
        except (SafetensorError, OSError, KeyError) as error:
            raise CheckpointError(
                f"{self.path} does not hold the best weights so far "
                f"({str(error)[:200]}); remove {self.path.parent} and call again"
            ) from error
        if shapes != [tuple(weight.shape) for weight in self.model.weights]:
            raise CheckpointError(
                f"{self.path} holds another network's weights; remove "
                f"{self.path.parent} and call again"
            )
        self.best = memory["best"]
