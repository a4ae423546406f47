"""PyTorch: state dicts in memory and in files, which are read with the extra `torch`.

Files are opened with `weights_only`, so that no class and no code of a file is used. A
checkpoint may have the state dict under a name, beside an optimizer's. In PyTorch before
2.10, a file can run code in spite of `weights_only` (CVE-2025-32434, CVE-2026-24747), so
the extra asks for 2.10.
"""

import pickle
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnzoo.errors import UnsafeFileError, WeightFileError, not_installed
from cnnzoo.system import files
from cnnzoo.weights.tensors import ArraySource, Tensor, damaged

ENDINGS = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")  # .pth.tar
DEPTH = 3  # of state dicts within state dicts
SAVE = "save model.state_dict() in PyTorch and give that file"
OBJECTS = re.compile(r"Unsupported (?:global|class)\W*(?:GLOBAL )?(\S*)")


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
        raise not_installed("PyTorch", "torch", path) from error
    with files.refusing_damage(damaged(path, "is not a readable file of PyTorch")):
        try:
            with warnings.catch_warnings(action="ignore"):  # about other formats
                content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            if "TorchScript" in str(error):
                raise WeightFileError(
                    f"{path} is a TorchScript program; expected a state dict, so {SAVE}"
                ) from error
            if found := OBJECTS.search(str(error)):
                raise UnsafeFileError(
                    f"{path} holds objects of {found[1][:80]}, and loading these can run "
                    f"code of the file; expected arrays alone, so {SAVE}"
                ) from error
            raise
    return of_state_dict(content, str(path))


def is_module(source: object) -> bool:
    """Whether this is a module of PyTorch, which nobody can have without importing it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def of_memory(source: Any) -> ArraySource:
    """The arrays of a module or of a state dict."""
    if is_module(source):
        name = f"a {type(source).__name__} of PyTorch"
        modules = source.named_modules()
        norms = {n: m for n, m in modules if hasattr(m, "running_var")}
        epsilons = {n: float(m.eps) for n, m in norms.items()}
        return replace(of_state_dict(source.state_dict(), name), epsilons=epsilons)
    return of_state_dict(source, "the state dict")


def of_state_dict(content: object, name: str) -> ArraySource:
    """The arrays of a state dict, or of a checkpoint that has one under a name.

    Args:
        name: Name of the source in messages.

    Raises:
        WeightFileError: There is no state dict, or there are several.
    """
    found = dict(_state_dicts(content))
    found = {key: found[key] for key in found if "ema" in key.lower()} or found
    if not found:
        raise WeightFileError(
            f"{name} has no state dict but a {type(content).__name__}; expected arrays "
            f"by name, so {SAVE}"
        )
    if len(found) > 1:
        keys = ", ".join(found)[:200]
        raise WeightFileError(
            f"{name} has several state dicts, {keys}; expected one, so pass one alone"
        )
    ((entry, state),) = found.items()
    arrays = {
        str(key): Tensor(
            name=str(key),
            shape=tuple(value.shape),
            dtype=str(value.dtype).removeprefix("torch."),
            read=partial(_read, value),
        )
        for key, value in state.items()
        if _is_array(value)
    }
    notes = (f"taken from its entry {entry!r}",) if entry else ()
    return ArraySource(name, arrays, notes, ordered=True)


def _state_dicts(content: object, path: str = "") -> Iterator[tuple[str, Mapping]]:
    """The state dicts in a checkpoint, by the names that lead to them."""
    if not isinstance(content, Mapping) or path.count(".") > DEPTH:
        return
    if any(_is_array(value) and len(value.shape) > 1 for value in content.values()):
        yield path, content
        return
    for key, value in content.items():
        if "optim" not in str(key):
            yield from _state_dicts(value, f"{path}.{key}".lstrip("."))


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _read(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return np.asarray(value)
