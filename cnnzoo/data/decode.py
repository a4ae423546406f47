"""One image file to one array, by the same rule for training and for prediction.

The rule: the content tells the format, not the name; the first frame of an animation;
the EXIF orientation is applied; 16-bit grey is scaled to 8 bits, and 16-bit colours keep
their upper 8; what is transparent is laid on white; then grey by ITU-R 601 luma, or RGB;
then a bilinear resize that averages where it shrinks (antialias) to exactly the size
wanted, without cropping. A JPEG of more than twice the size wanted is first decoded at a
half, a quarter or an eighth, which its format does at little cost.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnzoo.errors import DatasetError, ImageDecodeError, UsageError

MAX_PIXELS = 89_478_485
"""The largest image decoded, in pixels: where Pillow begins to warn of bombs."""

PILLOW_MODES = {1: "L", 3: "RGB"}  # by channels
DRAFT = 2  # times the larger side wanted, that a JPEG is decoded at, at least

# Named, because Pillow also knows formats that start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


def decode(path: str | Path, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Decodes an image file; the top of this file states the rule.

    Args:
        path: a PNG, JPEG, BMP, GIF, WebP, TIFF or PPM file.
        size: height and width of the result, in pixels; None keeps the image's own.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (h, w, channels), uint8.

    Raises:
        ImageDecodeError: the file is missing, no regular file, no image, damaged, or
            has more than `MAX_PIXELS` pixels.
        UsageError: `size` or `channels` is impossible.
    """
    check_target(size, channels)
    with opened(path) as image:
        if size is not None and image.format == "JPEG":
            side = DRAFT * max(size)  # the orientation may exchange the sides
            # It holds brightness and colours apart, of which grey needs the first.
            image.draft("L" if channels == 1 else None, (side, side))
        ImageOps.exif_transpose(image, in_place=True)
        return _array(_eight_bits(image), size, channels)


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """A file's header, and its pixels once they are asked for.

    Raises:
        ImageDecodeError: as `decode`, also for what is asked of the image.
    """
    # Only a regular file is opened: a pipe would block for ever.
    if not os.path.isfile(path):
        raise _fault(path, "no regular file")
    try:
        # Given a stream, because Pillow maps an uncompressed TIFF that it knows by its
        # name into memory, and then scrambles it where its orientation is 5 to 8.
        with open(path, "rb") as stream, Image.open(stream, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels in its header")
            yield image
    except UnidentifiedImageError as error:
        raise _fault(path, "content in none of these formats") from error
    # Pillow's readers fail on damaged bytes with many types, SyntaxError among them.
    except Exception as error:
        raise _fault(path, str(error)[:300] or type(error).__name__) from error


def resize_images(images: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Returns (n, h, w, c) images in another size, and as grey or RGB.

    Args:
        images: Pixels of 0 to 255.
        size: Height and width, in pixels.
        channels: 1 and 3 channels become each other.

    Returns:
        A uint8 copy, resized as files are.

    Raises:
        DatasetError: the channels are neither equal nor 1 and 3.
    """
    found = images.shape[-1]
    if not {found, channels} <= PILLOW_MODES.keys():
        raise DatasetError(
            f"cannot turn images of {found} channels into {channels}: expected 1 or 3, "
            "so build the network for the channels of the data"
        )
    resized = np.empty((len(images), *size, channels), np.uint8)
    for i, pixels in enumerate(images):
        if pixels.dtype != np.uint8:  # of which Pillow knows no RGB
            pixels = np.rint(pixels).astype(np.uint8)
        image = Image.fromarray(pixels[..., 0] if found == 1 else pixels)
        image = image.convert(PILLOW_MODES[channels])
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        resized[i] = np.asarray(image).reshape(*size, channels)
    return resized


def check_target(size: tuple[int, int] | None, channels: int) -> None:
    """Checks what images are to become.

    Raises:
        UsageError: a side below 1, or channels other than 1 and 3.
    """
    if channels not in (1, 3):
        raise UsageError(
            f"cannot decode images to {channels} channels: expected 1 for grey or 3 "
            "for RGB, so pass one of them"
        )
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError(
            f"cannot decode images to size {size}: expected a height and a width of at "
            "least 1 pixel, so pass such a pair"
        )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Returns an opaque image of 8 bits a channel or fewer."""
    if image.mode.startswith("I"):  # I;16 in its byte orders, or I from a 16-bit PGM
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit values outside the 16-bit range 0 to 65535")
        return Image.fromarray(np.rint(values / np.float32(257)).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode == "LAB":  # which becomes RGB, and not grey
        return image.convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image


def _array(image: Image.Image, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    image = image.convert(PILLOW_MODES[channels])
    if size is not None:
        height, width = size
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image).reshape(image.height, image.width, channels)


def _fault(path: str | Path, found: str) -> ImageDecodeError:
    return ImageDecodeError(
        f"cannot decode {path}: expected a sound PNG, JPEG, BMP, GIF, WebP, TIFF or "
        f"PPM image of at most {MAX_PIXELS} pixels, found {found}, so replace or "
        "remove the file",
        found,
    )
