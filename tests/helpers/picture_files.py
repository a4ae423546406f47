"""Valid and invalid image files, generated for tests."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RNG = np.random.default_rng(6)


def packed(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def picture(side: int = 24, seed: int = 0) -> Image.Image:
    """A smooth image, which JPEG keeps nearly unchanged, different for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((side, side // 2 * 2), Image.Resampling.BICUBIC)


def cats_and_dogs(root: Path, count: int) -> Path:
    """A folder of two class folders with PNGs in turn, such as cat/00.png; returns it."""
    for number in range(count):
        path = root / ("cat", "dog")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed(picture(seed=number), "PNG"))
    return root


def bomb() -> bytes:
    """A PNG that claims 16,000 x 16,000 pixels and lacks them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 16_000, 16_000, 8, 0, 0, 0, 0)
    size = struct.pack(">I", len(header) - 4)
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + size + header + checksum + bytes(64)


def wrong_checksum() -> bytes:
    """A PNG with a flipped bit in its pixels, so that its checksum is wrong."""
    content = bytearray(packed(picture(), "PNG"))
    place = content.index(b"IDAT") + 40
    content[place] ^= 4
    return bytes(content)


def wrong_animation() -> bytes:
    """A PNG that claims to be an animation without frames; Pillow warns about it."""
    content = packed(picture(), "PNG")
    chunk = b"acTL" + struct.pack(">II", 0, 0)
    chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    place = content.index(b"IDAT") - 4
    return content[:place] + chunk + content[place:]


def cut(form: str) -> bytes:
    whole = packed(picture(), form)
    return whole[: len(whole) * 2 // 3]


BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"no picture at all\n" * 20,
    "html": lambda: b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "cut JPEG": lambda: cut("JPEG"),
    "cut PNG": lambda: cut("PNG"),
    "cut GIF": lambda: cut("GIF"),
    "cut BMP": lambda: cut("BMP"),
    "bomb": bomb,
    "wrong checksum": wrong_checksum,
    "EPS": lambda: packed(picture(), "EPS"),
}
"""Invalid content by kind, for files with the name of an image."""


def every_form() -> Iterator[tuple[str, bytes]]:
    """Names and contents of good files: modes, formats, orientations."""
    colour = picture()
    grey = colour.convert("L")
    alpha = colour.copy()
    alpha.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    modes = {
        "rgb": colour,
        "grey": grey,
        "palette": colour.quantize(16),
        "bit": grey.convert("1"),
    }
    for form, ending in (("PNG", "png"), ("TIFF", "tif"), ("GIF", "gif")):
        for mode, image in modes.items():
            yield f"{mode}.{ending}", packed(image, form)
    for form, ending in (("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        yield f"alpha.{ending}", packed(alpha, form)
    yield "la.png", packed(alpha.convert("LA"), "PNG")
    for form, ending in (("PNG", "png"), ("TIFF", "tif"), ("PPM", "ppm")):
        yield f"deep.{ending}", packed(deep, form)
    yield "deep_rgb.png", deep_colour()
    for form, ending in (("JPEG", "jpg"), ("TIFF", "tif")):
        yield f"cmyk.{ending}", packed(colour.convert("CMYK"), form)
    yield "progressive.jpg", packed(colour, "JPEG", progressive=True)
    yield "large.jpg", packed(picture(400), "JPEG", quality=95)
    yield "rgb.ppm", packed(colour, "PPM")
    yield "rgb.bmp", packed(colour, "BMP")
    yield "rgb.jfif", packed(colour, "JPEG")
    more = [picture(seed=1), picture(seed=2)]
    for form, ending in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")):
        frames = packed(colour, form, save_all=True, append_images=more)
        yield f"frames.{ending}", frames
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for form, ending in (("JPEG", "jpg"), ("PNG", "png")):
            yield f"turned{orientation}.{ending}", packed(colour, form, exif=exif)


def deep_colour() -> bytes:
    """A PNG with 16 bits a colour, which Pillow reads and does not write."""
    values = np.asarray(picture()).astype(">u2") * 257
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        both = kind + content
        size = struct.pack(">I", len(content))
        return size + both + struct.pack(">I", zlib.crc32(both))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def png_header(width: int, height: int) -> bytes:
    """A PNG that only claims a size: its pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
