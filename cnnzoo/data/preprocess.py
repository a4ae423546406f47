"""Preprocessing of pixels of 0 to 255 into the values that a network was trained on.

The same `Preprocess` is applied to arrays by `preprocess_input` and inside a model by
`draw`. If it has 3 values and an image does not have 3 channels, their average is used
for every channel, and channels are not reordered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from cnnzoo import layer_names
from cnnzoo.errors import UsageError
from cnnzoo.spec import Preprocess, resolve

_EPSILON = 1e-7
_CHUNK = 256


def featurewise(images: np.ndarray) -> Preprocess:
    """Computes the mean and standard deviation of each channel over a set of images.

    Args:
        images: Integers or floats, (n, h, w, c), with at least one pixel.

    Returns:
        A preprocessing that gives each channel of this set mean 0 and standard deviation
        1; a constant channel keeps its scale.

    Raises:
        UsageError: The images have another rank or dtype, are empty, or are not finite.
    """
    images = _pixels(images, ranks=(4,))
    from sklearn.preprocessing import StandardScaler  # takes a second

    scaler = StandardScaler()
    for start in range(0, len(images), _CHUNK):
        pixels = images[start : start + _CHUNK].reshape(-1, images.shape[-1])
        scaler.partial_fit(pixels)
    mean, std = (tuple(np.asarray(x).tolist()) for x in (scaler.mean_, scaler.scale_))
    return Preprocess(mean=mean, std=std)


def preprocess_input(x: np.ndarray, mode: str | Preprocess) -> np.ndarray:
    """Preprocesses one image or a batch of images.

    Args:
        x: Integers or floats of 0 to 255, (h, w, c) or (b, h, w, c).
        mode: Name in `cnnzoo.spec.MODES`, or a `Preprocess`.

    Returns:
        A new float32 array of the same shape.

    Raises:
        UsageError: The mode is unknown or does not fit the channels, or `x` has another
            rank or dtype, is empty, or is not finite.
    """
    x = _pixels(x, ranks=(3, 4))
    how = _fit(resolve(mode), x.shape[-1])
    ordered = x[..., ::-1] if how.order == "bgr" else x
    scaled = ordered.astype(np.float32) * np.float32(how.scale)
    result = (scaled - np.asarray(how.mean, np.float32)) / np.asarray(how.std, np.float32)
    if how.samplewise:
        axes = (-3, -2, -1)
        mean = result.mean(axes, keepdims=True, dtype=np.float64)
        variance = result.var(axes, keepdims=True, dtype=np.float64)
        result = (result - mean) / np.sqrt(variance + _EPSILON)
    return result.astype(np.float32)


def draw(x: KerasTensor, mode: str | Preprocess, axis: int) -> KerasTensor:
    """Adds the same computation to a model, with stock Keras layers only.

    The layers compute in float32 under every dtype policy. Steps that change nothing are
    left out.

    Args:
        x: Images, (b, h, w, c) or (b, c, h, w); h and w may be None.
        mode: Name in `cnnzoo.spec.MODES`, or a `Preprocess`.
        axis: Axis of the channels, 1, 3 or -1.

    Returns:
        A tensor of the same shape.

    Raises:
        UsageError: The mode is unknown or does not fit the channels, or the number of
            channels is None.
    """
    channels = x.shape[axis]
    if channels is None:
        raise UsageError(
            f"cannot draw preprocessing for images of shape {x.shape}: expected a "
            f"known number of channels on axis {axis}, found None, so give the input "
            "one"
        )
    how = _fit(resolve(mode), channels)
    if how.order == "bgr":
        x = _flip(x, axis)
    x = _standardize(x, how, axis)
    if how.samplewise:
        x = layers.LayerNormalization(
            axis=[1, 2, 3],  # pyright: ignore[reportArgumentType] (lists are documented)
            epsilon=_EPSILON,
            center=False,
            scale=False,
            dtype="float32",
            name=layer_names.preprocess("samplewise"),
        )(x)
    return x


def _standardize(x: KerasTensor, how: Preprocess, axis: int) -> KerasTensor:
    """Adds `(x * scale - mean) / std`, in one layer if all channels have equal values."""
    scale, offset = how.scale, 0.0
    alike = len(how.mean) == 1 and len(how.std) == 1
    if alike:
        scale, offset = scale / how.std[0], -how.mean[0] / how.std[0]
    if scale != 1.0 or offset != 0.0:
        x = layers.Rescaling(
            scale, offset, dtype="float32", name=layer_names.preprocess("scale")
        )(x)
    if alike:
        return x
    mean, std = np.broadcast_arrays(how.mean, how.std)
    return layers.Normalization(
        axis=axis,
        mean=mean.tolist(),
        variance=np.square(std).tolist(),
        dtype="float32",
        name=layer_names.preprocess("mean"),
    )(x)


def _flip(x: KerasTensor, axis: int) -> KerasTensor:
    """Reverses `axis` with an operation named `preprocess_flip`.

    `ops.flip` takes no name; a temporary Function is the public access to its operation.
    """
    flipped = cast(KerasTensor, ops.flip(x, axis=axis))
    keras.Function(x, flipped).operations[-1].name = layer_names.preprocess("flip")
    return flipped


def _fit(how: Preprocess, channels: int) -> Preprocess:
    """Returns `how` for a number of channels, as the module's docstring describes."""
    for name, values in (("mean", how.mean), ("std", how.std)):
        if len(values) not in (1, 3, channels):
            raise UsageError(
                f"cannot preprocess images of {channels} channels: expected a {name} "
                f"of 1, 3 or {channels} values, found {len(values)}, so pass as many"
            )
    if min(how.std) <= 0:
        raise UsageError(
            f"cannot preprocess with the deviations {how.std}: expected values above "
            f"0, found {min(how.std)}, so use 1 for a channel that does not vary"
        )
    if channels == 3:
        return how
    mean, std = (
        values if len(values) == channels else (sum(values) / len(values),)
        for values in (how.mean, how.std)
    )
    return replace(how, order="rgb", mean=mean, std=std)


def _pixels(x: np.ndarray, ranks: tuple[int, ...]) -> np.ndarray:
    """Returns `x`, or a tensor of any backend, as an array of real, finite numbers."""
    x = np.asarray(x)
    if x.ndim not in ranks or 0 in x.shape or x.dtype.kind not in "uif":
        raise UsageError(
            f"cannot preprocess an array of {x.dtype} {x.shape}: expected integers or "
            f"floats of rank {' or '.join(map(str, ranks))}, channels last, and at "
            "least one pixel, so pass images of 0 to 255"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise UsageError(
            f"cannot preprocess an array of {x.dtype} {x.shape}: expected finite "
            "values, found NaN or infinity, so check where the images come from"
        )
    return x
