"""PyTorch: state dicts in memory and in files, which are read with the extra `torch`.

Files are opened with `weights_only`, so that no class and no code of a file is used. A
checkpoint may have the state dict under a name, beside an optimizer's.
"""

import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnzoo.errors import UnsafeFileError, UsageError, WeightFileError
from cnnzoo.system import files
from cnnzoo.weights.tensors import ArraySource, Tensor, damaged

ENDINGS = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")  # .pth.tar
DEPTH = 3  # of state dicts within state dicts
SAVE = "save model.state_dict() in PyTorch and give that file"


def open_source(path: Path) -> ArraySource:
    """Reads a file that `torch.save` wrote, of any version of PyTorch.

    Raises:
        UsageError: PyTorch is not installed.
        UnsafeFileError: The file holds objects that are more than arrays.
        WeightFileError: The file is damaged, or has no state dict.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            f"{path} is a file of PyTorch, which is not installed and needed to read "
            "it; install it with: pip install 'cnnzoo[torch]'"
        ) from error
    with files.refusing_damage(damaged(path, "is not a readable file of PyTorch")):
        try:
            with warnings.catch_warnings(action="ignore"):  # about other formats
                content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            _refuse_objects(path, str(error), error)
            raise
    return of_state_dict(content, str(path))


def is_module(source: object) -> bool:
    """Whether this is a module of PyTorch, which nobody can have without importing it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def of_memory(source: Any) -> ArraySource:
    """The arrays of a module or of a state dict."""
    if is_module(source):
        return of_state_dict(source.state_dict(), f"a {type(source).__name__} of PyTorch")
    return of_state_dict(source, "the state dict")


def of_state_dict(content: object, name: str) -> ArraySource:
    """The arrays of a state dict, or of a checkpoint that has one under a name.

    Args:
        name: Name of the source in messages.

    Raises:
        WeightFileError: There is no state dict, or there are several.
    """
    wrapper, state = _find(content, name)
    arrays = {str(key): _tensor(str(key), value) for key, value in state.items()}
    notes = (f"taken from its entry {wrapper!r}",) if wrapper else ()
    return ArraySource(name, {k: v for k, v in arrays.items() if v}, notes=notes)


def _refuse_objects(path: Path, message: str, error: Exception) -> None:
    """Raises the error for a sound file that is more than a state dict."""
    if "TorchScript" in message:
        raise WeightFileError(
            f"{path} is a TorchScript program; expected a state dict, so {SAVE}"
        ) from error
    found = re.search(
        r"Unsupported (?:global|class|operand)\W*(?:GLOBAL )?(\S*)", message
    )
    if found:
        raise UnsafeFileError(
            f"{path} holds objects of {found[1][:80]}, and loading these can run code of "
            f"the file; expected arrays alone, so {SAVE}"
        ) from error


def _find(content: object, name: str, depth: int = 0) -> tuple[str, Mapping]:
    """The state dict in a checkpoint and the names that lead to it; averages first."""
    if isinstance(content, Mapping):
        if any(_is_array(v) and len(v.shape) > 1 for v in content.values()):
            return "", content
        inside = [
            (f"{key}.{path}".rstrip("."), state)
            for key, value in content.items()
            if depth < DEPTH and "optim" not in str(key) and isinstance(value, Mapping)
            for path, state in [_find(value, name, depth + 1)]
            if state
        ]
        averages = [found for found in inside if "ema" in found[0].lower()]
        found = averages or inside
        if len(found) == 1:
            return found[0]
        if found:
            keys = ", ".join(key for key, _ in found)[:200]
            raise WeightFileError(
                f"{name} has several state dicts, {keys}; expected one, so pass one alone"
            )
    if depth == 0:
        raise WeightFileError(
            f"{name} has no state dict but a {type(content).__name__}; expected arrays "
            f"by name, so {SAVE}"
        )
    return "", {}


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _tensor(name: str, value: Any) -> Tensor | None:
    """An array of PyTorch or NumPy; None for any other value."""
    if not _is_array(value):
        return None
    dtype = str(value.dtype).removeprefix("torch.")
    return Tensor(name, None, None, tuple(value.shape), dtype, partial(_read, value))


def _read(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return np.asarray(value)
