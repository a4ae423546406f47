"""Decoding of image files, in the same way for training and for prediction.

The format is detected by content, not by name. Of an animation, the first frame is read.
The EXIF orientation is applied. 16-bit grey is scaled to 8 bits, and 16-bit colours keep
their upper 8 bits. Transparent pixels are blended with white. All images are converted to
grey (ITU-R 601 luma) or RGB, and resized to exactly the target size with antialiasing, by
default bilinearly and without cropping. `cnnzoo.Geometry` changes how grey is scaled and
images are resized. A JPEG of more than twice the size is first decoded at a half, a
quarter or an eighth, which its format supports at little cost.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnzoo.errors import DatasetError, ImageDecodeError, UsageError
from cnnzoo.spec import Geometry
from cnnzoo.system.runtime import cores

Picture = str | Path | bytes | Image.Image

MAX_PIXELS = 89_478_485
"""Maximum size of an image in pixels: Pillow's limit for decompression bombs."""

PILLOW_MODES = {1: "L", 3: "RGB"}  # by number of channels
LONGEST = 100  # ratio of sides beyond which ends are cut off before resizing
NO_RANGE = "16-bit colours or transparency; only grey has a value_range"
DRAFT = 2  # minimum size of a decoded JPEG, as a multiple of the larger target side

# Listed, since Pillow also has formats that start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


def decode(
    picture: Picture | np.ndarray,
    size: tuple[int, int] | None,
    channels: int,
    geometry: Geometry | None = None,
) -> np.ndarray:
    """Decodes an image file, as the module's docstring describes.

    Args:
        picture: Path of a PNG, JPEG, BMP, GIF, WebP, TIFF or PPM file, the bytes of one,
            a PIL image, which stays as it is, or pixels of 0 to 255, (h, w) or
            (h, w, c).
        size: Height and width of the result, in pixels; None for those of the image.
        channels: Number of channels, 1 for grey or 3 for RGB.
        geometry: How the image is brought to this size; None to stretch it.

    Returns:
        Pixels (h, w, channels), uint8.

    Raises:
        ImageDecodeError: The file is missing, not a regular file, not an image, damaged,
            or has more than `MAX_PIXELS` pixels.
        UsageError: The size or the number of channels is invalid.
    """
    check_target(size, channels)
    if isinstance(picture, np.ndarray):
        pixels = picture[..., None] if picture.ndim == 2 else picture
        size = size or pixels.shape[:2]
        return resize_images(pixels[None], size, channels, geometry)[0]
    with opened(picture) as image:
        if size is not None and image.format == "JPEG":
            # The orientation may exchange the sides.
            side = DRAFT * max(_whole(size, geometry))
            # JPEG stores brightness and colours apart, and grey needs only brightness.
            image.draft("L" if channels == 1 else None, (side, side))
        value_range = geometry and geometry.value_range
        if value_range and has_deep_colours(image):
            raise ValueError(NO_RANGE)
        ImageOps.exif_transpose(image, in_place=True)
        image = _eight_bits(image, value_range or (0, 65535))
        return _array(image, size, channels, geometry)


def decode_all(
    pictures: Sequence[Picture | np.ndarray],
    size: tuple[int, int],
    channels: int,
    geometry: Geometry | None = None,
) -> np.ndarray:
    """Decodes pictures on all cores, as `decode` does: (n, h, w, channels), uint8."""
    check_target(size, channels)
    images = np.empty((len(pictures), *size, channels), np.uint8)

    def fill(place: int) -> None:
        images[place] = decode(pictures[place], size, channels, geometry)

    with ThreadPoolExecutor(cores(), "decode") as pool:
        list(pool.map(fill, range(len(pictures))))
    return images


@contextmanager
def opened(picture: Picture) -> Iterator[Image.Image]:
    """Opens an image file, whose pixels are decoded when they are used.

    Raises:
        ImageDecodeError: As in `decode`; also for errors inside the context.
    """
    path = picture if isinstance(picture, str | Path) else "an image in memory"
    # Only a regular file is opened: a pipe would block for ever.
    if picture is path and not os.path.isfile(path):
        raise _fault(path, "no regular file")
    try:
        with _image(picture) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width}x{image.height} pixels"
                raise ValueError(f"{size}, more than {MAX_PIXELS:,}")
            yield image
    except Image.DecompressionBombError as error:  # which names another limit
        raise _fault(path, f"far more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise _fault(path, "content in none of these formats") from error
    # Pillow raises exceptions of many types for damaged bytes, such as SyntaxError.
    except Exception as error:
        raise _fault(path, str(error)[:300] or type(error).__name__) from error


@contextmanager
def _image(picture: Picture) -> Iterator[Image.Image]:
    if isinstance(picture, Image.Image):
        if picture.mode == "I" and picture.format is None:
            raise ValueError("32-bit pixels, whose range is not known (convert to I;16)")
        yield ImageOps.exif_transpose(picture)  # always a copy
        return
    # A stream is passed, since Pillow maps an uncompressed TIFF that is opened by name
    # into memory, and then scrambles it if its orientation is 5 to 8.
    with (
        BytesIO(picture) if isinstance(picture, bytes) else open(picture, "rb") as stream,
        Image.open(stream, formats=_FORMATS) as image,
    ):
        yield image


def resize_images(
    images: np.ndarray,
    size: tuple[int, int],
    channels: int,
    geometry: Geometry | None = None,
) -> np.ndarray:
    """Returns images (n, h, w, c) in another size, in grey or RGB.

    Args:
        images: Pixels of 0 to 255.
        size: Height and width, in pixels.
        channels: Number of channels, 1 for grey or 3 for RGB.
        geometry: How the images are brought to this size; None to stretch them.

    Returns:
        A uint8 copy, resized as files are; images of this size keep their pixels.

    Raises:
        DatasetError: The images or the result have neither 1 nor 3 channels.
    """
    found = images.shape[-1]
    if not {found, channels} <= PILLOW_MODES.keys():
        raise DatasetError(
            f"cannot turn images of {found} channels into {channels}: expected 1 or 3 as "
            "the last axis, so transpose arrays that have them first, or build the "
            "network for the channels of the data"
        )
    resized = np.empty((len(images), *size, channels), np.uint8)
    target = None if images.shape[1:3] == tuple(size) else size
    for i, pixels in enumerate(images):
        if pixels.dtype != np.uint8:  # Pillow has RGB in no other type
            pixels = np.rint(pixels).astype(np.uint8)
        image = Image.fromarray(pixels[..., 0] if found == 1 else pixels)
        resized[i] = _array(image, target, channels, geometry)
    return resized


def check_target(size: tuple[int, int] | None, channels: int) -> None:
    """Checks the target size and number of channels of images.

    Raises:
        UsageError: A side is below 1, or the number of channels is neither 1 nor 3.
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


def is_deep(image: Image.Image) -> bool:
    """Whether an opened file, of which no pixel is read yet, has 16-bit channels."""
    raw = str(getattr(image, "tile", ())[:1])
    return image.mode.startswith("I") or (";16" in raw and "BGR;" not in raw)


def has_deep_colours(image: Image.Image) -> bool:
    """Whether these channels are more than grey; their upper 8 bits are read."""
    return is_deep(image) and not image.mode.startswith("I")


def _eight_bits(image: Image.Image, value_range: tuple[int, int]) -> Image.Image:
    """Returns an opaque image of at most 8 bits per channel."""
    if image.mode.startswith("I"):  # I;16 in its byte orders, or I from a 16-bit PGM
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit values outside the 16-bit range 0 to 65535")
        low, high = map(np.float32, value_range)
        scaled = (values.clip(low, high) - low) / ((high - low) / np.float32(255))
        return Image.fromarray(np.rint(scaled).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode == "LAB":  # Pillow converts it to RGB, but not to grey
        return image.convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image


def _array(
    image: Image.Image,
    size: tuple[int, int] | None,
    channels: int,
    geometry: Geometry | None,
) -> np.ndarray:
    image = image.convert(PILLOW_MODES[channels])
    if size is not None:
        image = _fitted(image, size, geometry or Geometry())
    return np.array(image).reshape(image.height, image.width, channels)


def _fitted(image: Image.Image, size: tuple[int, int], geometry: Geometry) -> Image.Image:
    """The image in exactly this height and width, with torchvision's rounding."""
    height, width = _whole(size, geometry)
    limit = LONGEST * min(image.size)
    if geometry.fit == "crop" and max(image.size) > limit:
        image = _centre(image, min(image.height, limit), min(image.width, limit))
    if geometry.fit != "stretch":
        height, width = _with_ratio(image, height, width, cover=geometry.fit == "crop")
    method = Image.Resampling[geometry.interpolation.upper()]
    return _centre(image.resize((width, height), method), *size)


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    """The centre of this size; black where the image is smaller."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _whole(size: tuple[int, int], geometry: Geometry | None) -> tuple[int, int]:
    """The height and width of which `size` is the centre."""
    share = geometry.crop_pct if geometry else 1.0
    return round(size[0] / share), round(size[1] / share)


def _with_ratio(
    image: Image.Image, height: int, width: int, *, cover: bool
) -> tuple[int, int]:
    """The height and width with the image's ratio that cover a size, or fit into it."""
    wide = height * image.width >= width * image.height
    if wide == cover:  # the height decides
        return height, max(1, height * image.width // image.height)
    return max(1, width * image.height // image.width), width


def _fault(path: str | Path, found: str) -> ImageDecodeError:
    return ImageDecodeError(
        f"cannot decode {path}: expected a sound PNG, JPEG, BMP, GIF, WebP, TIFF or "
        f"PPM image of at most {MAX_PIXELS:,} pixels, found {found}, so replace or "
        "remove the file",
        found,
    )
