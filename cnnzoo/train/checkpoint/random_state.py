"""PyTorch's own random generators, which Keras's Dropout draws from there.

On other backends every layer has a seed that is one of the model's variables.
"""

from collections.abc import Mapping

import keras
import numpy as np


def take() -> dict[str, np.ndarray]:
    """The states by name; none on other backends."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return {f"generator/{i:05d}": state.numpy() for i, state in enumerate(states)}


def put(arrays: Mapping[str, np.ndarray]) -> None:
    """Sets them to what `take` returned."""
    if keras.backend.backend() != "torch":
        return
    import torch

    states = [torch.from_numpy(arrays[name].copy()) for name in take()]
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(states[1:])
