"""Changes of colour: brightness, contrast, saturation and hue, and AlexNet's lighting.

The first four are those of torchvision's `ColorJitter` for floats: three blend an image
with black, with its mean grey or with its grey version, and one turns the hue. Images
are pixels of 0 to 255, (b, h, w, c), float32, and are changed in place; other arguments
have a value per image, (b,).
"""

from __future__ import annotations

import numpy as np

GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # shares of red, green and blue
# Principal components of the RGB values of ImageNet's pixels, here of 0 to 255, from
# https://github.com/facebookarchive/fb.resnet.torch, datasets/imagenet.lua.
EIGENVALUES = 255 * np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array(
    ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
)


def change_brightness(images: np.ndarray, factors: np.ndarray) -> None:
    """Multiplies the pixels; as all changes but `add_lighting`, clips to 0 to 255."""
    images *= _per_image(factors)
    np.clip(images, 0, 255, out=images)


def change_contrast(images: np.ndarray, factors: np.ndarray) -> None:
    """Multiplies the distance of the pixels from the mean grey of the image."""
    _blend(images, _grey(images).mean((1, 2, 3), keepdims=True), factors)


def change_saturation(images: np.ndarray, factors: np.ndarray) -> None:
    """Multiplies the distance of the pixels from their grey."""
    _blend(images, _grey(images), factors)


def change_hue(images: np.ndarray, turns: np.ndarray) -> None:
    """Turns the hue, by a share of the whole circle; value and saturation stay.

    A. R. Smith, Color Gamut Transform Pairs, SIGGRAPH 1978.
    """
    for image, turn in zip(images, turns, strict=True):  # which a core's cache can hold
        red, green, blue = np.moveaxis(image, 2, 0).copy()
        value = np.maximum(np.maximum(red, green), blue)
        chroma = value - np.minimum(np.minimum(red, green), blue)
        is_red, is_green = value == red, value == green
        part = np.where(is_green, blue - red, red - green)
        part = np.where(is_red, green - blue, part)
        hue = np.divide(part, chroma, out=np.zeros_like(part), where=chroma > 0)
        hue += np.where(is_red, 0, np.where(is_green, 2, 4)) + np.float32(6 * turn)
        for channel, start in enumerate((5, 3, 1)):
            place = start + hue
            place -= 6 * np.floor(place / 6)  # `%` takes several times as long
            share = np.clip(np.minimum(place, 4 - place), 0, 1)
            image[..., channel] = value - chroma * share


CHANGES = (change_brightness, change_contrast, change_saturation, change_hue)
NEUTRAL = (1, 1, 1, 0)  # values that change nothing


def jitter(images: np.ndarray, values: np.ndarray, order: np.ndarray) -> None:
    """Applies `CHANGES` to each image in an order of its own.

    Args:
        images: Images.
        values: Second arguments of the changes, (b, 4).
        order: Numbers of the changes, (b, 4), the first one first.
    """
    for place in order.T:
        for number, change in enumerate(CHANGES):
            given = values[:, number]
            rows = np.flatnonzero((place == number) & (given != NEUTRAL[number]))
            some = images[rows]
            change(some, given[rows])
            images[rows] = some


def add_lighting(images: np.ndarray, alphas: np.ndarray) -> None:
    """Adds multiples, (b, 3), of ImageNet's principal components; nothing is clipped.

    Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional
    Neural Networks, 2012, section 4.1.
    """
    added = (alphas * EIGENVALUES) @ EIGENVECTORS.T
    images += added[:, None, None].astype(np.float32)


def _per_image(values: np.ndarray) -> np.ndarray:
    return values[:, None, None, None].astype(np.float32)


def _blend(images: np.ndarray, other: np.ndarray, factors: np.ndarray) -> None:
    """Moves images from others, at factor 0, to themselves, at 1, and beyond."""
    share = _per_image(factors)
    images *= share
    images += (1 - share) * other
    np.clip(images, 0, 255, out=images)


def _grey(images: np.ndarray) -> np.ndarray:
    """Grey versions, (b, h, w, 1)."""
    grey = images @ GREY if images.shape[3] == 3 else images.mean(3)
    return grey[..., None]
